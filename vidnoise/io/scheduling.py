"""Encoders that put themselves before everything else on the machine are put back in line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def ordinary() -> Iterator[None]:
    """Threads that come under real-time scheduling meanwhile, the calling one too, are scheduled as before.

    SVT-AV1, opened by root (as in most containers), takes the highest real-time priority for the thread that opens it and
    for its own; what that thread starts later inherits it. Two such threads that spin leave two processors to nobody else.
    """
    if not hasattr(os, "sched_setscheduler") or not os.path.isdir("/proc/self/task"):
        yield
        return
    before = _real_time()
    try:
        yield
    finally:
        for thread in _real_time() - before:
            with suppress(OSError):  # it has ended
                os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))


def _real_time() -> set[int]:
    found = set()
    for name in os.listdir("/proc/self/task"):
        with suppress(OSError):
            if os.sched_getscheduler(int(name)) in (os.SCHED_FIFO, os.SCHED_RR):
                found.add(int(name))
    return found
