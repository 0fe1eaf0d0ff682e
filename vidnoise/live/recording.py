"""A recording in pieces that begin at round times, of which the oldest are removed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from vidnoise.live.destination import Destination
from vidnoise.live.mux import Muxer
from vidnoise.live.packets import VIDEO, Packet

_TWO = r"[ \d]?\d"
WRITTEN = {
    **dict.fromkeys("CdegHIklmMSuUVwWy", _TWO),
    **dict.fromkeys("aAbBhpP", r"[^\W\d_]+\.?"),
    **dict.fromkeys("YG", r"\d{4}"),
    "j": r"\d{1,3}",
    "s": r"\d+",
    "F": r"\d{4}-\d\d-\d\d",
    "R": r"\d\d:\d\d",
    "T": r"\d\d:\d\d:\d\d",
    "%": "%",
}
"""What `%Y` and the like stand for in a name, by their letter: names beside a recording may look like its own."""


class Recording:
    """Pieces of a recording, in the manner of `vidnoise.live.mux.Muxer`.

    Pieces of ten minutes begin at :00, :10 and so on, by the local clock; the first may be shorter. They begin at the
    next keyframe, which whoever encodes makes of the first picture after `round_after`.
    """

    def __init__(
        self,
        place: Destination,
        head: bytes,
        warn: Callable[[str], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._place = place
        self._head = head
        self._warn = warn
        self._now = now
        self._piece: Muxer | None = None
        self._path = Path()
        self._until = 0.0

    def write(self, packet: Packet) -> None:
        """Write one packet, in the next piece where it is time for that."""
        starts = packet.stream == VIDEO and packet.key
        try:
            if starts and self._is_over():
                self._begin(packet)
            if self._piece is not None:
                self._piece.write(packet)
        except OSError:
            # On a full disk there would be one for each try.
            if self._path.is_file() and not self._path.stat().st_size:
                self._path.unlink()
            raise

    def close(self) -> None:
        """End the current piece."""
        if self._piece is not None:
            self._piece.close()
            self._piece = None

    def _is_over(self) -> bool:
        """Whether it is time for the next piece, or this one was removed or renamed."""
        if self._piece is None or is_over(self._until, self._now(), self._place.segment):
            return True
        return not self._path.exists()

    def _begin(self, packet: Packet) -> None:
        self.close()
        now = self._now()
        self._until = round_after(now, self._place.segment)
        path = self._path = free(Path(time.strftime(self._place.url, time.localtime(now))))
        path.parent.mkdir(parents=True, exist_ok=True)
        prune(self._place, now, path)  # first of all: it may make the room that the new piece needs
        self._piece = Muxer(
            str(path), self._place.format, self._place.options, self._head, self._warn, packet.seconds
        )


def round_after(now: float, length: float) -> float:
    """When the next piece begins, of pieces that last `length` seconds; times are seconds of the clock."""
    local = now + time.localtime(now).tm_gmtoff
    return now + length - local % length


def is_over(until: float, now: float, length: float) -> bool:
    """Whether a piece of `length` seconds that lasts `until` then is over; so it is where the clock was set back by far."""
    return not 0 < until - now <= 2 * length


def prune(place: Destination, now: float, current: Path) -> None:
    """Remove the oldest pieces until the others are within what `place` keeps; the current one stays."""
    if place.keep_seconds is None and place.keep_bytes is None:
        return
    pieces = sorted((path.stat().st_mtime, path) for path in pieces_of(place.url) if path != current)
    room = place.keep_bytes
    total = sum(path.stat().st_size for _, path in pieces)
    for written, path in pieces:
        old = place.keep_seconds is not None and now - written > place.keep_seconds
        if not old and (room is None or total <= room):
            continue
        total -= path.stat().st_size
        path.unlink(missing_ok=True)


def pieces_of(pattern: str) -> list[Path]:
    """The files whose names a pattern with `%Y`, `%H` and the like can have made."""
    fixed = Path(pattern.split("%")[0] + "x").parent
    inner = pattern if fixed == Path() else str(Path(pattern).relative_to(fixed))
    literals_and_letters = re.split(r"%[-_0^#]?([A-Za-z%])", inner)
    known = re.compile(
        "".join(
            WRITTEN.get(part, r"[^/]+?") if number % 2 else re.escape(part)
            for number, part in enumerate(literals_and_letters)
        )
    )
    return [p for p in fixed.rglob("*") if p.is_file() and _made(known, p.relative_to(fixed))]


def _made(known: re.Pattern[str], path: Path) -> bool:
    plain = re.sub(r"_\d+$", "", path.stem)
    return any(known.fullmatch(str(path.with_name(stem + path.suffix))) for stem in (path.stem, plain))


def free(path: Path) -> Path:
    """The path itself, or one with a number where there is a recording of that name, as after a restart."""
    candidate, number = path, 1
    while candidate.is_file() and candidate.stat().st_size:  # an empty one is left by a try that failed
        candidate, number = path.with_name(f"{path.stem}_{number}{path.suffix}"), number + 1
    return candidate
