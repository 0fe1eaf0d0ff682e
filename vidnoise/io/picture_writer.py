"""Frames as picture files: numbered ones, or a single one."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidnoise.errors import OutputError, UsageError, missing_folder
from vidnoise.frame import check_frame
from vidnoise.io.picture_names import ENCODERS, Pattern
from vidnoise.io.picture_tags import PictureTags, read_tags, takes_tags, turned, with_tags
from vidnoise.io.rates import USUAL
from vidnoise.io.sequence import SequenceReader
from vidnoise.io.target import Sink, Target

if TYPE_CHECKING:
    import av

    from vidnoise.colour import Colour, PixelFormat, Planes
    from vidnoise.frame import Frame, StreamInfo
    from vidnoise.io.output import OutputOptions
    from vidnoise.io.reader import Reader

JPEG_QUALITY = 2.0
"""The quantiser of JPEG, visually lossless."""

_LAYOUTS = {
    ("gray", False): (["gray"], ["gray16be", "gray16le"]),
    ("gray", True): (["ya8"], ["ya16be", "ya16le"]),
    ("rgb", False): (["rgb24", "bgr24"], ["rgb48be", "rgb48le"]),
    ("rgb", True): (["rgba", "bgra"], ["rgba64be", "rgba64le"]),
}
_JPEG_SAMPLING = {(1, 1): 420, (1, 0): 422, (0, 0): 444}


class PictureWriter(Sink):
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
        self._source = reader.source if reader else None
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
        self._only: Callable[[], None] | None = None
        self._check_places(info)
        self._check_tags()
        self._ahead = options.threads or min(4, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(self._ahead, "picture")

    def write(self, frame: Frame) -> None:
        """Encode and save one frame; returns before it is saved, but never more than a few frames ahead.

        Raises:
            UsageError: the target is one picture and this is the second; the file exists; or it is no frame.
            OutputError: the disk refused an earlier frame.
        """
        check_frame(frame)
        path = self._path(frame)
        self._written += 1
        size = frame.width, frame.height
        save = partial(self._save, path, *self._planes(frame), size, self._tags(frame))
        if self._pattern is None:
            self._only = save  # once it is certain that no other follows
            return
        self._pending.append(self._pool.submit(save))
        while len(self._pending) > self._ahead:
            self._pending.pop(0).result()

    def finish(self) -> None:
        """Wait until everything is saved.

        Raises:
            OutputError: the disk refused.
        """
        try:
            if self._only is not None:
                self._only()
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
            Target(self._target, self._source, overwrite=self._options.overwrite).discard()
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
        same = fits and replace(format, name=frame.format.name) == frame.format
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
        place = Target(path, self._source, overwrite=self._options.overwrite)
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
