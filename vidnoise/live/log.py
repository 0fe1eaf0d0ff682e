"""What cameras say, one line for each event on the standard error: as text, or as JSON for machines."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

from vidnoise.io.protocols import mask

NAME = "vidnoise.live"

HUSH = 60.0
"""Seconds for which a camera that was started anew, after a failure that is not told any more, is not told of either."""


class Voice(logging.LoggerAdapter[logging.Logger]):
    """Tells what happens to one camera.

    Args:
        camera: its name.
        hushed: whether what happens at first is for developers alone.
    """

    def __init__(self, camera: str, hushed: bool) -> None:
        super().__init__(logging.getLogger(NAME), {"camera": camera})
        self._aloud = time.monotonic() + HUSH * hushed
        self._hushed = hushed

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        """Tell one thing."""
        super().log(level if time.monotonic() >= self._aloud else logging.DEBUG, msg, *args, **kwargs)

    def works(self) -> None:
        """Tell once that it works, where nobody has heard how it began."""
        if self._hushed and time.monotonic() >= self._aloud:
            self._hushed = False
            self.info("it works again")


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        camera = f"{_camera(record)}: " if _camera(record) else ""
        return f"vidnoise: {when} {camera}{level}{_message(record)}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{record.msecs:03.0f}Z"
        return json.dumps(
            {
                "time": when,
                "level": record.levelname.lower(),
                "camera": _camera(record),
                "message": _message(record),
            }
        )


def start(format: str, *, verbose: bool = False, quiet: bool = False) -> None:
    """Begin to write what cameras say.

    Args:
        format: "text" or "json".
        verbose: also what concerns developers.
        quiet: errors alone.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if format == "json" else _Text())
    logger = logging.getLogger(NAME)
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(logging.ERROR if quiet else logging.DEBUG if verbose else logging.INFO)


def is_json() -> bool:
    """Whether events are told as JSON."""
    return any(isinstance(handler.formatter, _Json) for handler in logging.getLogger(NAME).handlers)


def line(text: str) -> bytes:
    """A warning, in JSON where all else is, for those who cannot wait for the lock of who tells something now."""
    record = logging.makeLogRecord({"msg": text, "levelname": "WARNING"})
    return f"{_Json().format(record) if is_json() else f'vidnoise: {text}'}\n".encode()


def _camera(record: logging.LogRecord) -> str:
    return str(getattr(record, "camera", ""))


def _message(record: logging.LogRecord) -> str:
    """In one line, without the passwords of URLs."""
    return mask(" ".join(record.getMessage().split()))
