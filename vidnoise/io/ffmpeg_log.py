"""What FFmpeg tells its log alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOCK = threading.Lock()


@contextmanager
def listening(level: int) -> Iterator[None]:
    """Log up to a level of `av.logging` meanwhile; PyAV has logging switched off."""
    import av

    with _LOCK:
        before = av.logging.get_level()
        av.logging.set_level(level)
        av.logging.set_libav_level(level)
        try:
            yield
        finally:
            av.logging.set_libav_level(av.logging.INFO)
            av.logging.set_level(before)
