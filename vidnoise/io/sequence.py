"""Numbered pictures (`frames/%05d.png`) as a video.

The numbers are the clock: picture n is shown at (n - first) / rate seconds, so a gap in the numbering is a
gap in time, and pictures that come from a sequence keep their numbers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidnoise.errors import InputError, UsageError
from vidnoise.io.demux import Demuxer
from vidnoise.io.failures import reason
from vidnoise.io.part import Part
from vidnoise.io.picture_names import Pattern
from vidnoise.io.picture_tags import PictureTags, read_tags
from vidnoise.io.protocols import LOCAL
from vidnoise.io.rates import USUAL
from vidnoise.io.reader import Decoding, Reader
from vidnoise.options import Option, check

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

    from vidnoise.frame import Frame


class SequencePackets(Demuxer):
    """The files of numbered pictures as the packets of a video.

    Attributes:
        pattern: the pictures' names.
        rate: pictures a second.
        origin: the number that time 0 stands for.
        numbers: those in the part that was asked for.
    """

    def __init__(
        self, pattern: Pattern, rate: Fraction, start: Fraction | None, duration: Fraction | None
    ) -> None:
        self.pattern, self.rate = pattern, rate
        there = _existing(pattern)
        self.origin = there[0] + ceil((start or 0) * rate)
        last = there[-1] if duration is None else self.origin - 1 + ceil(duration * rate)
        self.numbers = [number for number in there if self.origin <= number <= last]
        if not self.numbers:
            found = f"{len(there)} pictures, {float(rate):g} a second"
            raise InputError(
                f"{pattern}: no picture lies in the part chosen by --start and --duration; there are {found}"
            )
        self.first_number = self.numbers[0]
        super().__init__(_open(pattern.path(there[0]), rate), str(pattern), Part(end=duration))

    def __iter__(self) -> Iterator[av.Packet[Any]]:
        import av

        for number in self.numbers:
            try:
                data = self.pattern.path(number).read_bytes()
            except OSError:
                data = b""
            if not data:
                self.losses.packets += 1
                continue
            packet = av.Packet(data)
            packet.time_base = 1 / self.rate
            packet.pts = packet.dts = number - self.origin
            packet.duration = 1
            packet.is_keyframe = True  # or FFmpeg's PNG decoder adds the picture to the one before
            yield packet


def _open(path: Path, rate: Fraction) -> InputContainer:
    import av

    settings = {"framerate": str(rate), "pattern_type": "none", "protocol_whitelist": LOCAL}
    try:
        return av.open(f"file:{path}", format="image2", options=settings)
    except (av.error.FFmpegError, OSError) as failure:
        raise InputError(f"{path} cannot be read as a picture: {reason(failure)}") from failure


class SequenceReader(Reader):
    """Numbered pictures as a video. A gap in the numbers is a gap in time, and starts a new scene."""

    packets: SequencePackets

    def __init__(self, packets: SequencePackets, how: Decoding) -> None:
        self._expected: int | None = None
        self._size: tuple[int, int] | None = None
        super().__init__(packets, how)
        self.info = replace(self.info, frames=len(packets.numbers), rate=packets.rate)
        self.warnings += _gap_warnings(packets.pattern, packets.numbers)

    @property
    def first_file(self) -> Path:
        """The file of the first picture."""
        return self.packets.pattern.path(self.packets.first_number)

    @property
    def seconds(self) -> float:
        """How long the pictures are shown, gaps included."""
        return float((self.packets.numbers[-1] - self.packets.origin + 1) / self.packets.rate)

    def number(self, frame: Frame) -> int:
        """The number of the picture that a frame comes from."""
        return self.packets.origin + round((frame.pts or 0) * frame.time_base * self.packets.rate)

    def tags(self, frame: Frame) -> PictureTags:
        """The profile, EXIF and resolution of the picture that a frame comes from."""
        return read_tags(self.packets.pattern.path(self.number(frame)))

    def _check(self, frame: av.VideoFrame) -> None:
        super()._check(frame)
        number = self.packets.origin + (frame.pts or 0)
        size = (frame.width, frame.height)
        if self._size is not None and size != self._size:
            old, new = (f"{width}x{height}" for width, height in (self._size, size))
            raise InputError(
                f"{self.packets.pattern.path(number)} is {new}, the pictures before it are {old}: "
                "a sequence has one size; clean them apart or scale them first"
            )
        self._size = size
        self._decoder.gap |= self._expected is not None and number != self._expected
        self._expected = number + 1


def open_sequence(
    source: str | Path,
    rate: Fraction | float | None,
    start: Fraction | None,
    duration: Fraction | None,
    how: Decoding,
) -> SequenceReader | None:
    """Numbered pictures as a video, or None where the source is no pattern, or a file of that very name.

    Args:
        source: a path such as `frames/%05d.png`.
        rate: pictures a second, 25 if not given.
        start: seconds of the pictures that are left out.
        duration: seconds of them that are kept.
        how: they are decoded on the CPU, whatever it says of a device.

    Raises:
        InputError: there are no such pictures, they cannot be read, or differ in size.
        UsageError: the pattern holds several numbers, or the rate is not positive.
    """
    if os.path.exists(source):
        return None
    pattern = Pattern.parse(source)
    if pattern is None:
        return None
    check("input", "rate", rate, float | None, Option(help="", unit="pictures a second"))
    exact = USUAL if rate is None else Fraction(rate).limit_denominator(1001)
    if exact <= 0:
        raise UsageError(f"--rate must be more than 0 pictures a second, not {rate}")
    packets = SequencePackets(pattern, exact, start, duration)
    try:
        return SequenceReader(packets, replace(how, device=None))
    except BaseException:
        packets.container.close()
        raise


def _existing(pattern: Pattern) -> list[int]:
    if not pattern.folder.is_dir():
        raise InputError(f"{pattern}: there is no folder {pattern.folder}")
    if numbers := pattern.numbers():
        return numbers
    ending = pattern.after.lower()
    similar = sorted(entry for entry in os.listdir(pattern.folder) if entry.lower().endswith(ending))
    hint = f"; there is {similar[0]}" if similar else ""
    raise InputError(f"{pattern}: no such pictures in {pattern.folder}{hint}")


def _gap_warnings(pattern: Pattern, numbers: list[int]) -> list[str]:
    """The missing numbers in words, at most five runs of them."""
    runs = [(a + 1, b - 1) for a, b in pairwise(numbers) if b > a + 1]
    if not runs:
        return []
    words = [f"{first}" if first == last else f"{first} to {last}" for first, last in runs[:5]]
    more = f" and {len(runs) - 5} more gaps" if len(runs) > 5 else ""
    return [
        f"{pattern}: missing {', '.join(words)}{more}; numbers are kept, what follows a gap is a new scene"
    ]
