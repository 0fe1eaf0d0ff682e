"""TensorRT: an engine for the GPU that it is built on, from ONNX, and running it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vidnoise.errors import DeviceError, OutputError

if TYPE_CHECKING:
    from .formats import Run
    from .subject import Subject

SIZES = ((1, 64, 64), (1, 720, 1280), (4, 2160, 3840))
"""The smallest, the usual and the largest that an engine takes: pictures, height, width in pixels."""


def build(subject: Subject, onnx: Path, path: Path) -> None:
    """Build an engine on the current GPU.

    Raises:
        DeviceError: there is no GPU.
        OutputError: TensorRT cannot build it.
    """
    if not torch.cuda.is_available():
        raise DeviceError(
            "a TensorRT engine is built on the GPU it is for, and none was found; export onnx instead"
        )
    import tensorrt as trt

    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx)):
        raise OutputError(f"TensorRT {trt.__version__} cannot read the network: {parser.get_error(0)}")
    config = builder.create_builder_config()
    config.add_optimization_profile(_profile(builder, subject))
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise OutputError(f"TensorRT {trt.__version__} could not build an engine; export onnx instead")
    path.write_bytes(engine)


def _profile(builder: Any, subject: Subject) -> Any:
    profile = builder.create_optimization_profile()
    for port in subject.inputs:
        shapes = [
            (count, port.channels, _cells(subject, port.cell, height), _cells(subject, port.cell, width))
            for count, height, width in SIZES
        ]
        profile.set_shape(port.name, *shapes)
    return profile


def _cells(subject: Subject, cell: int, length: int) -> int:
    return (length + -length % subject.multiple) // cell


def load(path: Path) -> Run:
    """An engine, ready to run: tensors on the CPU in and out."""
    import tensorrt as trt

    engine = trt.Runtime(trt.Logger(trt.Logger.ERROR)).deserialize_cuda_engine(path.read_bytes())
    context = engine.create_execution_context()
    names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
    given = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]

    def run(inputs: Sequence[Tensor]) -> Tensor:
        held = {name: value.cuda().contiguous() for name, value in zip(given, inputs, strict=True)}
        for name, value in held.items():
            context.set_input_shape(name, tuple(value.shape))
        done = torch.empty(tuple(context.get_tensor_shape("clean")), device="cuda")
        for name, value in (*held.items(), ("clean", done)):
            context.set_tensor_address(name, value.data_ptr())
        context.execute_async_v3(torch.cuda.current_stream().cuda_stream)
        torch.cuda.synchronize()
        return done.cpu()

    return run
