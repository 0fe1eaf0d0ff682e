"""Every denoiser with trained weights in one table: what it reaches on pictures, what it costs, what papers reach."""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidnoise.bench import clips, pairs, quality, speed
from vidnoise.bench.ours import Ours
from vidnoise.bench.published import PUBLISHED, SIGMAS
from vidnoise.chain import Chain
from vidnoise.errors import InputError, UsageError, VidnoiseError
from vidnoise.filter import Filter, describe
from vidnoise.registry import filters

if TYPE_CHECKING:
    from vidnoise.bench.clips import Noisy, Picture
    from vidnoise.device import Device

IMAGES, REAL = "images", "real"
"""Folders of the data: sets of clean pictures, one folder each, and pairs of photographs with real noise."""
WORDS = "real", "mean"
"""What tells the noisy picture of a pair from the clean one; see `pairs.find`."""
SIDE = 512
"""Of the pictures whose time is taken, pixels."""
USUAL = 25.0
"""Level of the noise where speed is measured, of 255."""

Part = tuple[str, Mapping[str, tuple[str, str]], Sequence[Mapping[str, Any]]]
"""A table: title, columns as `report.table` takes them, and rows."""

COST_COLUMNS = {
    "method": ("method", ""),
    "parameters": ("parameters", ",d"),
    "kflop": ("kFLOP/pixel", ".1f"),
    "kilobytes": ("kB on disk", ".0f"),
    "milliseconds": (f"ms for {SIDE}x{SIDE}", ".3g"),
    "fps": ("fps at 720p", ".3g"),
}
SET_COLUMNS = {"method": ("method", "")} | {
    f"{name}{sigma}": (f"{heading} {sigma}", form)
    for sigma in SIGMAS
    for name, heading, form in (("psnr", "dB at", ".2f"), ("ssim", "SSIM at", ".4f"))
}


@dataclass(frozen=True)
class Told(Ours):
    """A filter that is told the level of the noise, as papers measure, unless it is blind; for `quality.measure`."""

    def settings(self, sigma: float) -> str:
        """The filter as command-line text."""
        return str(told(self.chain, sigma))

    def run(self, noisy: Sequence[Noisy], sigma: float) -> tuple[list[Picture], float]:
        """See `quality.Method`."""
        return Ours(told(self.chain, sigma), self.device).run(noisy, sigma)


@dataclass
class Row:
    """One model.

    Attributes:
        weights: the name of its weights; nothing where it runs without a network.
        parameters, kflop: learned values, and thousands of operations a pixel and frame, as its card says.
        kilobytes: of the weights' file, 1000 bytes each.
        milliseconds: for one picture of `SIDE` pixels a side, once it runs; the median of several.
        fps: frames a second at 720p, conversions included; see `bench.speed`.
        sets: for each set of pictures, the PSNR in dB and the SSIM by level (`psnr15`, `ssim15`, ...).
        real: on pairs of photographs, where it finds the noise itself; see `pairs.Row`.
        failure: why something is missing.
    """

    method: str
    weights: str = ""
    parameters: int | None = None
    kflop: float | None = None
    kilobytes: float | None = None
    milliseconds: float | None = None
    fps: float | None = None
    sets: dict[str, dict[str, float]] = field(default_factory=dict)
    real: dict[str, Any] | None = None
    failure: str = ""

    def values(self) -> dict[str, Any]:
        """The row for tables and JSON."""
        return dataclasses.asdict(self)


def models() -> list[Chain]:
    """Every denoising filter with weights, once for each set of weights and each `quality`.

    Found in the registry: what names `weights` in one of its choices, and is told a noise level (`sigma`) or runs a
    network of the literature that needs none.
    """
    found: dict[tuple[str, str, str], Filter] = {}
    for name in sorted(filters()):
        variants = _variants(filters()[name])
        if any(variant.weights for variant in variants):
            # Choices that leave the network as it is, such as the order of colours, are no models of their own.
            for variant in variants:
                found.setdefault((name, variant.weights, getattr(variant, "quality", "")), variant)
    return [Chain.of(variant) for variant in found.values()]


def named(texts: Sequence[str]) -> list[Chain]:
    """The filters that are asked for, as command-line text.

    Raises:
        UsageError: one is no single filter that removes noise.
    """
    chains = [Chain.parse(text) for text in texts]
    for chain in chains:
        if len(chain.filters) != 1 or not _denoises(chain.filters[0]):
            raise UsageError(f"{str(chain)!r} is not one filter that removes noise; give for example denoise")
    return chains


def picture_sets(data: Path) -> list[Path]:
    """The sets of clean pictures in a folder of data.

    Raises:
        InputError: there is none.
    """
    inside = sorted((data / IMAGES).glob("*/"))
    found = [path for path in inside if any(p.suffix.lower() in clips.PICTURES for p in path.rglob("*"))]
    if not found:
        raise InputError(
            f"{data} has no sets of pictures; put them in folders such as {data / IMAGES / 'set12'}"
        )
    return found


