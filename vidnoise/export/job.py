"""The whole of an export: written beside its target, checked, described, then given its name."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch

from vidnoise.errors import OutputError, UsageError, missing_folder
from vidnoise.filter import plainly
from vidnoise.options import check_kind

from .formats import FORMATS, Format, Run, format_of
from .subject import Subject

if TYPE_CHECKING:
    from .subject import Port

CHECKED = ((1, 9, 12), (3, 10, 8))
"""Pictures, and multiples a side, on which a file is held against PyTorch: not those that it was traced with. None is under
64 pixels a side, the least that an engine of TensorRT takes."""


@dataclass(frozen=True)
class Done:
    """What was written: the files, and the largest difference from PyTorch, of white."""

    files: tuple[Path, ...]
    difference: float
    description: dict[str, Any]


def export(
    subject: Subject,
    path: PathLike[str] | str,
    *,
    format: str | None = None,
    calibrate: PathLike[str] | str | None = None,
    overwrite: bool = False,
) -> Done:
    """Write a network to a file, hold the file against PyTorch, and describe it in JSON beside it.

    Args:
        subject: from `find`.
        path: the file; its ending says the format.
        format: its name, where the ending does not say it.
        calibrate: frames (a video, or a folder of videos or frames) from which an ONNX file gets its 8-bit scales; None
            leaves it in float32.
        overwrite: whether files that exist may be replaced.

    Raises:
        UsageError: the name does not suit the format, a package is missing, a file exists, or it is no subject.
        InputError: there are no frames to calibrate with.
        OutputError: it cannot be written, or what was written does not compute what PyTorch does.
    """
    check_kind("subject", subject, Subject, "vidnoise.export.subject.find('denoise')")
    path, calibrate = Path(path), None if calibrate is None else Path(calibrate)
    name = format_of(path, format)
    if calibrate and name != "onnx":
        raise UsageError(
            f"8-bit files are written as ONNX alone; leave --int8 out, or name {path.with_suffix('.onnx')}"
        )
    FORMATS[name].need(name)
    _check_target(path, overwrite)
    try:
        with TemporaryDirectory(prefix=".vidnoise-", dir=path.parent) as folder:
            whole = Path(folder) / path.name
            with plainly():
                done = _written(subject, whole, name, calibrate)
            files = tuple(path.parent / part.name for part in sorted(Path(folder).iterdir()))
            _refuse_existing(files, overwrite)
            for file in files:
                os.replace(Path(folder) / file.name, file)
    except OSError as failure:
        raise OutputError(f"cannot write {path}: {failure.strerror or failure}") from failure
    return Done(files, done.difference, done.description)


def _check_target(path: Path, overwrite: bool) -> None:
    if not path.parent.is_dir():
        raise missing_folder(path.parent)
    _refuse_existing((path, _beside(path)), overwrite)


def _refuse_existing(files: Sequence[Path], overwrite: bool) -> None:
    for file in files:
        if file.exists() and not overwrite:
            raise UsageError(f"{file} exists; add --overwrite to replace it, or give another name")


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _written(subject: Subject, path: Path, name: str, calibrate: Path | None) -> Done:
    """The files in a folder of their own."""
    format = FORMATS[name]
    format.write(subject, path)
    difference = _difference(subject, format.load(path))
    if not difference <= format.tolerance:
        raise OutputError(
            f"the {name} file computes something else than PyTorch: {difference:.2g} of white at the most, where "
            f"{format.tolerance:g} is allowed; nothing was kept: update {' and '.join(format.packages) or 'PyTorch'}"
        )
    described = _description(subject, name, format, difference)
    if calibrate:
        from .int8 import quantise

        described["int8"] = quantise(subject, path, calibrate)
    text = json.dumps(described, indent=2, ensure_ascii=False)
    _beside(path).write_text(text + "\n", encoding="utf-8")
    return Done((), difference, described)


def _difference(subject: Subject, run: Run) -> float:
    """The largest difference of what a file gives from what PyTorch gives, over several sizes; NaN counts as infinite."""
    found = [float((run(x) - subject(*x)).abs().max()) for x in (subject.examples(*size) for size in CHECKED)]
    return max(found) if all(value == value for value in found) else float("inf")


def _description(subject: Subject, name: str, format: Format, difference: float) -> dict[str, Any]:
    multiple, card = subject.multiple, subject.card
    return {
        "network": subject.name,
        "format": name,
        "inputs": [_port(port, multiple) for port in subject.inputs],
        "outputs": [
            {
                "name": "clean",
                "shape": ["batch", 3, f"{multiple}*rows", f"{multiple}*columns"],
                "dtype": "float32",
                "meaning": "the clean picture, not clipped",
            }
        ],
        "colour": "RGB as encoded in the video (not linear light), channels first",
        "range": "0 is black, 1 is white; noise may reach beyond, do not clip it",
        "padding": {
            "multiple": multiple,
            "rule": f"pad pictures at the right and the bottom to multiples of {multiple} pixels by repeating the edge, "
            f"and crop the result; a map by blocks gets the values of the padded blocks",
        },
        "sigma": {"fixed at": subject.sigma, "unit": "8-bit steps"} if subject.sigma else "an input",
        "checked": {
            "against": f"PyTorch {torch.__version__}",
            "with": _versions(format.packages),
            "largest difference": difference,
            "sizes": [[count, 3, multiple * rows, multiple * columns] for count, rows, columns in CHECKED],
        },
        "weights": {
            "kind": card.kind,
            "tier": card.tier,
            "sha256": card.sha256,
            "data": card.data,
            "licence": card.licence,
        },
    }


def _port(port: Port, multiple: int) -> dict[str, Any]:
    times = multiple // port.cell
    sides = [f"{times}*{side}" if times > 1 else side for side in ("rows", "columns")]
    shape = ["batch", port.channels, *sides]
    return {"name": port.name, "shape": shape, "dtype": "float32", "meaning": port.meaning}


def _versions(packages: Sequence[str]) -> dict[str, str]:
    return {package: str(getattr(import_module(package), "__version__", "")) for package in packages}
