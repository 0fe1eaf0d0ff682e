"""`vidnoise bench models`: every denoiser with trained weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidnoise.cli.bench.options import measured, seconds_option
from vidnoise.cli.bench.result import say, telling
from vidnoise.cli.options import (
    FOLDER,
    Integer,
    SectionCommand,
    debug_option,
    device_options,
    json_option,
    said,
)

if TYPE_CHECKING:
    from vidnoise.bench.report import Row


@click.command(
    cls=SectionCommand,
    short_help="Every denoiser with trained weights: quality, size and speed, beside papers.",
)
@click.argument("data", type=FOLDER, required=False)
@measured(
    "-f",
    "--filter",
    "names",
    multiple=True,
    metavar="FILTER",
    help="A filter to measure; may be repeated. Without it, every denoiser with weights, at each quality.",
)
@measured(
    "--limit",
    type=Integer(1),
    metavar="N",
    help="Use the first N pictures of each set and the first N pairs; all without it.",
)
@seconds_option
@device_options
@said(
    "--markdown",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write the tables there, as a page of Markdown; what it held is replaced.",
)
@json_option("Print one line of JSON in place of the tables.")
@debug_option
def models(
    data: Path | None,
    names: tuple[str, ...],
    limit: int | None,
    seconds: float,
    device: str,
    precision: str,
    page: Path | None,
    as_json: bool,
) -> None:
    """Measure every denoiser that runs trained weights: what it reaches, how large and how fast it is.

    DATA is a folder with sets of clean pictures, DATA/images/set12/*.png and so on, and perhaps pairs of photographs with
    real noise, DATA/real (see vidnoise bench pairs). White noise of sigma 15, 25 and 50 is added, neither rounded nor
    clipped, and its level is told, as in the papers whose figures stand below. Without DATA, only size and speed are
    measured.
    """
    from vidnoise.bench import models as bench
    from vidnoise.bench import report
    from vidnoise.bench.page import write
    from vidnoise.bench.speed import Pace
    from vidnoise.device import choose

    place = choose(device, precision)
    chains = bench.named(names) if names else bench.models()
    with telling() as tell:
        found = bench.measure(data, chains, place, limit=limit, pace=Pace(seconds), tell=tell)
    about = report.describe(data=str(data) if data else None, limit=limit, device=place.why)
    rows = [row.values() for row in found]
    if page:
        write(page, about, rows)
    say(about, rows, _tables, as_json)


def _tables(_: dict[str, Any], rows: Sequence[Row]) -> Iterator[Any]:
    from vidnoise.bench import models, report

    return (report.table(*part) for part in models.parts(rows))
