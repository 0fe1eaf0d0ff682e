"""Passwords that are not typed: `rtsp://me:{env:CAM_PASSWORD}@cam/1`, `rtsp://me:{file:/run/secrets/cam}@cam/1`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote

from vidnoise.errors import UsageError

_PLACE = re.compile(r"\{(env|file):([^{}]+)\}")


def fill(url: str) -> str:
    """The URL with each `{env:NAME}` and `{file:PATH}` replaced by what is there, encoded as a URL needs it.

    Raises:
        UsageError: the variable is not set, or the file cannot be read.
    """
    return _PLACE.sub(lambda place: quote(_look_up(place[1], place[2]), safe=""), url)


def _look_up(kind: str, name: str) -> str:
    if kind == "env":
        if name not in os.environ:
            raise UsageError(f"the environment variable {name} is not set; set it, or type {{file:PATH}}")
        return os.environ[name]
    try:
        return Path(os.path.expanduser(name)).read_text().strip()
    except (OSError, UnicodeDecodeError) as failure:
        reason = getattr(failure, "strerror", None) or "it is no text"
        raise UsageError(f"the password file {name} cannot be read: {reason}") from failure
