"""Inputs and outputs by their names."""

from __future__ import annotations

import os
import shlex
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from vidnoise.device import check_device
from vidnoise.errors import InputError, UsageError
from vidnoise.frame import StreamInfo
from vidnoise.io import failures, pipes
from vidnoise.io.cut_off import without_index
from vidnoise.io.demux import Demuxer
from vidnoise.io.output import OutputOptions
from vidnoise.io.part import Part, chosen
from vidnoise.io.picture_names import pattern_in
from vidnoise.io.picture_writer import PictureWriter, open_pictures
from vidnoise.io.protocols import Location, locate, mask, mask_whole
from vidnoise.io.reader import Decoding, Reader
from vidnoise.io.sequence import open_sequence
from vidnoise.io.target import Target
from vidnoise.io.writer import Writer
from vidnoise.options import MOST_THREADS, Option, check, check_kind, check_path

if TYPE_CHECKING:
    from av.container import InputContainer

    from vidnoise.device import Device


def open_reader(
    source: str | os.PathLike[str],
    *,
    start: float | None = None,
    duration: float | None = None,
    threads: int = 0,
    deinterlace: bool = False,
    assume_progressive: bool = False,
    device: Device | None = None,
    rate: Fraction | float | None = None,
) -> Reader:
    """Open an input for cleaning.

    Args:
        source: a path, numbered pictures (`frames/%05d.png`), `-` for the standard input, or a URL of an
            allowed protocol (`vidnoise.io.protocols`).
        start: seconds from the beginning of the file to leave out; the times of frames count from there.
        duration: seconds to keep.
        threads: of the decoder; 0 means as many as there are processors.
        deinterlace: make whole pictures of interlaced ones with bwdif, one for each.
        assume_progressive: take the pictures as whole, whatever they look like.
        device: a CUDA device decodes with NVDEC where that can, and frames stay on it.
        rate: numbered pictures a second; 25 if not given.

    Raises:
        InputError: the input cannot be opened, or holds no video that can be decoded, or is interlaced, or has no times
            by which `start` could be found.
        UsageError: `start` or `duration` is out of range, or the protocol is not allowed.
    """
    check_path("source", source)
    if device is not None:
        check_device(device)
    check("input", "threads", threads, int, Option(help="", low=0, high=MOST_THREADS))
    check("input", "deinterlace", deinterlace, bool, Option(help=""))
    check("input", "assume_progressive", assume_progressive, bool, Option(help=""))
    begin, length = chosen(start, duration)
    how = Decoding(threads, deinterlace, assume_progressive, device)
    source = source if isinstance(source, str) else Path(source)
    if sequence := open_sequence(source, rate, begin, length, how):
        return sequence
    if rate is not None:
        raise UsageError(
            f"--rate is for numbered pictures such as frames/%05d.png, not for {mask(str(source))}"
        )
    place = locate(source)
    _check(place)
    container = _open(place)
    try:
        part = Part.of(container, begin, length)
        return Reader(Demuxer(container, place.name, part, seekable=place.seekable), how)
    except BaseException:
        pipes.close(container)
        raise


def _open(place: Location) -> InputContainer:
    import av

    is_pipe = place.url == pipes.STDIN_URL or (place.kind == "file" and pipes.is_named(place.name))
    try:
        return av.open(
            pipes.Source(place.url) if is_pipe else place.url,
            "r",
            format=place.format,
            metadata_errors="replace",
            options=place.options,
            timeout=failures.PATIENCE if place.kind == "network" else None,
        )
    except pipes.Interrupted as stop:
        raise KeyboardInterrupt from stop
    except (av.error.FFmpegError, OSError) as failure:
        reason = mask(failures.reason(failure))
        raise InputError(
            f"{place.name} cannot be read as video: {reason}{_hint(place, failure)}"
        ) from failure


def _hint(place: Location, failure: Exception) -> str:
    """What may help where an input could not be read."""
    hint = pipes.hint(place.url) or _of_pieces(place.name)
    if hint or place.kind != "file":
        return hint
    return _of_list(place.name) if isinstance(failure, PermissionError) else without_index(place.name)


def _check(place: Location) -> None:
    if place.kind == "file":
        _check_file(place.name)
    if place.kind == "stdin":
        pipes.check_stdin()


