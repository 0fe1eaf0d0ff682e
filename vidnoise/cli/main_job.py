"""The main job: `vidnoise INPUT -o OUTPUT`."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidnoise.cli.errors import Status
from vidnoise.cli.live import is_live, leave, live_options, run_camera
from vidnoise.cli.options import (
    Integer,
    Rate,
    Seconds,
    SectionCommand,
    chosen_chain,
    debug_option,
    device_options,
    json_option,
    key_values,
    said,
    section,
    where,
)
from vidnoise.cli.record import ABOUT, emit
from vidnoise.options import QUALITIES
from vidnoise.plain import plain

if TYPE_CHECKING:
    from vidnoise.api import Summary
    from vidnoise.io import OutputOptions

filtering, result, part = section("Filters"), section("The result"), section("What is read")


@click.command(
    cls=SectionCommand,
    options_metavar="-o OUTPUT [OPTIONS]",
    short_help="Clean a video; the word run is needed only for a file named like a command.",
    help="Clean a video and keep everything else in the file: audio, subtitles, chapters, timestamps, colour.\n\n"
    "INPUT is a file, a URL, an image sequence such as frames/%05d.png, or - for standard input.",
)
@click.argument("source", metavar="INPUT")
@click.argument("others", nargs=-1, metavar="")
@result(
    "-o",
    "--output",
    "targets",
    multiple=True,
    metavar="OUTPUT",
    help="Where to write: a file, frames/%05d.png, or - for standard output; it appears under its name only when it is "
    "whole. For a camera also a URL, or a folder/ for HLS, and several of them.",
)
@result("--overwrite", is_flag=True, help="Replace OUTPUT where it exists.")
@filtering(
    "-f",
    "--filter",
    "filters",
    multiple=True,
    metavar="NAME[:OPTION=VALUE,...]",
    help="What to apply, in this order; may be given several times, and may be a chain: 'median,denoise:strength=0.8'. "
    "Without it: denoise,deblur, and for a camera denoise. `vidnoise filters` lists what there is; 'none' applies nothing.",
)
@filtering(
    "--quality",
    type=click.Choice(QUALITIES),
    help="Sets quality= of every filter that has it: fast for speed, balanced (default), or best, which takes "
    "several times as long.",
)
@filtering(
    "--compare",
    type=click.Choice(("split", "side")),
    help="Write before and after: split shows the left half before and the right half after, side shows both whole.",
)
@filtering(
    "--max-latency",
    type=Integer(min=0),
    metavar="FRAMES",
    help="Refuse filters that together look further ahead than this; for live streams.",
)
@filtering(
    "--print-latency",
    is_flag=True,
    help="Print how many frames the filters look ahead on this input, and end; no OUTPUT is needed.",
)
@result(
    "--codec",
    metavar="NAME",
    help="Codec (h264, hevc, av1) or encoder (libx264, h264_nvenc); by default the input's own.",
)
@result(
    "--crf",
    type=float,
    metavar="N",
    help="Quality on the encoder's own scale, lower is better; by default visually lossless.",
)
@result("--preset", metavar="NAME", help="The encoder's own speed setting, such as veryfast or slow.")
@result(
    "--pix-fmt",
    metavar="NAME",
    help="Pixel format, such as yuv420p10le; by default the input's own, so that its depth is kept.",
)
@result(
    "--encoder-opt",
    "encoder_opts",
    multiple=True,
    metavar="KEY=VALUE",
    callback=key_values,
    help="Any other option of the encoder, such as tune=grain; may be given several times.",
)
@result(
    "--audio",
    type=click.Choice(("copy", "none")),
    default="copy",
    show_default=True,
    help="Copy the sound as it is, or leave it out.",
)
@result(
    "--format",
    "format",
    metavar="NAME",
    help="Container of `-o -`: nut (default; keeps timestamps and colour) or y4m.",
)
@part(
    "--start",
    type=Seconds(),
    metavar="TIME",
    help="Leave out what is before this time: seconds, h:mm:ss or 10m.",
)
@part("--duration", type=Seconds(), metavar="TIME", help="How much to clean: seconds, h:mm:ss or 10m.")
@part(
    "--rate",
    type=Rate(),
    metavar="FPS",
    help="Frames a second of an image sequence: 25, 29.97 or 30000/1001; 25 if not given.",
)
@part(
    "--deinterlace",
    is_flag=True,
    help="Make whole frames of an interlaced input, one of each of its frames; without it such input is refused.",
)
@part(
    "--assume-progressive", is_flag=True, help="The input is not interlaced, whatever it says or looks like."
)
@device_options
@where(
    "--tile",
    type=Integer(min=0),
    default=0,
    metavar="PIXELS",
    help="Work in overlapping tiles of this size; 0 (default) chooses by the free memory.",
)
@where(
    "--threads",
    type=Integer(0, 1024),
    default=0,
    metavar="N",
    help="Most threads of decoder, filters and encoder each; 0 (default) takes all processors.",
)
@live_options
@json_option("Print one line of JSON at the end: on standard output, or on standard error with `-o -`.")
@said("-v", "--verbose", is_flag=True, help="Say what was chosen and why: device, decoder, encoder.")
@said("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@debug_option
def run(source: str, others: tuple[str, ...], targets: tuple[str, ...], as_json: bool, **chosen: Any) -> int:
    """Clean a video."""
    from vidnoise.io.protocols import mask_whole

    if others and (targets or len(others) > 1):
        raise click.UsageError(_one_at_a_time(source, others), click.get_current_context())
    if not targets and (others or not chosen["print_latency"]):
        place = others[0] if others else _suggested(source)
        raise click.UsageError(f"say where to write: -o {shlex.quote(place)}", click.get_current_context())
    target = targets[-1] if targets else None
    to_stderr = target == "-"
    names = {"input": mask_whole(source), "output": None if target is None else mask_whole(target)}
    ABOUT.set(names)
    if is_live(source, targets, chosen):
        record = run_camera(source, targets, chosen)
        if as_json:
            with contextlib.suppress(OSError):  # the terminal whose end has ended it is gone
                emit(
                    plain({"input": mask_whole(source), "status": Status.WHOLE, **record}),
                    to_stderr=to_stderr,
                )
        leave(Status.WHOLE)
    if chosen["print_latency"]:
        return _print_latency(source, as_json, chosen)
    assert target is not None
    summary = _clean(source, target, chosen)
    status = Status.LOSSES if summary.losses else Status.WHOLE
    if as_json:
        emit(plain({**names, "status": status, **asdict(summary), "fps": summary.fps}), to_stderr=to_stderr)
    return status


def _one_at_a_time(source: str, others: Sequence[str]) -> str:
    """What to type where several inputs are given, as a shell makes of `*.mp4`."""
    suffix = Path(source).suffix
    return (
        f"one INPUT at a time, not {source!r} and {len(others)} more; numbered pictures are given as frames/%05d.png, "
        f'and several videos so: for f in *{suffix}; do vidnoise "$f" -o "clean/$f"; done'
    )


def _suggested(source: str) -> str:
    """A name for the output of an input: `clip-clean.mp4` for `folder/clip.mp4`."""
    path = Path(source)
    return f"{path.stem}-clean{path.suffix}" if path.is_file() and path.suffix else "OUTPUT"


def _clean(source: str, target: str, chosen: dict[str, Any]) -> Summary:
    from vidnoise import api
    from vidnoise.cli.progress import Talk

    _limit_threads(chosen["threads"])
    talk = Talk(chosen["verbose"], chosen["quiet"])
    with talk:
        summary = api.run(
            source,
            chosen_chain(chosen, api.default_chain()),
            target,
            device=chosen["device"],
            precision=chosen["precision"],
            tile=chosen["tile"],
            max_latency=chosen["max_latency"],
            compare=chosen["compare"],
            output=_output(chosen),
            progress=talk.frame,
            opened=talk.opened,
            **_reading(chosen),
        )
    talk.done(target, summary)
    return summary


def _print_latency(source: str, as_json: bool, chosen: dict[str, Any]) -> int:
    from vidnoise import api
    from vidnoise.device import choose
    from vidnoise.io import open_reader

    chain = chosen_chain(chosen, api.default_chain())
    place = choose(chosen["device"], chosen["precision"], chosen["tile"])
    with open_reader(source, device=place, **_reading(chosen)) as reader:
        latency = api.open_chain(chain, reader.info, place, chosen["max_latency"]).latency
        rate = reader.info.rate
    seconds = float(latency / rate) if rate else None
    if as_json:
        emit({"filters": str(chain), "latency": latency, "latency_seconds": seconds})
    else:
        time = "" if seconds is None else f" ({seconds:.3g} s at {float(rate or 0):g} frames/s)"
        click.echo(f"{chain} looks {latency} frames ahead{time}")
    return Status.WHOLE


def _output(chosen: dict[str, Any]) -> OutputOptions:
    """The writer's options among those of the command line."""
    from vidnoise.io import OutputOptions

    names = {field.name for field in fields(OutputOptions)}
    return OutputOptions(**{key: value for key, value in chosen.items() if key in names})


def _reading(chosen: dict[str, Any]) -> dict[str, Any]:
    """The reader's options among those of the command line."""
    names = ("start", "duration", "rate", "deinterlace", "assume_progressive", "threads")
    return {name: chosen[name] for name in names if chosen[name] is not None}


def _limit_threads(most: int) -> None:
    if most:
        import cv2
        import torch

        most = min(most, os.cpu_count() or most)  # beyond which they wait for each other
        torch.set_num_threads(most)
        cv2.setNumThreads(most)
