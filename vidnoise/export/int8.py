"""8-bit ONNX: static quantisation by onnxruntime, calibrated on frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..bench.metrics import PEAK, psnr
from ..nets.rounded import HALF, steps
from .formats import errors_alone, load_onnx
from .graph import CONVOLUTIONS, number, pictorial, strip, tidy
from .rounding import in_steps, powers
from .samples import Inputs, samples

if TYPE_CHECKING:
    from .subject import Subject


def quantise(subject: Subject, path: Path, data: Path) -> dict[str, Any]:
    """Put an 8-bit file in place of the float32 one at `path`; say how large both are and how far apart.

    Pictures and noise levels stay in float, and so do the convolutions that see them: 8 bits there would be 8 bits in the
    picture, and noise beyond the black and white of the frames that calibrate would be cut off. Every other frame
    calibrates; on the others the two are compared.

    Raises:
        InputError: see `samples`.
    """
    import onnx

    given = samples(subject, data)
    whole = path.rename(path.with_suffix(".float"))
    graph = onnx.load(whole).graph
    kept = pictorial(graph)
    _quantise_activations(whole, path, Reader([port.name for port in subject.inputs], given[::2]), kept)
    model = onnx.load(path)
    _quantise_weights(model, graph, powers(subject, given[::2]))
    tidy(model)
    strip(model)
    number(model)
    onnx.save(model, path)
    exact, rounded = load_onnx(whole), load_onnx(path)
    errors = [float((exact(inputs) - rounded(inputs)).square().mean()) for inputs in given[1::2]]
    sizes = {"float32": whole.stat().st_size, "int8": path.stat().st_size}
    whole.unlink()
    return {
        "bytes": sizes,
        "dB from float32": round(psnr(PEAK**2 * sum(errors) / len(errors)), 2),
        "frames": {"calibrated on": len(given[::2]), "compared on": len(errors)},
        "computed in float": [n.input[1] for n in graph.node if n.name in kept and n.op_type in CONVOLUTIONS],
    }


def _quantise_activations(whole: Path, path: Path, reader: Reader, kept: Sequence[str]) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with errors_alone():  # it recommends a step that gains nothing here
        quantize_static(
            str(whole),
            str(path),
            reader,
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=kept,
            extra_options={
                # The mean of the frames' extremes: the largest values of all are few, and cost the others precision.
                "CalibMovingAverage": True,
                # The weights are rounded anew.
                "QDQDisableWeightAdjustForInt32Bias": True,
            },
        )


def _quantise_weights(model: Any, exact: Any, power: dict[str, Tensor]) -> None:
    """Round weights and biases of all convolutions of the float32 graph `exact`, those that are computed in float too.

    To half of what 8 bits hold: x86 processors without VNNI add two products in 16 bits, and cut off what is more.
    """
    from onnx import numpy_helper

    held = {part.name: torch.from_numpy(numpy_helper.to_array(part).copy()) for part in exact.initializer}
    layers = {
        node.name: node for node in exact.node if node.op_type in CONVOLUTIONS and node.input[1] in held
    }
    given = {part.name: part for part in model.graph.initializer}
    made = {name: node for node in model.graph.node for name in node.output}
    done: set[str] = set()
    for node in [node for node in model.graph.node if node.name in layers]:
        name, transposed = layers[node.name].input[1], node.op_type == "ConvTranspose"
        step = steps(held[name], int(transposed), HALF)
        node.input[1] = f"{name}.float"
        if name not in done:
            whole = in_steps(held[name], step, power.get(name), transposed)
            _dequantise(model, name, whole, step.flatten(), int(transposed))
            done.add(name)
        source = made.get(node.input[0])
        if len(node.input) > 2 and source is not None and source.op_type == "DequantizeLinear":
            # In steps of the products, or onnxruntime computes the layer in float.
            product = step.flatten() * float(numpy_helper.to_array(given[source.input[1]]))
            bias = (held[layers[node.name].input[2]] / product).round()
            if float(bias.abs().max()) < 2**31:
                node.input[2] = f"{node.output[0]}.bias.float"
                _dequantise(model, f"{node.output[0]}.bias", bias.to(torch.int32), product, 0)


def _dequantise(model: Any, name: str, whole: Tensor, step: Tensor, axis: int) -> None:
    """Have a graph compute NAME.float from whole numbers of steps, of each output channel."""
    from onnx import helper, numpy_helper

    parts = {f"{name}.whole": whole.contiguous(), f"{name}.step": step}
    model.graph.initializer.extend(
        numpy_helper.from_array(values.numpy(), part) for part, values in parts.items()
    )
    model.graph.node.insert(
        0, helper.make_node("DequantizeLinear", list(parts), [f"{name}.float"], axis=axis)
    )


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
