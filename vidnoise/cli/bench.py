"""`vidnoise bench`: quality and speed of the filters and of their peers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidnoise.cli.options import (
    FOLDER,
    SEED,
    Integer,
    SectionCommand,
    Within,
    debug_option,
    device_options,
    json_option,
    option,
)
from vidnoise.cli.record import emit
from vidnoise.errors import OutputError

if TYPE_CHECKING:
    from vidnoise.bench.quality import Method
    from vidnoise.bench.report import Row

WHAT = "What is measured"
OUTPUT = "What is said"

QUALITY_COLUMNS = {
    "method": ("method", ""),
    "home": ("of", ""),
    "psnr": ("PSNR dB", ".2f"),
    "ssim": ("SSIM", ".4f"),
    "flicker": ("flicker", ".2f"),
    "warping": ("warping", ".2f"),
    "fps": ("fps", ".3g"),
    "settings": ("settings", ""),
}
SPEED_COLUMNS = {
    "method": ("method", ""),
    "home": ("of", ""),
    "batch": ("batch", ""),
    "fps": ("fps", ".3g"),
    "slowest": ("slowest", ".3g"),
    "fastest": ("fastest", ".3g"),
    "memory": ("MiB", ".0f"),
    "settings": ("settings", ""),
}
BLURS = 5.0, 15.0, 25.0
"""Lengths of motion blur, in pixels."""
QUALITY_LEGEND = (
    "flicker: RMS change of still areas, of 255; warping: warping error, thousandths; lower is better"
)


@click.group(short_help="Measure quality and speed of the filters and of their peers.")
@debug_option
def command() -> None:
    """Measure the filters and their peers (FFmpeg's in the ffmpeg program and in PyAV, OpenCV's) on the same input."""


names_option = option(
    "-f", "--filter", "names", multiple=True, metavar="FILTER", section=WHAT,
    help="A filter or chain to measure; may be repeated. Without it, every filter at its defaults.",
)  # fmt: skip


def common(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of `quality` and `speed`."""
    decorators = [
        names_option,
        option(
            "-p", "--peer", "peer_names", multiple=True, metavar="PEER", section=WHAT,
            help="A peer such as bm3d or bm3d@PyAV; may be repeated. 'all': wherever each is found; 'none'. "
            "Without it, every peer once.",
        ),
        option("--seed", type=SEED, default=0, show_default=True, section=WHAT, help="Of the noise."),
        device_options,
        option(
            "-o", "--output", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER", section=OUTPUT,
            help="Write the result there: JSON with machine and commit, and for quality the picture against speed.",
        ),
        json_option("Print one line of JSON in place of the tables."),
        debug_option,
    ]  # fmt: skip
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


seconds_option = option(
    "--seconds",
    type=Within(0, min_open=True),
    default=2.0,
    show_default=True,
    section=WHAT,
    help="About how long each of three rounds lasts; the median counts.",
)


class Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers apart by commas: `10,30,50`."""

    name = "numbers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """The numbers, each from 0 to 255."""
        try:
            numbers = tuple(float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of numbers; write for example 10,30,50", param, ctx)
        if not all(0 <= number <= 255 for number in numbers):
            self.fail(f"{value!r} goes beyond 0 to 255", param, ctx)
        return numbers


@command.command(
    cls=SectionCommand, short_help="PSNR, SSIM, steadiness and speed on clean clips with noise added."
)
@click.argument("data", type=click.Path(path_type=Path))
@option(
    "--sigma",
    "sigmas",
    type=Numbers(),
    default="10,30,50",
    show_default=True,
    section=WHAT,
    help="Deviations of the noise that is added, of 255.",
)
@option(
    "--noise",
    type=click.Choice(["rounded", "float", "coded", "camera"]),
    default="rounded",
    show_default=True,
    section=WHAT,
    help="rounded: to 8 bit and clipped, as a camera gives it. float: neither; the peers still get 8 bit. "
    "coded: rounded, then through H.264 at CRF 23. camera: the same, and the noise grows with the light, --sigma in the "
    "middle of the range.",
)
@option(
    "--blur",
    "lengths",
    type=Numbers(),
    metavar="LENGTHS",
    section=WHAT,
    help="Motion blur of these lengths, in pixels, in place of noise; for example 5,15,25.",
)
@option(
    "--skip",
    type=Integer(0),
    default=4,
    show_default=True,
    section=WHAT,
    help="Frames at the start of each clip that do not count.",
)
@option(
    "--frames",
    "most",
    type=Integer(2),
    default=30,
    show_default=True,
    section=WHAT,
    help="Frames of each clip that are used.",
)
@option("--stills", is_flag=True, section=WHAT, help="Take every picture in DATA by itself.")
@option(
    "--deblur",
    is_flag=True,
    section=WHAT,
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
    with _telling() as tell:
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
        _save_quality(_folder(chosen["output"]), about, rows)
    _say(about, rows, _quality_tables, chosen["as_json"])


@command.command(
    cls=SectionCommand, short_help="PSNR on photographs with real noise or blur and a cleaner version."
)
@click.argument("data", type=FOLDER)
@option(
    "--words",
    nargs=2,
    default=("real", "mean"),
    show_default=True,
    section=WHAT,
    help="What tells the names of noisy pictures, or of their folders, from those of clean ones.",
)
@option(
    "--within",
    type=FOLDER,
    section=WHAT,
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
    with _telling() as tell:
        rows = [row.values() for row in bench.measure(found, mine, tell, within)]
    about = report.describe(data=str(data), device=place.why)
    _say(about, rows, lambda _, rows: iter([report.table("pairs", bench.COLUMNS, rows)]), as_json)


@command.command(
    cls=SectionCommand,
    short_help="Every denoiser with trained weights: quality, size and speed, beside papers.",
)
@click.argument("data", type=FOLDER, required=False)
@option(
    "-f",
    "--filter",
    "names",
    multiple=True,
    metavar="FILTER",
    section=WHAT,
    help="A filter to measure; may be repeated. Without it, every denoiser with weights, at each quality.",
)
@option(
    "--limit",
    type=Integer(1),
    metavar="N",
    section=WHAT,
    help="Use the first N pictures of each set and the first N pairs; all without it.",
)
@seconds_option
@device_options
@option(
    "--markdown",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    section=OUTPUT,
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
    with _telling() as tell:
        found = bench.measure(data, chains, place, limit=limit, pace=Pace(seconds), tell=tell)
    about = report.describe(data=str(data) if data else None, limit=limit, device=place.why)
    rows = [row.values() for row in found]
    if page:
        write(page, about, rows)
    _say(about, rows, _model_tables, as_json)


@command.command(cls=SectionCommand, short_help="Frames a second and peak memory at several sizes.")
@option(
    "--size",
    "sizes",
    multiple=True,
    metavar="SIZE",
    section=WHAT,
    help="480p, 720p or 1080p; may be repeated. Without it, all three.",
)
@option(
    "--clip",
    type=click.Path(path_type=Path),
    metavar="CLIP",
    section=WHAT,
    help="A video or a folder of frames, brought to each size; without it, a scene rendered in code.",
)
@option(
    "--sigma",
    type=Within(0, 255),
    default=20.0,
    show_default=True,
    section=WHAT,
    help="Deviation of the white noise that is added, of 255; 0 for a clip that is noisy already.",
)
@seconds_option
@option(
    "--batch",
    "batches",
    type=Integer(1, 64),
    multiple=True,
    metavar="N",
    section=WHAT,
    help="Frames that filters without memory take at once; may be repeated, for the speed against their number. Without "
    "it, one on a CPU, and on a GPU as many as its memory has room for, up to the filter's own limit.",
)
@option(
    "--engine/--no-engine",
    default=True,
    show_default=True,
    section=WHAT,
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
    with _telling() as tell:
        rows = [row.values() for row in bench.measure(jobs, tell)]
        about = report.describe(
            clip=str(clip or "rendered"),
            sigma=sigma,
            seed=noise.seed,
            engine=_engine(tell) if engine else None,
        )
    if chosen["output"]:
        report.save(_folder(chosen["output"]) / "speed.json", about, rows)
    _say(about, rows, _speed_tables, chosen["as_json"])


def _engine(tell: Callable[[str], None]) -> dict[str, Any] | None:
    """The engine against ffmpeg at 720p; None where there is no ffmpeg program."""
    from vidnoise.bench import engine

    if not engine.has_program():
        return None
    tell("720p: the engine without a filter, against ffmpeg")
    found = engine.compare()
    return {"ratio": found.ratio, "ours": found.ours, "ffmpeg": found.ffmpeg}


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


def _quality_tables(about: dict[str, Any], rows: Sequence[Row]) -> Iterator[Any]:
    from vidnoise.bench import pairs, report

    for title, found in about["pairs"].items():
        yield report.table(title, pairs.COLUMNS, found)
    for sigma in dict.fromkeys(row["sigma"] for row in rows):
        blurred = about["noise"] == "blurred"
        title = f"motion blur, {sigma:g} pixels" if blurred else f"noise of sigma {sigma:g}, {about['noise']}"
        yield report.table(title, QUALITY_COLUMNS, [row for row in rows if row["sigma"] == sigma])
    yield QUALITY_LEGEND


def _model_tables(_: dict[str, Any], rows: Sequence[Row]) -> Iterator[Any]:
    from vidnoise.bench import models, report

    return (report.table(*part) for part in models.parts(rows))


def _speed_tables(about: dict[str, Any], rows: Sequence[Row]) -> Iterator[Any]:
    from vidnoise.bench import report

    for size in dict.fromkeys(row["size"] for row in rows):
        yield report.table(size, SPEED_COLUMNS, [row for row in rows if row["size"] == size])
    if engine := about["engine"]:
        yield (
            f"engine without a filter, 720p, libx264 veryfast, file to file: {engine['ratio']:.2f} of the speed of ffmpeg "
            f"({max(engine['ours']):.0f} and {max(engine['ffmpeg']):.0f} frames a second at best)"
        )


def _say(
    about: dict[str, Any],
    rows: Sequence[Row],
    tables: Callable[[dict[str, Any], Sequence[Row]], Iterator[Any]],
    as_json: bool,
) -> None:
    from vidnoise.bench.report import record
    from vidnoise.cli.console import out

    if as_json:
        emit(record(about, rows))
        return
    console = out()
    for part in tables(about, rows):
        console.print(part)
    machine = about["machine"]
    gpu = f", {machine['gpu']}" if machine["gpu"] else ""
    console.print(f"{machine['cpu']}, {machine['cores']} cores{gpu}; commit {about['commit'] or 'unknown'}")


def _save_quality(folder: Path, about: dict[str, Any], rows: Sequence[Row]) -> None:
    from vidnoise.bench import canvas, plot, report

    machine = about["machine"]
    caption = f"{machine['gpu'] or machine['cpu']}, {machine['cores']} cores; {Path(about['data']).name}"
    report.save(folder / "quality.json", about, rows)
    canvas.save(folder / "quality.png", plot.quality_against_speed(rows, caption))


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise OutputError(f"the folder {path} cannot be made: {failure.strerror}") from failure
    return path


@contextmanager
def _telling() -> Iterator[Callable[[str], None]]:
    """Shows what is being measured in a terminal's last line; says nothing elsewhere."""
    from vidnoise.cli.console import err

    with err().status("measuring") as status:
        yield status.update
