"""Time codes of film and television (SMPTE ST 12-1): hours, minutes, seconds and frames."""

from __future__ import annotations

import re
from fractions import Fraction

_CODE = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.])(\d\d)")


def later(code: str, frames: int, rate: Fraction) -> str:
    """A time code so many frames later; as it is where it cannot be read.

    Behind a semicolon or a dot the first numbers of frames are left out in every minute but the tenth.
    """
    found = _CODE.fullmatch(code)
    if not found:
        return code
    hours, minutes, seconds, count = (int(found[part]) for part in (1, 2, 3, 5))
    a_second = round(rate)
    dropped = a_second // 15 if found[4] != ":" and a_second % 30 == 0 else 0
    minutes += 60 * hours
    count += (60 * minutes + seconds) * a_second - dropped * (minutes - minutes // 10) + frames
    tens, rest = divmod(count, 600 * a_second - 9 * dropped)
    count += dropped * (9 * tens + max(0, (rest - dropped) // (60 * a_second - dropped)))
    seconds, count = divmod(count, a_second)
    hours, minutes, seconds = seconds // 3600 % 24, seconds // 60 % 60, seconds % 60
    return f"{hours:02}:{minutes:02}:{seconds:02}{found[4]}{count:02}"
