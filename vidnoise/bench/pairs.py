"""Real noise and blur: photographs of which a cleaner version exists, such as the mean of many exposures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidnoise.bench.clips import PICTURES, load
from vidnoise.bench.metrics import mean, mse, psnr
from vidnoise.bench.quality import Method
from vidnoise.errors import InputError, UsageError
from vidnoise.train.data import read_picture

if TYPE_CHECKING:
    from vidnoise.bench.clips import Picture

POOR = 36.0
"""Pictures of a lower PSNR than this are noisy enough to have something to gain, in dB."""

COLUMNS = {
    "method": ("method", ""),
    "pairs": ("pairs", ""),
    "before": ("before dB", ".2f"),
    "psnr": ("after dB", ".2f"),
    "better": ("better", ".1%"),
    "gain": ("gain under 36 dB", ".2f"),
    "worst": ("worst gain", ".2f"),
}
"""Of a table of rows, as `report.table` takes them."""
BEFORE, AFTER = 6, 2
"""Frames before a picture, for what filters remember to settle, and after it, that are cleaned along with it."""
MOST = 1000
"""Frames of a sequence."""


@dataclass
class Row:
    """One method: the PSNR of each pair before and after, in dB."""

    method: str
    home: str
    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)

    def values(self) -> dict[str, Any]:
        """The row for tables and JSON.

        `better` is the share of the pairs with a higher PSNR than before, `gain` the mean gain where it was below `POOR`,
        `worst` the least gain of all.
        """
        gains = {name: after - self.before[name] for name, after in self.after.items()}
        return {
            "method": self.method,
            "home": self.home,
            "pairs": len(gains),
            "before": mean(list(self.before.values())),
            "psnr": mean(list(self.after.values())),
            "better": sum(gain > 0 for gain in gains.values()) / len(gains),
            "gain": mean([gain for name, gain in gains.items() if self.before[name] < POOR]),
            "worst": min(gains.values()),
            "gains": gains,
        }


def find(data: Path, noisy: str, clean: str) -> list[tuple[Path, Path]]:
    """The pictures under a folder whose name, or whose folder's, has the word `noisy`, each with the one that has `clean`
    in its place.

    Raises:
        InputError: there is none, or one has no partner.
        UsageError: the words are the same.
    """
    if noisy == clean:
        raise UsageError(f"{noisy!r} cannot tell noisy pictures from clean ones; give two words")
    inside = [p.relative_to(data) for p in sorted(data.rglob("*")) if p.suffix.lower() in PICTURES]
    paths = [p for p in inside if noisy in str(p)]
    if not paths:
        raise InputError(f"{data} holds no picture with {noisy!r} in its name; name the words with --words")
    pairs = [(data / path, data / str(path).replace(noisy, clean)) for path in paths]
    for path, partner in pairs:
        if not partner.is_file():
            raise InputError(f"{path} has no partner {partner.name}")
    return pairs


def measure(
    pairs: Sequence[tuple[Path, Path]],
    methods: Sequence[Method],
    tell: Callable[[str], None] = lambda _: None,
    within: Path | None = None,
) -> list[Row]:
    """Clean every noisy picture, by itself or among the frames around it; the methods find the noise themselves.

    Args:
        pairs: see `find`.
        methods: what to measure.
        tell: told what is being done.
        within: a folder of frames; pictures that are not among them are left out.

    Raises:
        InputError: a picture cannot be read, the two of a pair differ in size, or none is among the frames.
    """
    rows = [Row(method.name, method.home) for method in methods]
    sequence = load(within, MOST).frames if within else []
    for path, partner in pairs:
        noisy, clean = read_picture(path), read_picture(partner)
        if noisy.shape != clean.shape:
            raise InputError(f"{path} and {partner.name} differ in size")
        frames, place = _around(noisy, sequence) if within else ([noisy], 0)
        if place is None:
            continue
        for method, row in zip(methods, rows, strict=True):
            tell(f"{path.name}: {method.name}")
            out, _ = method.run(frames, 0)
            row.before[str(path)] = psnr(mse(clean, noisy))
            row.after[str(path)] = psnr(mse(clean, out[place]))
    if within and not any(row.after for row in rows):
        raise InputError(f"none of the pictures is a frame of {within}; name another folder with --within")
    return rows


def _around(picture: Picture, sequence: Sequence[Picture]) -> tuple[list[Picture], int | None]:
    """The frames around a picture, itself among them, and its place there; None if it is not in the sequence."""
    for i, frame in enumerate(sequence):
        if frame.shape == picture.shape and (frame == picture).all():
            start = max(i - BEFORE, 0)
            return list(sequence[start : i + AFTER + 1]), i - start
    return [], None
