"""`vidnoise bench pairs`: photographs with real noise or blur, and a cleaner version of each."""

from __future__ import annotations

from pathlib import Path

import click

from vidnoise.cli.bench.options import measured, names_option
from vidnoise.cli.bench.result import say, telling
from vidnoise.cli.options import FOLDER, SectionCommand, debug_option, device_options, json_option


@click.command(
    cls=SectionCommand, short_help="PSNR on photographs with real noise or blur and a cleaner version."
)
@click.argument("data", type=FOLDER)
@measured(
    "--words",
    nargs=2,
    default=("real", "mean"),
    show_default=True,
    help="What tells the names of noisy pictures, or of their folders, from those of clean ones.",
)
@measured(
    "--within",
    type=FOLDER,
    help="A folder of numbered frames: pictures that are among them are cleaned with the frames around them.",
)
@names_option
@device_options
@json_option("Print one line of JSON in place of the table.")
@debug_option
def pairs(
    data: Path,
    words: tuple[str, str],
    within: Path | None,
    names: tuple[str, ...],
    device: str,
    precision: str,
    as_json: bool,
) -> None:
    """Clean photographs with real noise or blur, and say how much nearer each comes to a cleaner version of itself.

    DATA is a folder with pairs such as scene1_real.png, scene1_mean.png. The filters find the noise themselves.
    """
    from vidnoise.bench import ours, report
    from vidnoise.bench import pairs as bench
    from vidnoise.device import choose

    place = choose(device, precision)
    found = bench.find(data, *words)
    mine = [ours.Ours(chain, place) for chain in ours.chains(names)]
    with telling() as tell:
        rows = [row.values() for row in bench.measure(found, mine, tell, within)]
    about = report.describe(data=str(data), device=place.why)
    say(about, rows, lambda _, rows: iter([report.table("pairs", bench.COLUMNS, rows)]), as_json)
