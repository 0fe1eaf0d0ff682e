"""Running something in a process of its own, to know how much memory it took at most."""

from __future__ import annotations

import multiprocessing
import re
import resource
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

from vidnoise.errors import VidnoiseError

T = TypeVar("T")


def isolated(work: Callable[..., T], *args: Any, programs: bool = False) -> tuple[T, float]:
    """Call `work(*args)` in a new process; gives what it returns and the peak of resident memory in MiB.

    Args:
        work: a function of a module, with arguments and a result that can be pickled.
        args: its arguments.
        programs: whether the memory of the programs that it started counts, in place of its own.

    Raises:
        Whatever `work` raises, or VidnoiseError where the process was killed.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(_measured, work, args, programs).result()
        except BrokenProcessPool as failure:
            raise VidnoiseError(
                "the measured process was killed; too little memory is the usual cause"
            ) from failure


def _measured(work: Callable[..., T], args: tuple[Any, ...], programs: bool) -> tuple[T, float]:
    result = work(*args)
    return result, _peak_of_programs() if programs else peak()


def peak() -> float:
    """The most resident memory that this process has had, in MiB."""
    try:
        # Not getrusage: there Linux lets a new program start from the peak of the process that started it.
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    except OSError:
        found = None
    return int(found[1]) / 1024 if found else _mebibytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _peak_of_programs() -> float:
    """That of the largest program this process started, or, for small ones, its own when it started them."""
    return _mebibytes(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def _mebibytes(maxrss: int) -> float:
    return maxrss / (2**20 if sys.platform == "darwin" else 1024)
