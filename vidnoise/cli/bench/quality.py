"""`vidnoise bench quality`: how near each method comes to clean clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidnoise.cli.bench.options import Numbers, common, measured
from vidnoise.cli.bench.result import folder_for, say, telling
from vidnoise.cli.options import Integer, SectionCommand

if TYPE_CHECKING:
    from vidnoise.bench.quality import Method
    from vidnoise.bench.report import Row

COLUMNS = {
    "method": ("method", ""),
    "home": ("of", ""),
    "psnr": ("PSNR dB", ".2f"),
    "ssim": ("SSIM", ".4f"),
    "flicker": ("flicker", ".2f"),
    "warping": ("warping", ".2f"),
    "fps": ("fps", ".3g"),
    "settings": ("settings", ""),
}
BLURS = 5.0, 15.0, 25.0
"""Lengths of motion blur, in pixels."""
LEGEND = "flicker: RMS change of still areas, of 255; warping: warping error, thousandths; lower is better"


@click.command(
    cls=SectionCommand, short_help="PSNR, SSIM, steadiness and speed on clean clips with noise added."
)
@click.argument("data", type=click.Path(path_type=Path))
@measured(
    "--sigma",
    "sigmas",
    type=Numbers(),
    default="10,30,50",
    show_default=True,
    help="Deviations of the noise that is added, of 255.",
)
@measured(
    "--noise",
    type=click.Choice(["rounded", "float", "coded", "camera"]),
    default="rounded",
    show_default=True,
    help="rounded: to 8 bit and clipped, as a camera gives it. float: neither; the peers still get 8 bit. "
    "coded: rounded, then through H.264 at CRF 23. camera: the same, and the noise grows with the light, --sigma in the "
    "middle of the range.",
)
@measured(
    "--blur",
    "lengths",
    type=Numbers(),
    metavar="LENGTHS",
    help="Motion blur of these lengths, in pixels, in place of noise; for example 5,15,25.",
)
@measured(
    "--skip",
    type=Integer(0),
    default=4,
    show_default=True,
    help="Frames at the start of each clip that do not count.",
)
@measured(
    "--frames",
    "most",
    type=Integer(2),
    default=30,
    show_default=True,
    help="Frames of each clip that are used.",
)
@measured("--stills", is_flag=True, help="Take every picture in DATA by itself.")
@measured(
    "--deblur",
    is_flag=True,
    help="Measure motion blur on all that DATA holds: pairs in deblur/pairs (blur, sharp), alone and among the frames of "
    "deblur/sequence, and the clips in video, blurred by the lengths of --blur (5,15,25 without it).",
)
@common
def quality(
    data: Path,
    sigmas: tuple[float, ...],
    noise: str,
    lengths: tuple[float, ...] | None,
    skip: int,
    most: int,
    stills: bool,
    deblur: bool,
    **chosen: Any,
) -> None:
    """Add noise or blur to the clips in DATA, clean them with each method, and say how near they are to the clean clip.

    DATA is a video file, or a folder that holds video files or folders of frames.
    """
    from vidnoise.bench import ours, peers, report
    from vidnoise.bench import quality as bench
    from vidnoise.device import choose

    place = choose(chosen["device"], chosen["precision"])
    if deblur or lengths:
        sigmas, noise = lengths or BLURS, "blurred"
    clips = data / "video" if deblur else data
    plan = bench.Plan(clips, sigmas, noise, chosen["seed"], skip, most, stills)
    mine = [ours.Ours(chain, place) for chain in ours.chains(chosen["names"])]
    methods = [*mine, *peers.choose(chosen["peer_names"])]
    with telling() as tell:
        pictures = _deblurred(data / "deblur", mine, tell) if deblur else {}
        rows = [row.values() for row in bench.measure(plan, methods, tell)]
    about = report.describe(
        data=str(data),
        noise=noise,
        seed=plan.seed,
        skip=skip,
        frames=most,
        stills=stills,
        device=place.why,
        pairs=pictures,
    )
    if chosen["output"]:
        _save(folder_for(chosen["output"]), about, rows)
    say(about, rows, _tables, chosen["as_json"])


def _deblurred(
    folder: Path, methods: Sequence[Method], tell: Callable[[str], None]
) -> dict[str, list[dict[str, Any]]]:
    """Pairs of blurred and sharp pictures: each alone, and those of a sequence among their neighbours."""
    from vidnoise.bench import pairs

    found, sequence = pairs.find(folder / "pairs", "blur", "sharp"), folder / "sequence"
    ways = {"pairs, each alone": None} | (
        {"pairs among their neighbours": sequence} if sequence.is_dir() else {}
    )
    return {
        title: [row.values() for row in pairs.measure(found, methods, tell, within)]
        for title, within in ways.items()
    }


def _tables(about: dict[str, Any], rows: Sequence[Row]) -> Iterator[Any]:
    from vidnoise.bench import pairs, report

    for title, found in about["pairs"].items():
        yield report.table(title, pairs.COLUMNS, found)
    for sigma in dict.fromkeys(row["sigma"] for row in rows):
        blurred = about["noise"] == "blurred"
        title = f"motion blur, {sigma:g} pixels" if blurred else f"noise of sigma {sigma:g}, {about['noise']}"
        yield report.table(title, COLUMNS, [row for row in rows if row["sigma"] == sigma])
    yield LEGEND


def _save(folder: Path, about: dict[str, Any], rows: Sequence[Row]) -> None:
    from vidnoise.bench import canvas, plot, report

    machine = about["machine"]
    caption = f"{machine['gpu'] or machine['cpu']}, {machine['cores']} cores; {Path(about['data']).name}"
    report.save(folder / "quality.json", about, rows)
    canvas.save(folder / "quality.png", plot.quality_against_speed(rows, caption))
