"""`vidnoise bench speed`: frames a second and memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidnoise.cli.bench.options import common, measured, seconds_option
from vidnoise.cli.bench.result import folder_for, say, telling
from vidnoise.cli.options import Integer, SectionCommand, Within

if TYPE_CHECKING:
    from vidnoise.bench.report import Row

COLUMNS = {
    "method": ("method", ""),
    "home": ("of", ""),
    "batch": ("batch", ""),
    "fps": ("fps", ".3g"),
    "slowest": ("slowest", ".3g"),
    "fastest": ("fastest", ".3g"),
    "memory": ("MiB", ".0f"),
    "settings": ("settings", ""),
}


@click.command(cls=SectionCommand, short_help="Frames a second and peak memory at several sizes.")
@measured(
    "--size",
    "sizes",
    multiple=True,
    metavar="SIZE",
    help="480p, 720p or 1080p; may be repeated. Without it, all three.",
)
@measured(
    "--clip",
    type=click.Path(path_type=Path),
    metavar="CLIP",
    help="A video or a folder of frames, brought to each size; without it, a scene rendered in code.",
)
@measured(
    "--sigma",
    type=Within(0, 255),
    default=20.0,
    show_default=True,
    help="Deviation of the white noise that is added, of 255; 0 for a clip that is noisy already.",
)
@seconds_option
@measured(
    "--batch",
    "batches",
    type=Integer(1, 64),
    multiple=True,
    metavar="N",
    help="Frames that filters without memory take at once; may be repeated, for the speed against their number. Without "
    "it, one on a CPU, and on a GPU as many as its memory has room for, up to the filter's own limit.",
)
@measured(
    "--engine/--no-engine",
    default=True,
    show_default=True,
    help="Also measure the engine without a filter, from file to file, against the ffmpeg program.",
)
@common
def speed(
    sizes: tuple[str, ...],
    clip: Path | None,
    sigma: float,
    seconds: float,
    batches: tuple[int, ...],
    engine: bool,
    **chosen: Any,
) -> None:
    """Measure how many frames a second each method cleans, and how much memory it takes, one process for each.

    Frames go in and come out as yuv420p, so the conversions that a method needs are part of its time.
    """
    from vidnoise.bench import clips, ours, peers, report
    from vidnoise.bench import speed as bench

    if clip is not None:
        clips.load(clip, 1)  # one that cannot be read would fail in every row
    noise, pace = bench.Noise(clip, sigma, chosen["seed"]), bench.Pace(seconds)
    chains, others = ours.chains(chosen["names"]), peers.choose(chosen["peer_names"])
    jobs = []
    for size in bench.sizes(sizes or tuple(bench.SIZES)):
        where = {"device": chosen["device"], "precision": chosen["precision"]}
        for batch in batches or (0,):
            jobs += [bench.Job(size, noise, pace, chain=str(chain), batch=batch, **where) for chain in chains]
        jobs += [bench.Job(size, noise, pace, peer=peer) for peer in others]
    with telling() as tell:
        rows = [row.values() for row in bench.measure(jobs, tell)]
        about = report.describe(
            clip=str(clip or "rendered"),
            sigma=sigma,
            seed=noise.seed,
            engine=_engine(tell) if engine else None,
        )
    if chosen["output"]:
        report.save(folder_for(chosen["output"]) / "speed.json", about, rows)
    say(about, rows, _tables, chosen["as_json"])


def _engine(tell: Callable[[str], None]) -> dict[str, Any] | None:
    """The engine against ffmpeg at 720p; None where there is no ffmpeg program."""
    from vidnoise.bench import engine

    if not engine.has_program():
        return None
    tell("720p: the engine without a filter, against ffmpeg")
    found = engine.compare()
    return {"ratio": found.ratio, "ours": found.ours, "ffmpeg": found.ffmpeg}


def _tables(about: dict[str, Any], rows: Sequence[Row]) -> Iterator[Any]:
    from vidnoise.bench import report

    for size in dict.fromkeys(row["size"] for row in rows):
        yield report.table(size, COLUMNS, [row for row in rows if row["size"] == size])
    if engine := about["engine"]:
        yield (
            f"engine without a filter, 720p, libx264 veryfast, file to file: {engine['ratio']:.2f} of the speed of ffmpeg "
            f"({max(engine['ours']):.0f} and {max(engine['ffmpeg']):.0f} frames a second at best)"
        )
