"""The C library's allocator, told to keep what frames leave behind."""

from __future__ import annotations

import ctypes

# malloc.h of glibc
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_LARGEST, _KEPT = 1 << 30, 1 << 29


def keep_freed_memory() -> None:
    """Let freed memory serve the next frame, up to half a gigabyte of it.

    By default each large buffer is fetched from the system anew, page by page, which takes longer than many an operation
    on it. Does nothing where the C library is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    mallopt(_MMAP_THRESHOLD, _LARGEST)
    mallopt(_TRIM_THRESHOLD, _KEPT)
    mallopt(_ARENA_MAX, 1)  # the other arenas cannot hold large buffers
