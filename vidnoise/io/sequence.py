"""Numbered pictures (`frames/%05d.png`) and single pictures, in and out.

The numbers are the clock: picture n is shown at (n - first) / rate seconds, so a gap in the numbering is a
gap in time, and pictures that come from a sequence keep their numbers.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidnoise.errors import InputError, OutputError, UsageError, missing_folder
from vidnoise.frame import Frame, StreamInfo
from vidnoise.io.demux import Demuxer
from vidnoise.io.failures import reason
from vidnoise.io.part import Part
from vidnoise.io.picture_tags import PictureTags, read_tags, takes_tags, turned, with_tags
from vidnoise.io.protocols import LOCAL
from vidnoise.io.rates import USUAL
from vidnoise.io.reader import Decoding, Reader
from vidnoise.io.target import Target
from vidnoise.options import Option, check

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

    from vidnoise.colour import Colour, PixelFormat, Planes
    from vidnoise.io.output_options import OutputOptions

ENCODERS = {
    ".png": ("png", {"pred": "paeth", "compression_level": "3"}),
    ".jpg": ("mjpeg", {}),
    ".jpeg": ("mjpeg", {}),
    ".tif": ("tiff", {}),
    ".tiff": ("tiff", {}),
    ".bmp": ("bmp", {}),
    ".webp": ("libwebp", {"lossless": "1"}),
    ".ppm": ("ppm", {}),
    ".pgm": ("pgm", {}),
}
"""Picture files that can be written, by extension: encoder and settings. All but JPEG are without loss."""

PICTURES = {*ENCODERS, ".avif", ".dpx", ".exr", ".jp2", ".tga"}
"""Those that come as numbered pictures."""

JPEG_QUALITY = 2.0
"""The quantiser of JPEG, visually lossless."""

_NUMBER = re.compile(r"%(0?)(\d*)d")
_LAYOUTS = {
    ("gray", False): (["gray"], ["gray16be", "gray16le"]),
    ("gray", True): (["ya8"], ["ya16be", "ya16le"]),
    ("rgb", False): (["rgb24", "bgr24"], ["rgb48be", "rgb48le"]),
    ("rgb", True): (["rgba", "bgra"], ["rgba64be", "rgba64le"]),
}
_JPEG_SAMPLING = {(1, 1): 420, (1, 0): 422, (0, 0): 444}


@dataclass(frozen=True)
class Pattern:
    """A path with one number in its name, `folder/name%05d.png`."""

    folder: Path
    before: str
    width: int
    after: str

    @staticmethod
    def parse(text: str | Path) -> Pattern | None:
        """None where the name holds no `%d`.

        Raises:
            UsageError: it holds several, or the folder does.
        """
        path = Path(text)
        found = list(_NUMBER.finditer(path.name))
        if not found:
            return None
        if len(found) > 1 or _NUMBER.search(str(path.parent)):
            raise UsageError(f"{text}: one number is allowed, in the file's name, as in frames/%05d.png")
        (mark,) = found
        before, after = (
            path.name[: mark.start()].replace("%%", "%"),
            path.name[mark.end() :].replace("%%", "%"),
        )
        return Pattern(path.parent, before, int(mark[2] or 0) if mark[1] else 0, after)

    def path(self, number: int) -> Path:
        """The file of a number."""
        return self.folder / f"{self.before}{number:0{self.width}d}{self.after}"

    def numbers(self) -> list[int]:
        """The numbers whose files exist, sorted."""
        name = re.compile(re.escape(self.before) + r"(\d+)" + re.escape(self.after))
        found = {int(match[1]) for entry in os.listdir(self.folder) if (match := name.fullmatch(entry))}
        return sorted(number for number in found if self.path(number).exists())

    def __str__(self) -> str:
        number = f"%0{self.width}d" if self.width else "%d"
        return str(self.folder / f"{self.before}{number}{self.after}")


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


class PictureWriter:
    """Frames as numbered pictures, or one frame as one picture; every file is whole or not there.

    Attributes:
        warnings: sentences for the user about what could not be kept.
        encoder: the encoder in words.
    """

    def __init__(
        self, target: str | Path, reader: Reader | None, info: StreamInfo, options: OutputOptions
    ) -> None:
        import av

        self.warnings: list[str] = []
        self._reader, self._options = reader, options
        self._target = Path(target)
        self._pattern = Pattern.parse(target)
        self._suffix = self._target.suffix.lower()
        name, self._settings = ENCODERS[self._suffix]
        _check_options(options, self._suffix, name)
        self._codec = av.Codec(name, "w")
        self._layouts = [format.name for format in self._codec.video_formats or []]
        self._layout = self._choose(info.format)
        self.encoder = f"{name} {self._layout}"
        self._written = 0
        self._pending: list[Future[None]] = []
        self._check_places(info)
        self._check_tags()
        self._ahead = options.threads or min(4, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(self._ahead, "picture")

    def write(self, frame: Frame) -> None:
        """Encode and save one frame; returns before it is saved, but never more than a few frames ahead.

        Raises:
            UsageError: the target is one picture and this is the second; or the file exists.
            OutputError: the disk refused an earlier frame.
        """
        path = self._path(frame)
        self._written += 1
        planes, format, colour = self._planes(frame)
        tags = self._tags(frame)
        size = frame.width, frame.height
        self._pending.append(self._pool.submit(self._save, path, planes, format, colour, size, tags))
        while len(self._pending) > self._ahead:
            self._pending.pop(0).result()

    def finish(self) -> None:
        """Wait until everything is saved.

        Raises:
            OutputError: the disk refused.
        """
        try:
            for saved in self._pending:
                saved.result()
        finally:
            self.abort()

    def abort(self) -> None:
        """Stop; pictures that are whole stay. Safe to call at any time."""
        self._pool.shutdown(cancel_futures=True)

    def _choose(self, format: PixelFormat) -> str:
        """The pixel format of the files: the poorest that holds everything, or the best there is."""
        wanted = self._options.pix_fmt
        if wanted is not None:
            if wanted not in self._layouts:
                known = ", ".join(self._layouts)
                raise UsageError(f"{self._suffix} cannot hold --pix-fmt {wanted}; it can hold {known}")
            return wanted
        if self._codec.name == "mjpeg":
            if format.alpha:
                self.warnings.append("JPEG cannot hold transparency, it is left out; .png can")
            if format.depth > 8:
                self.warnings.append(f"JPEG holds 8 of {format.depth} bits; .png holds 16")
            shifts = (format.chroma_w, format.chroma_h) if format.family == "yuv" else (0, 0)
            return f"yuvj{_JPEG_SAMPLING.get(shifts, 444)}p"
        tone = "gray" if format.family == "gray" else "rgb"
        kinds = [(tone, format.alpha), ("rgb", format.alpha), (tone, False), ("rgb", False), ("rgb", True)]
        names = [name for kind in kinds for name in _layout_names(kind, format.depth > 8)]
        found = next((name for name in names if name in self._layouts), None)
        if found is None:
            raise OutputError(f"{self._suffix} cannot hold these pictures; use .png")
        self._warn_of_loss(format, found)
        return found

    def _warn_of_loss(self, format: PixelFormat, layout: str) -> None:
        from vidnoise.io.planes import pixel_format

        held = pixel_format(layout)
        if format.alpha and not held.alpha:
            self.warnings.append(f"{self._suffix} cannot hold transparency, it is left out; .png can")
        if format.depth > held.depth:
            self.warnings.append(f"{self._suffix} holds {held.depth} of {format.depth} bits; .png holds 16")

    def _check_places(self, info: StreamInfo) -> None:
        folder = self._target.parent
        if not folder.is_dir():
            raise missing_folder(folder)
        if self._pattern is None:
            if (info.frames or 0) > 1:
                raise self._too_many()
            Target(self._target, self._source(), overwrite=self._options.overwrite).discard()
            return
        there = self._pattern.numbers()
        if isinstance(self._reader, SequenceReader) and _same_files(
            self._pattern, self._reader.packets.pattern
        ):
            raise UsageError(f"{self._pattern} is the input itself; give the output another name or folder")
        if there and not self._options.overwrite:
            others = f" and {len(there) - 1} more" if len(there) > 1 else ""
            raise UsageError(
                f"{self._pattern.path(there[0])}{others} exist; add --overwrite, or give another folder"
            )

    def _check_tags(self) -> None:
        """Warn where rotation, a profile, EXIF or resolution is lost, or may be as its format is not read for them."""
        if self._reader is None:
            return
        if self._reader.facts.matrix and not takes_tags(self._suffix):
            self.warnings.append(f"{self._suffix} cannot hold the rotation of the input; .png and .jpg can")
        if not self._reader.of_pictures:
            return
        known = Path(self._reader.source).suffix.lower()
        lost = not takes_tags(self._suffix) and read_tags(self._reader.first_file)
        if lost or known in (".tif", ".tiff", ".webp"):
            self.warnings.append(
                f"colour profile, EXIF and resolution of {known} pictures are not carried to {self._suffix}; "
                "between .png and .jpg they are"
            )

    def _source(self) -> str | None:
        return self._reader.source if self._reader else None

    def _too_many(self) -> UsageError:
        numbered = self._target.with_name(f"{self._target.stem}%05d{self._target.suffix}")
        return UsageError(
            f"{self._target} is one picture, the input has more; type {shlex.quote(str(numbered))} for all"
        )

    def _path(self, frame: Frame) -> Path:
        if self._pattern is None:
            if self._written:
                raise self._too_many()
            return self._target
        if isinstance(self._reader, SequenceReader):
            return self._pattern.path(self._reader.number(frame))
        return self._pattern.path(self._written + 1)

    def _tags(self, frame: Frame) -> PictureTags:
        if not takes_tags(self._suffix) or self._reader is None:
            return PictureTags()
        if isinstance(self._reader, SequenceReader):
            return self._reader.tags(frame)
        if self._reader.of_pictures:
            return read_tags(self._reader.first_file)
        return turned(self._reader.facts.matrix) if self._reader.facts.matrix else PictureTags()

    def _planes(self, frame: Frame) -> tuple[Planes, PixelFormat, Colour]:
        """The planes as the files hold them: full range; RGB, or BT.601 in JPEG (JFIF 1.02)."""
        from vidnoise.io.planes import pixel_format, planes_in

        format = pixel_format(self._layout)
        jpeg = format.family == "yuv"
        said = frame.colour.resolved(frame.height, frame.format.family)
        colour = replace(frame.colour, range=2, matrix=(5 if jpeg else frame.colour.matrix))
        fits = said.range == 2 and (not jpeg or said.matrix in (5, 6))
        shape = (format.family, format.depth, format.chroma_w, format.chroma_h, format.alpha)
        own = frame.format
        same = fits and shape == (own.family, own.depth, own.chroma_w, own.chroma_h, own.alpha)
        if same and not frame.touched and frame.planes is not None:
            return frame.planes, format, colour
        if format.family == "rgb":
            colour = replace(colour, matrix=0)
        return planes_in(frame, format, colour), format, colour

    def _save(
        self,
        path: Path,
        planes: Planes,
        format: PixelFormat,
        colour: Colour,
        size: tuple[int, int],
        tags: PictureTags,
    ) -> None:
        """Encode into a temporary file beside the target, and rename it."""
        from vidnoise.io.planes import to_av

        picture = to_av(tuple(plane.cpu() for plane in planes), format, *size)
        data = with_tags(self._encode(picture, colour, size), tags)
        place = Target(path, self._source(), overwrite=self._options.overwrite)
        try:
            place.temporary.write_bytes(data)
            place.commit()
        except OSError as failure:
            raise OutputError(f"cannot write {path}: {failure.strerror}") from failure
        finally:
            place.discard()

    def _encode(self, picture: av.VideoFrame, colour: Colour, size: tuple[int, int]) -> bytes:
        import av

        context: Any = av.CodecContext.create(self._codec, "w")
        context.width, context.height = size
        context.pix_fmt = self._layout
        context.time_base = 1 / USUAL
        context.thread_count = 1
        context.color_range = 2
        settings = dict(self._settings)
        if self._codec.name == "mjpeg":
            quality = f"{float(JPEG_QUALITY if self._options.crf is None else self._options.crf):g}"
            settings |= {"qmin": quality, "qmax": quality, "b": "200M"}
        context.options = settings | dict(self._options.encoder_opts)
        if picture.format.name != self._layout:
            picture = picture.reformat(format=self._layout)
        picture.color_range, picture.pts = 2, 0
        picture.color_primaries, picture.color_trc = colour.primaries, colour.transfer
        try:
            return b"".join(bytes(packet) for packet in [*context.encode(picture), *context.encode(None)])
        except (av.error.FFmpegError, ValueError) as failure:
            raise OutputError(f"{self._codec.name} cannot encode {self._target}: {failure}") from failure


def pattern_in(folder: str) -> str:
    """What to type for the numbered pictures of a folder: a pattern after the shortest of their names, or an example."""
    names = os.listdir(folder or ".") if os.path.isdir(folder or ".") else []
    for name in sorted(names, key=lambda name: (len(name), name)):
        before, digits, after = re.fullmatch(r"(.*?)(\d*)(\D*)", name, re.DOTALL).groups()  # type: ignore[union-attr]
        if digits and os.path.splitext(name)[1].lower() in PICTURES:
            return os.path.join(folder, f"{before.replace('%', '%%')}%0{len(digits)}d{after}")
    return os.path.join(folder, "%05d.png")


def open_pictures(
    target: str | Path, reader: Reader | None, info: StreamInfo, options: OutputOptions
) -> PictureWriter | None:
    """A writer of pictures, or None where the target is no picture: `50%d.mp4` is a video.

    Raises:
        UsageError: files exist, the target is the input, several frames would go into one picture, or options
            do not fit.
        OutputError: the folder is missing or the pixels do not fit.
    """
    if Path(target).suffix.lower() in ENCODERS:
        return PictureWriter(target, reader, info, options)
    return None


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


def _layout_names(kind: tuple[str, bool], deep: bool) -> list[str]:
    flat, wide = _LAYOUTS[kind]
    return wide + flat if deep else flat


def _check_options(options: OutputOptions, suffix: str, name: str) -> None:
    if options.preset is not None:
        raise UsageError(f"--preset does not apply to {suffix} pictures")
    if options.codec is not None and options.codec != name:
        raise UsageError(f"{suffix} pictures are made by {name}, not --codec {options.codec}")
    if options.crf is not None and (name != "mjpeg" or not 1 <= options.crf <= 31):
        raise UsageError(
            f"--crf does not apply to {suffix} pictures (to .jpg it does: 1 the best, 31 the worst)"
        )


def _same_files(a: Pattern, b: Pattern) -> bool:
    same_names = (a.before, a.after) == (b.before, b.after)
    return same_names and os.path.samefile(a.folder, b.folder)