def _check_file(name: str) -> None:
    if not name:
        raise InputError(
            "the name of the input is empty; give a file, a URL, or a pattern such as frames/%05d.png"
        )
    if pipes.is_named(name):  # whatever is read of it here is missed later
        return
    path = Path(name)
    try:
        if path.is_dir():
            raise InputError(f"{name} is a folder; give a file, or a pattern such as {pattern_in(name)}")
        with path.open("rb") as file:
            empty = not file.read(1)
    except (OSError, ValueError) as failure:
        many = set(name) & set("*?")
        hint = f"; numbered pictures are given as {pattern_in(os.path.dirname(name))}" if many else ""
        raise InputError(f"{name} cannot be opened: {failures.reason(failure)}{hint}") from failure
    if empty:
        raise InputError(f"{name} is empty (0 bytes)")


def _of_pieces(name: str) -> str:
    """What to type for a list of DASH, which PyAV's FFmpeg does not read; nothing for other names."""
    path = Path(name)
    if path.suffix.lower() != ".mpd":
        return ""
    return f"; type: ffmpeg -i {shlex.quote(name)} -c copy {shlex.quote(path.stem + '.mkv')}, and give that"


def _of_list(name: str) -> str:
    """What to type for a list of files whose names FFmpeg does not trust; nothing for other files."""
    with open(name, "rb") as file:
        if file.read(8) != b"ffconcat":
            return ""
    return (
        "; a list may name files beside and below it, by letters, digits and _-./ alone; for others type: "
        f"ffmpeg -f concat -safe 0 -i {shlex.quote(name)} -c copy -f nut - | vidnoise - -o OUTPUT"
    )


def open_writer(
    target: str | os.PathLike[str],
    reader: Reader | None,
    info: StreamInfo,
    options: OutputOptions | None = None,
) -> Writer | PictureWriter:
    """Start an output file, which is whole under its name at the end of a `with`, and not there where that fails.

    Args:
        target: the final path, whose extension chooses the container; a picture (`clean.png`) or numbered
            ones (`clean/%05d.png`); or `-` for the standard output.
        reader: the input whose other streams, metadata and chapters are copied; None for pictures alone.
        info: size, time base, rate, format and colour of the frames that will be written.

    Raises:
        UsageError: the file exists, is the input, or the options do not fit; or an argument is of the wrong kind.
        OutputError: folder, permissions, container or encoder refuse.
    """
    check_path("target", target)
    check_kind("reader", reader, Reader | None, "vidnoise.io.open_reader('in.mp4'), or None")
    check_kind("info", info, StreamInfo, "reader.info")
    check_kind("options", options, OutputOptions | None, "vidnoise.io.OutputOptions(crf=18)")
    options = options or OutputOptions()
    target = target if isinstance(target, str) else Path(target)
    if target == "-":
        format = pipes.choose(options.format, options.pix_fmt or info.format.name, reader)
        return _writer(pipes.StdoutTarget(format), reader, info, options, losses=pipes.losses(format, info))
    _check_target(target, options)
    if pictures := open_pictures(target, reader, info, options):
        return pictures
    place = Target(target, reader.source if reader else None, overwrite=options.overwrite)
    raw = place.codec is not None
    return _writer(place, reader, info, options, losses=pipes.losses("y4m", info) if raw else [])


def _check_target(target: str | Path, options: OutputOptions) -> None:
    """Refuse what is no file."""
    if target == "":
        raise UsageError("the name of the output is empty; give a file, such as out.mp4")
    if isinstance(target, str) and "://" in target and not os.path.isdir(os.path.dirname(target)):
        raise UsageError(
            f"{mask_whole(target)}: a file is cleaned into a file; to send it on, type -o - | ffmpeg -re -i - -c copy "
            f"-f FORMAT URL, where FORMAT is rtsp, flv for rtmp:// and mpegts for udp://"
        )
    if options.format is not None:
        raise UsageError(
            f"--format {options.format} is for the standard output, -o -; a file is of the kind that its name says: "
            f"leave it out"
        )


def _writer(
    place: Target | pipes.StdoutTarget,
    reader: Reader | None,
    info: StreamInfo,
    options: OutputOptions,
    *,
    losses: list[str],
) -> Writer:
    try:
        if isinstance(place, Target) and place.codec is not None:
            pipes.check_y4m(options.pix_fmt or info.format.name)
        writer = Writer(place, reader, info, options)
    except BaseException:
        place.discard()
        raise
    writer.warnings += losses
    return writer