def measure(
    data: Path | None,
    chains: Sequence[Chain],
    device: Device,
    *,
    limit: int | None = None,
    pace: speed.Pace | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Row]:
    """Measure models; the first row is that of the noisy pictures themselves.

    Args:
        data: a folder with `IMAGES` and perhaps `REAL` in it; without one, only what the models cost is measured.
        chains: see `models`.
        device: where.
        limit: pictures of each set, and pairs, that are used.
        pace: how long speed is measured.
        tell: told what is being done.

    Raises:
        InputError: the data are not as they should be.
    """
    rows = [Row("noisy"), *(Row(str(chain), chain.filters[0].weights) for chain in chains)]
    if data is not None:
        for folder in picture_sets(data):
            _on_pictures(folder, [Told(chain, device) for chain in chains], rows, limit, tell)
        if (data / REAL).is_dir():
            _on_photographs(data / REAL, chains, device, rows[1:], limit, tell)
    for row, chain in zip(rows[1:], chains, strict=True):
        tell(f"{row.method}: speed")
        try:
            _cost(row, chain, device, pace or speed.Pace())
        except VidnoiseError as failure:
            row.failure = str(failure)
    return rows


def parts(rows: Sequence[Mapping[str, Any]]) -> Iterator[Part]:
    """The tables of a run, from its rows as plain values: each set with the papers' figures, real noise, the cost."""
    for name in rows[0]["sets"]:
        measured = [{"method": row["method"], **row["sets"].get(name, {})} for row in rows]
        known = [paper for paper in PUBLISHED if paper.set == name.lower()]
        papers = [
            {"method": f"{paper.method}, published"}
            | {f"psnr{sigma}": value for sigma, value in zip(SIGMAS, paper.psnr, strict=True)}
            for paper in known
        ]
        yield f"{name}: white noise, told its level", SET_COLUMNS, [*measured, *papers]
    real = [{"method": row["method"], **row["real"]} for row in rows if row["real"]]
    if real:
        yield "photographs with real noise, which is found", pairs.COLUMNS, real
    yield "what it costs", COST_COLUMNS, rows[1:]


def _variants(kind: type[Filter]) -> list[Filter]:
    """A filter with every combination of its options' choices, the defaults first, as far as they remove noise."""
    options = dataclasses.fields(kind)
    if any(option.default is dataclasses.MISSING for option in options):
        return []
    values = itertools.product(*(dict.fromkeys((o.default, *describe(o).choices)) for o in options))
    names = [option.name for option in options]
    found = [kind(**dict(zip(names, chosen, strict=True))) for chosen in values]
    return [filter for filter in found if _denoises(filter)]


def told(chain: Chain, sigma: float) -> Chain:
    """A chain of one filter, told the level of the noise if it listens."""
    return chain.with_option("sigma", sigma) if _takes_level(chain.filters[0]) else chain


def _denoises(filter: Filter) -> bool:
    from vidnoise.nets.weights import LITERATURE

    if getattr(filter, "task", "denoise") != "denoise":
        return False
    return _takes_level(filter) or filter.weights in LITERATURE


def _takes_level(filter: Filter) -> bool:
    return any(option.name == "sigma" for option in dataclasses.fields(filter))


def _on_pictures(
    folder: Path, methods: Sequence[Told], rows: Sequence[Row], limit: int | None, tell: Callable[[str], None]
) -> None:
    plan = quality.Plan(folder, SIGMAS, "float", stills=True, limit=limit)
    measured = quality.measure(plan, methods, tell)
    for i, result in enumerate(measured):
        row, values = rows[i % len(rows)], result.values()
        row.failure = row.failure or result.failure
        found = {f"{name}{result.sigma:g}": values[name] for name in ("psnr", "ssim")}
        row.sets[folder.name] = row.sets.get(folder.name, {}) | found


def _on_photographs(
    folder: Path,
    chains: Sequence[Chain],
    device: Device,
    rows: Sequence[Row],
    limit: int | None,
    tell: Callable[[str], None],
) -> None:
    able = [i for i, row in enumerate(rows) if not row.failure]
    methods = [Ours(chains[i], device) for i in able]
    for i, pair in zip(able, pairs.measure(pairs.find(folder, *WORDS)[:limit], methods, tell), strict=True):
        rows[i].real = pair.values()


def _cost(row: Row, chain: Chain, device: Device, pace: speed.Pace) -> None:
    if row.weights:
        from vidnoise.nets.weights import FOLDER, read_card

        path = FOLDER / f"{row.weights}.safetensors"
        card = read_card(path.with_suffix(".json"))
        row.parameters, row.kflop, row.kilobytes = card.parameters, card.kflop, path.stat().st_size / 1e3
    usual = told(chain, USUAL)
    row.milliseconds = _milliseconds(Ours(usual, device))
    row.fps = statistics.median(speed.chain_rates(usual, device, "720p", speed.Noise(sigma=USUAL), pace))


def _milliseconds(method: Ours) -> float:
    noisy = clips.add_noise(clips.rendered(SIDE, SIDE, 1), USUAL, 0)
    method.run(noisy, USUAL)
    return 1e3 * statistics.median(method.run(noisy, USUAL)[1] for _ in range(5))
