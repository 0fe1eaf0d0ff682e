"""The standard input and output as video: `ffmpeg ... -f nut - | vidnoise - -o - | ffmpeg -i - ...`.

Two formats travel uncompressed. NUT holds every pixel format, exact timestamps, and the other streams as they
are. Y4M is understood by more programs, but holds pictures only, at one frame rate, in some pixel formats.
Neither holds colour tags beyond Y4M's range: a warning says so where the next program would guess wrongly.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from vidnoise.errors import OutputError, UsageError

if TYPE_CHECKING:
    from av.container import InputContainer

    from vidnoise.frame import Frame, StreamInfo
    from vidnoise.io.reader import Reader

FORMATS = {"nut": "nut", "y4m": "yuv4mpegpipe"}
"""What the standard output can be, and FFmpeg's names for it."""

TAIL = 1 << 16
"""Bytes at the end of an input that are looked at: a page of Ogg is as long."""

STDIN_URL = "pipe:0"
"""FFmpeg's name of the standard input."""

Y4M = frozenset(
    ["gray", "yuv411p", "yuv420p", "yuv422p", "yuv444p", "yuva444p"]
    + [f"gray{depth}le" for depth in (9, 10, 12, 16)]
    + [f"yuv{chroma}p{depth}le" for chroma in (420, 422, 444) for depth in (9, 10, 12, 14, 16)]
)
"""Pixel formats of Y4M as FFmpeg writes it."""

NOT_NUT = frozenset(["yuv440p10le", "yuv440p12le"])
"""Pixel formats that NUT has no code for; FFmpeg writes a wrong one without a word."""


class DownstreamError(OutputError):
    """The program that read the standard output has ended: nobody is left to be told."""


class Interrupted(Exception):
    """Ctrl-C while a pipe was read: PyAV hands on an Exception, and takes anything else for the end of the input."""


class Source:
    """A pipe that is read. FFmpeg itself would not tell how much came out of it, nor stop waiting on Ctrl-C.

    Attributes:
        name: its URL.
        size: how many bytes have come out of it.
        tail: the last of them.
    """

    def __init__(self, url: str) -> None:
        self.name, self.size, self.tail = url, 0, b""
        path = 0 if url == STDIN_URL else url.removeprefix("file:")
        self._file = open(path, "rb", buffering=0, closefd=path != 0)  # noqa: SIM115

    def read(self, count: int) -> bytes:
        """The next bytes, at most `count`; none at the end.

        Raises:
            Interrupted: on Ctrl-C.
        """
        try:
            while (data := self._file.read(count)) is None:  # whoever shares it does not want to wait
                select.select([self._file], [], [])
        except KeyboardInterrupt as stop:
            raise Interrupted from stop
        self.size += len(data)
        self.tail = (self.tail + data)[-TAIL:]
        return data

    def close(self) -> None:
        """Let go of it, so that whoever writes into it is told; the standard input stays open."""
        self._file.close()


def close(container: InputContainer) -> None:
    """Close an input, and the pipe that it comes out of."""
    container.close()
    if container.file:
        container.file.file.close()


def check_stdin() -> None:
    """Refuse to wait for a person to type a video.

    Raises:
        UsageError: the standard input is a terminal.
    """
    if os.isatty(0):
        raise UsageError("nothing is piped into the standard input; give a file, or pipe a video into -")


def is_named(path: str) -> bool:
    """Whether it is a named pipe, whose first byte can be read but once; not, where nobody can tell."""
    try:
        return Path(path).is_fifo()
    except OSError:
        return False


def hint(url: str, format: str = "mov") -> str:
    """What may mend an input that could not be read from a pipe; nothing for other inputs and formats."""
    piped = url.startswith("pipe:") or is_named(url.removeprefix("file:"))
    if not piped or "mov" not in format:
        return ""
    return "; a pipe cannot be rewound: MP4 needs its index first (-movflags +faststart), or type - < FILE"


