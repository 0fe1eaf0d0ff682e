"""A recording in pieces that begin at round times, of which the oldest are removed."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from vidnoise.errors import OutputError
from vidnoise.live.destination import LETTER, Destination, stands_for
from vidnoise.live.mux import Muxer
from vidnoise.live.packets import VIDEO, Packet

FULL = "the disk is full; --keep with a size that fits, such as 50GB, removes the oldest pieces in time"

PRUNING = 1.0
"""Seconds for which a new piece waits until the oldest are removed."""


class Recording:
    """Pieces of a recording, in the manner of `vidnoise.live.mux.Muxer`.

    Pieces of ten minutes begin at :00, :10 and so on, by the local clock; the first may be shorter. They begin at the
    next keyframe, which whoever encodes makes of the first picture after `round_after`. The first one is there from the
    start, so that a place that cannot be written to is known at once.
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
        self._pruning: threading.Thread | None = None
        with self._leaving_none_empty():
            self._begin()

    def write(self, packet: Packet) -> None:
        """Write one packet, in the next piece where it is time for that."""
        with self._leaving_none_empty():
            if packet.stream == VIDEO and packet.key and self._is_over():
                self._begin()
            if self._piece is not None:
                self._piece.write(packet)

    def close(self) -> None:
        """End the current piece; one that nothing came for is removed."""
        if self._piece is not None:
            self._piece.close()
            if self._piece.is_empty:
                self._path.unlink(missing_ok=True)
            self._piece = None

    @contextlib.contextmanager
    def _leaving_none_empty(self) -> Iterator[None]:
        """On a full disk there would be an empty piece for each try."""
        try:
            yield
        except OSError as failure:
            if self._path.is_file() and not self._path.stat().st_size:
                self._path.unlink()
            if failure.errno in (errno.ENOSPC, errno.EDQUOT):
                raise OutputError(FULL) from failure
            raise

    def _is_over(self) -> bool:
        """Whether it is time for the next piece, or this one was removed or renamed."""
        if self._piece is None or is_over(self._until, self._now(), self._place.segment):
            return True
        return not self._path.exists()

    def _begin(self) -> None:
        self.close()
        now = self._now()
        self._until = round_after(now, self._place.segment)
        path = self._path = free(Path(time.strftime(self._place.url, time.localtime(now))))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._prune(now)  # first: it may make the room that the new piece needs
        place = self._place
        self._piece = Muxer(str(path), place.format, place.options, self._head, self._warn, zero=None)

    def _prune(self, now: float) -> None:
        """Of tens of thousands of pieces, over a network, it takes longer than pictures can wait."""
        if self._pruning is not None and self._pruning.is_alive():
            return
        work = (self._place, now, self._path, self._warn)
        self._pruning = threading.Thread(target=prune, args=work, daemon=True)
        self._pruning.start()
        self._pruning.join(PRUNING)


def round_after(now: float, length: float) -> float:
    """When the next piece begins, of pieces that last `length` seconds; times are seconds of the clock."""
    until = now + length - (now + _ahead(now)) % length
    if _is_round(until, length):
        return until
    # Days in which summer time begins or ends are shorter or longer.
    moved = until + _ahead(now) - _ahead(until)
    return moved if _is_round(moved, length) and not is_over(moved, now, length) else until


def _is_round(moment: float, length: float) -> bool:
    return round(moment + _ahead(moment)) % length == 0


def _ahead(moment: float) -> int:
    """Seconds by which the clock on the wall is ahead of UTC then."""
    return time.localtime(moment).tm_gmtoff


def is_over(until: float, now: float, length: float) -> bool:
    """Whether a piece of `length` seconds that lasts `until` then is over; so it is where the clock was set back by far."""
    return not 0 < until - now <= 2 * length


def prune(place: Destination, now: float, current: Path, warn: Callable[[str], None]) -> None:
    """Remove the oldest pieces until the others are within what `place` keeps; the current one stays."""
    if place.keep_seconds is None and place.keep_bytes is None:
        return
    pieces = sorted(_files(path for path in pieces_of(place.url) if path != current))
    room = place.keep_bytes
    total = sum(size for _, size, _ in pieces)
    for written, size, path in pieces:
        old = place.keep_seconds is not None and now - written > place.keep_seconds
        if not old and (room is None or total <= room):
            continue
        try:
            path.unlink(missing_ok=True)
            total -= size
        except OSError as failure:
            warn(f"{path} cannot be removed: {failure.strerror}")
        _leave(path.parent, current)


def _leave(folder: Path, current: Path) -> None:
    """Remove a folder, as of a day, that has become empty, and those of the month and the year."""
    with contextlib.suppress(OSError):  # there is more in it
        while folder not in current.parents:
            folder.rmdir()
            folder = folder.parent


def _files(paths: Iterable[Path]) -> Iterator[tuple[float, int, Path]]:
    """When each file was written, its size and path; what somebody removes meanwhile is left out."""
    for path in paths:
        with contextlib.suppress(OSError):
            found = path.stat()
            if stat.S_ISREG(found.st_mode):
                yield found.st_mtime, found.st_size, path


def pieces_of(pattern: str) -> list[Path]:
    """What has a name that a pattern with `%Y`, `%H` and the like can have made."""
    fixed = Path(pattern.split("%")[0] + "x").parent
    inner = Path(pattern).relative_to(fixed)
    stem, suffix = os.path.splitext(inner)
    parts = LETTER.split(stem)
    parts[::2], parts[1::2] = map(re.escape, parts[::2]), map(stands_for, parts[1::2])
    known = re.compile("".join(parts) + rf"(_[1-9]\d*)?{re.escape(suffix)}")  # with the numbers of `free`
    # There may be a hundred thousand.
    names = glob.glob("/".join("*" * len(inner.parts)), root_dir=fixed, include_hidden=True)
    return [fixed / name for name in names if known.fullmatch(name)]


def free(path: Path) -> Path:
    """The path itself, or one with a number where there is a recording of that name, as after a restart."""
    candidate, number = path, 1
    while candidate.is_file() and candidate.stat().st_size:  # an empty one is left by a try that failed
        candidate, number = path.with_name(f"{path.stem}_{number}{path.suffix}"), number + 1
    return candidate
