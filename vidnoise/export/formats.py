"""The formats: how a network is written in each, and how the file is run again to check it."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vidnoise.errors import UsageError

from . import ENDINGS
from .graph import strip

if TYPE_CHECKING:
    from .subject import Subject

Run = Callable[[Sequence[Tensor]], Tensor]
EXAMPLE = (2, 5, 7)
"""Pictures, and multiples a side, that a network is traced with: all different, and none 1, which would be kept fixed."""


@dataclass(frozen=True)
class Format:
    """One file format.

    Attributes:
        packages: what must be installed to write and check it.
        install: what to type for that.
        write: the network to a path.
        load: a path back, ready to run.
        tolerance: how far its results may be from PyTorch's, of white.
    """

    packages: tuple[str, ...]
    install: str
    write: Callable[[Subject, Path], None]
    load: Callable[[Path], Run]
    tolerance: float = 1e-4

    def need(self, name: str) -> None:
        """UsageError if a package is missing."""
        for package in self.packages:
            try:
                import_module(package)
            except ImportError as failure:
                # Without its cause, for which the command line has words of its own.
                raise UsageError(
                    f"format {name} needs {package}, which cannot be imported ({failure}); type: {self.install}"
                ) from None


BOUND = ("openvino", "torch")
"""Formats whose own libraries insist on the ending."""


def format_of(path: Path, name: str | None = None) -> str:
    """The format that is named, or else the one that the file's ending says.

    Raises:
        UsageError: neither says one, or they do not go together.
    """
    said = next((known for known, ending in ENDINGS.items() if path.suffix == ending), None)
    if name is None and said is None:
        endings = ", ".join(f"{ending} ({known})" for known, ending in ENDINGS.items())
        raise UsageError(f"the ending of {path} says no format; let it be one of {endings}, or add --format")
    if name and said != name and (said or name in BOUND):
        raise UsageError(f"{path} is not a name for format {name}; let it end in {ENDINGS[name]}")
    return name or str(said)


def write_onnx(subject: Subject, path: Path) -> None:
    """As ONNX, in one file, with batch, rows and columns of `multiple` pixels left open."""
    import onnx

    with _quiet():
        program = torch.onnx.export(
            subject.network,
            subject.examples(*EXAMPLE),
            dynamo=True,
            verbose=False,
            dynamic_shapes=_open_sizes(subject),
            input_names=[port.name for port in subject.inputs],
            output_names=["clean"],
            external_data=False,
        )
    assert program is not None
    model = program.model_proto
    strip(model)
    onnx.save(model, path)


def _open_sizes(subject: Subject) -> tuple[Any, ...]:
    """Which sizes of each input are left open; within one more tuple where the network takes `*inputs`."""
    from torch.export import Dim

    from vidnoise.nets import Ensemble

    batch, rows, columns = Dim("batch"), Dim("rows"), Dim("columns")

    def open_sizes(cell: int) -> dict[int, Any]:
        times = subject.multiple // cell
        sides = (rows, columns) if times == 1 else (times * rows, times * columns)
        return {0: batch, 2: sides[0], 3: sides[1]}

    opened = tuple(open_sizes(port.cell) for port in subject.inputs)
    return (opened,) if isinstance(subject.network, Ensemble) else opened


def load_onnx(path: Path) -> Run:
    """By onnxruntime, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]

    def run(inputs: Sequence[Tensor]) -> Tensor:
        values = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
        return torch.from_numpy(session.run(None, values)[0])

    return run


def _write_openvino(subject: Subject, path: Path) -> None:
    import openvino

    onnx = path.with_suffix(".onnx")
    write_onnx(subject, onnx)
    # Not convert_model, which reports its use to Intel.
    openvino.save_model(openvino.Core().read_model(str(onnx)), str(path), compress_to_fp16=False)
    onnx.unlink()


def _load_openvino(path: Path) -> Run:
    import openvino

    # Left alone, it computes in bfloat16 where the CPU can.
    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda inputs: torch.from_numpy(compiled([value.numpy() for value in inputs])[0].copy())


def _write_torchscript(subject: Subject, path: Path) -> None:
    with _quiet(), torch.no_grad():
        traced = torch.jit.trace(subject.network, subject.examples(*EXAMPLE), check_trace=False)  # type: ignore[no-untyped-call]
        traced.save(str(path))


def _load_torchscript(path: Path) -> Run:
    with _quiet():
        module = torch.jit.load(str(path))  # type: ignore[no-untyped-call]
    return _run_by_torch(module)


def _write_torch(subject: Subject, path: Path) -> None:
    with _quiet():
        program = torch.export.export(
            subject.network, subject.examples(*EXAMPLE), dynamic_shapes=_open_sizes(subject)
        )
        torch.export.save(program, path)


def _load_torch(path: Path) -> Run:
    with _quiet():
        return _run_by_torch(torch.export.load(path).module())


def _run_by_torch(module: Any) -> Run:
    def run(inputs: Sequence[Tensor]) -> Tensor:
        with torch.no_grad():
            done: Tensor = module(*inputs)
        return done

    return run


def _write_tensorrt(subject: Subject, path: Path) -> None:
    from . import tensorrt

    onnx = path.with_suffix(".onnx")
    write_onnx(subject, onnx)
    tensorrt.build(subject, onnx, path)
    onnx.unlink()


def _load_tensorrt(path: Path) -> Run:
    from . import tensorrt

    return tensorrt.load(path)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """PyTorch's exporters talk at length of what concerns their authors."""
    with errors_alone("torch.onnx"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def errors_alone(name: str | None = None) -> Iterator[None]:
    """Meanwhile a logger, by default that of all, tells nothing but errors."""
    log = logging.getLogger(name)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


_EXTRA = "pip install 'vidnoise[export]'"
_ONNX = ("onnx", "onnxscript", "onnxruntime")

FORMATS = {
    "onnx": Format(_ONNX, _EXTRA, write_onnx, load_onnx),
    "openvino": Format((*_ONNX, "openvino"), f"{_EXTRA} openvino", _write_openvino, _load_openvino),
    "torchscript": Format((), "", _write_torchscript, _load_torchscript),
    "torch": Format((), "", _write_torch, _load_torch),
    "tensorrt": Format((*_ONNX, "tensorrt"), f"{_EXTRA} tensorrt", _write_tensorrt, _load_tensorrt, 5e-3),
}
"""By name."""