def choose(format: str | None, pix_fmt: str, reader: Reader | None) -> str:
    """Which of `FORMATS` to write: as asked, or Y4M where the input is and it can hold the pixels, or NUT.

    Raises:
        UsageError: the format is unknown or cannot hold `pix_fmt`; the message says what can.
    """
    if format is not None and format not in FORMATS:
        raise UsageError(f"--format {format}: the standard output can be {' or '.join(FORMATS)}")
    if format == "y4m":
        check_y4m(pix_fmt, "--format nut, or ")
    from_y4m = reader is not None and reader.container.format.name == FORMATS["y4m"]
    chosen = format or ("y4m" if from_y4m and pix_fmt in Y4M else "nut")
    if chosen == "nut" and pix_fmt in NOT_NUT:
        raise UsageError(f"nut cannot hold {pix_fmt}; type --pix-fmt {_nearest(pix_fmt)}")
    return chosen


def check_y4m(pix_fmt: str, other: str = "") -> None:
    """Refuse pixels that Y4M cannot hold; `other` is what else may be typed.

    Raises:
        UsageError: the message says what it can hold.
    """
    if pix_fmt not in Y4M:
        raise UsageError(f"y4m cannot hold {pix_fmt}; type {other}--pix-fmt {_nearest(pix_fmt)}")


def losses(format: str, info: StreamInfo) -> list[str]:
    """What the chosen format does not carry of this input, in sentences."""
    said = []
    meant, guessed = info.colour, type(info.colour)().resolved(info.height, info.format.family)
    known = meant.resolved(info.height, info.format.family)
    if info.format.family == "yuv" and known.matrix != guessed.matrix:
        said.append(
            f"{format} does not say which colour matrix is used ({known.matrix}); tell the next program"
        )
    if info.format.family == "yuv" and known.range != guessed.range and format == "nut":
        said.append("nut does not say that the colours use the full range; tell the next program")
    return said


class SteadyClock:
    """Time as Y4M knows it: one tick a frame. `warn` is told once where the frames' own times differ."""

    def __init__(self, rate: Fraction, warn: Callable[[str], None]) -> None:
        self._rate, self._warn = rate, warn
        self._count = 0
        self._origin: Fraction | None = None
        self._uneven = False

    def tick(self, frame: Frame) -> int:
        """The frame's number."""
        number, self._count = self._count, self._count + 1
        time = (frame.pts or 0) * frame.time_base * self._rate
        if self._origin is None:
            self._origin = time
        if not self._uneven and abs(time - self._origin - number) > Fraction(1, 2):
            self._uneven = True
            self._warn("y4m has one frame rate: uneven timestamps are lost; --format nut keeps them")
        return number


class StdoutTarget:
    """The standard output as a place for video, in the manner of `vidnoise.io.target.Target`.

    While it is open the video has the real standard output to itself: whatever else prints there goes to the
    standard error instead.

    Raises:
        UsageError: the standard output is a terminal.
        OutputError: it is closed.
    """

    path = Path("the standard output")
    codec = "rawvideo"

    def __init__(self, format: str) -> None:
        self.kind, self.format = format, FORMATS[format]
        self.options = {"strict": "-1"} if format == "y4m" else {}
        # A closed standard output leaves its number to the next file opened: Python has noted it at start.
        if sys.__stdout__ is None:
            raise OutputError("the standard output is closed; give a file, or pipe it into a program")
        if os.isatty(1):
            raise UsageError("a terminal cannot show video; pipe the output of -o - into a program or a file")
        self._real: int | None = os.dup(1)
        sys.stdout.flush()
        os.dup2(2, 1)
        self.url = f"pipe:{self._real}"

    def commit(self) -> None:
        """All is written: give the standard output back."""
        self.discard()

    def discard(self) -> None:
        """Give the standard output back; what is written is written. Safe to call twice."""
        if self._real is None:
            return
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        os.dup2(self._real, 1)
        os.close(self._real)
        self._real = None


def _nearest(pix_fmt: str) -> str:
    opaque = pix_fmt.replace("yuva", "yuv")
    if opaque in Y4M and opaque != pix_fmt:
        return opaque
    deep = next((depth for depth in (16, 14, 12, 10, 9) if str(depth) in pix_fmt.removeprefix("yuv4")), None)
    return f"yuv444p{deep}le" if deep else "yuv444p"
