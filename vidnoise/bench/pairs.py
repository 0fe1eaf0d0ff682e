"""Real noise: photographs of which a cleaner version exists, such as the mean of many exposures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vidnoise.bench.clips import PICTURES, read_picture
from vidnoise.bench.metrics import mean, mse, psnr
from vidnoise.bench.quality import Method
from vidnoise.errors import InputError, UsageError

POOR = 36.0
"""Pictures of a lower PSNR than this are noisy enough to have something to gain, in dB."""


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
    """The pictures under a folder whose name has the word `noisy`, each with the one that has `clean` in its place.

    Raises:
        InputError: there is none, or one has no partner.
        UsageError: the words are the same.
    """
    if noisy == clean:
        raise UsageError(f"{noisy!r} cannot tell noisy pictures from clean ones; give two words")
    paths = sorted(p for p in data.rglob("*") if p.suffix.lower() in PICTURES and noisy in p.name)
    if not paths:
        raise InputError(f"{data} holds no picture with {noisy!r} in its name; name the words with --words")
    pairs = [(path, path.with_name(path.name.replace(noisy, clean))) for path in paths]
    for path, partner in pairs:
        if not partner.is_file():
            raise InputError(f"{path} has no partner {partner.name}")
    return pairs


def measure(
    pairs: Sequence[tuple[Path, Path]],
    methods: Sequence[Method],
    tell: Callable[[str], None] = lambda _: None,
) -> list[Row]:
    """Clean every noisy picture by itself; the methods find the noise themselves.

    Raises:
        InputError: a picture cannot be read, or the two of a pair differ in size.
    """
    rows = [Row(method.name, method.home) for method in methods]
    for path, partner in pairs:
        noisy, clean = read_picture(path), read_picture(partner)
        if noisy.shape != clean.shape:
            raise InputError(f"{path} and {partner.name} differ in size")
        for method, row in zip(methods, rows, strict=True):
            tell(f"{path.name}: {method.name}")
            (out,), _ = method.run([noisy], 0)
            row.before[str(path)] = psnr(mse(clean, noisy))
            row.after[str(path)] = psnr(mse(clean, out))
    return rows
