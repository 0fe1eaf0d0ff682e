"""8-bit ONNX: static quantisation by onnxruntime, calibrated on frames."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from .formats import load_onnx
from .samples import Inputs, samples

if TYPE_CHECKING:
    from .subject import Subject

KEPT = ("present.conv.", "doubt.", "picture.conv.")
"""Layers that stay in float, by their weights: those that see pictures and the one that gives one. They are a few
percent of the arithmetic, and 8 bits there would be 8 bits in the picture."""


def quantise(subject: Subject, path: Path, data: Path) -> dict[str, Any]:
    """Put an 8-bit file in place of the float32 one at `path`; say how large both are and how far apart.

    Every other frame calibrates; on the others the two are compared.

    Raises:
        InputError: see `samples`.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    given = samples(subject, data)
    whole = path.rename(path.with_suffix(".float"))
    kept = _kept(whole)
    log = logging.getLogger()
    level = log.level
    log.setLevel(logging.ERROR)  # it recommends a step that gains nothing here
    try:
        quantize_static(
            str(whole),
            str(path),
            Reader([port.name for port in subject.inputs], given[::2]),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=kept,
        )
    finally:
        log.setLevel(level)
    exact, rounded = load_onnx(whole), load_onnx(path)
    errors = [float((exact(inputs) - rounded(inputs)).square().mean()) for inputs in given[1::2]]
    sizes = {"float32": whole.stat().st_size, "int8": path.stat().st_size}
    whole.unlink()
    return {
        "bytes": sizes,
        "dB from float32": round(_decibel(sum(errors) / len(errors)), 2),
        "frames": {"calibrated on": len(given[::2]), "compared on": len(errors)},
        "kept in float": [part.rstrip(".") for part in KEPT],
    }


class Reader:
    """Inputs one by one, as onnxruntime asks for them."""

    def __init__(self, names: Sequence[str], given: Sequence[Inputs]) -> None:
        self._rest: Iterator[Inputs] = iter(given)
        self._names = names

    def get_next(self) -> dict[str, Any] | None:
        """The next inputs by name; None at the end."""
        values: Sequence[Tensor] | None = next(self._rest, None)
        if values is None:
            return None
        return {name: value.numpy() for name, value in zip(self._names, values, strict=True)}


def _kept(path: Path) -> list[str]:
    import onnx

    nodes = onnx.load(path, load_external_data=False).graph.node
    return [node.name for node in nodes if any(part in name for part in KEPT for name in node.input)]


def _decibel(error: float) -> float:
    from math import inf, log10

    return -10 * log10(error) if error > 0 else inf
