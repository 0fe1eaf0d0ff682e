"""Spans of time, amounts of data and rectangles as people type them: `500ms`, `10m`, `7d`, `50GB`, `0,0,320,24`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from vidnoise.errors import UsageError

SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
BYTES = {"MB": 10**6, "GB": 10**9, "TB": 10**12}

_NUMBER = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-z]*)")


def seconds(text: str, *, zero: bool = False) -> float:
    """A span of time in seconds; a number without a unit is in seconds.

    Raises:
        UsageError: the text is no span of time, or it is none at all and `zero` does not allow that.
    """
    found = _NUMBER.fullmatch(text.strip())
    if found is None or found[2] not in SECONDS or not (float(found[1]) or zero):
        raise UsageError(f"{text!r} is no span of time; write for example 500ms, 5s, 10m, 2h or 7d")
    return float(found[1]) * SECONDS[found[2]]


def amount(text: str) -> int:
    """An amount of data in bytes.

    Raises:
        UsageError: the text is no amount of data, or it is none at all.
    """
    found = _NUMBER.fullmatch(text.strip())
    if found is None or found[2].upper() not in BYTES or not float(found[1]):
        raise UsageError(f"{text!r} is no amount of data; write for example 500MB, 50GB or 2TB")
    return round(float(found[1]) * BYTES[found[2].upper()])


def box(value: str | Iterable[int]) -> tuple[int, int, int, int]:
    """A rectangle in pixels, of a text or of four numbers: x, y, width, height.

    Raises:
        UsageError: it is none.
    """
    try:
        x, y, width, height = map(int, value.split(",") if isinstance(value, str) else value)
    except (TypeError, ValueError):
        raise UsageError(f"{value!r} is no rectangle; write x,y,width,height, such as 0,0,320,24") from None
    if min(x, y) < 0 or min(width, height) < 1:
        raise UsageError(f"{value!r} is no rectangle in a picture: x and y begin at 0, width and height at 1")
    return x, y, width, height
