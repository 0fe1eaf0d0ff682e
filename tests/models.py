"""Small networks as files, as others would hand them over."""

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from vidnoise.filters import Model

EXAMPLE = Model("blur.pt")
"""A blur of 3x3 pixels that leaves plain areas as they are; `torchscript(blur(), ...)` writes it."""


def blur() -> nn.Module:
    return nn.AvgPool2d(3, 1, 1, count_include_pad=False)


def torchscript(module: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(module).save(str(path))
    return path


def onnx_file(
    path: Path,
    *,
    shape: list,
    operator: str = "AveragePool",
    inputs: tuple[str, ...] = ("picture",),
    **attributes,
) -> Path:
    """One operator from its inputs to `done`; by default the blur. Needs the package onnx."""
    onnx = pytest.importorskip("onnx", reason="writes ONNX files")
    from onnx import TensorProto, helper

    if operator == "AveragePool":
        attributes = {"kernel_shape": [3, 3], "pads": [1] * 4}
    node = helper.make_node(operator, inputs, ["done"], **attributes)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in (*inputs, "done")]
    graph = helper.make_graph([node], "small", ends[:-1], ends[-1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path


class Scaled(nn.Module):
    """Each channel times a number of its own."""

    def __init__(self, *factors: float) -> None:
        super().__init__()
        self.register_buffer("factors", torch.tensor(factors).view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] != self.factors.shape[1]:
            raise ValueError("other channels were expected")
        return x * self.factors
