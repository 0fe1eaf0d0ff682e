"""What the C library does with memory that was given back, for a process that frees whole frames all the time."""

from __future__ import annotations

import ctypes
import os
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""From glibc's malloc.h."""
_LARGEST = 32 << 20
"""The most that glibc takes from its heap; what is larger comes from the system, a page at a time, and goes back there."""
_KEPT = 512 << 20
"""So much may lie free at the end of the heap."""


def one_heap() -> None:
    """Let all threads share one heap that keeps its memory, where the C library is glibc.

    Each of several heaps keeps frames that it no longer needs: at 1080p that is 200 MB of 1.9 GB. Memory that was given
    back and comes anew is cleared by the system page by page: at 720p that is 4 % of the time. Who set MALLOC_ARENA_MAX
    knows better. Must be called before any thread is started.
    """
    if sys.platform != "linux" or "MALLOC_ARENA_MAX" in os.environ:
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
