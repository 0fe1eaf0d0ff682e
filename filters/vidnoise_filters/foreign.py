"""Networks that others made, read from a file: ONNX, TorchScript, or weights that spandrel knows.

No file is unpickled as Python objects, since that runs whatever it says.
"""

from __future__ import annotations

import re
import shlex
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from vidnoise.errors import FilterError, VidnoiseError

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import Tensor

KINDS = "an ONNX file, a TorchScript file, or weights that spandrel knows (.safetensors, .pth)"
FILE_WORDS = re.compile(rb"\b(?:torch|ops\.\w+)\.(?:save|load|from_file)\b")
"""What a TorchScript program calls to read and write files, which no network needs."""
PICTURES = {"tensor(float)": "float32", "tensor(float16)": "float16"}
"""ONNX's types for what a network may take, and NumPy's."""


@dataclass(frozen=True)
class Network:
    """A network with one picture in and one out.

    Attributes:
        run: (1,C,H,W) float32 -> what it gives, on the same device.
        channels: what C may be, the likeliest first.
        height, width: the only size that it takes, pixels; 0 for any.
    """

    run: Callable[[Tensor], object]
    channels: tuple[int, ...] = (3, 1)
    height: int = 0
    width: int = 0


def read(path: Path, device: torch.device) -> Network:
    """The network in a file, told by what the file holds and not by its name.

    Raises:
        FilterError: no such file, no network, one that takes or gives something else than a picture, a file that would
            run code, or a package that is missing.
    """
    return _reader(path)(path, device)


def first_line(failure: BaseException) -> str:
    """What a library says of a failure, short enough for a message."""
    lines = str(failure).strip().splitlines()
    return lines[0][:200] if lines else type(failure).__name__


def _reader(path: Path) -> Callable[[Path, torch.device], Network]:
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as failure:
        raise FilterError(f"path='{path}' cannot be read ({failure.strerror}); give {KINDS}") from failure
    if head.startswith(b"PK\x03\x04"):
        return _zip_reader(path)
    if head[8:9] == b"{":
        return _safetensors
    if head.startswith(b"\x80"):  # a pickle, as checkpoints of older PyTorch are
        return _checkpoint
    if head.startswith(b"\x08"):  # the first field of every ONNX file: its version
        return _onnx
    raise FilterError(f"path='{path}' is no network: it begins with {head!r}; give {KINDS}")


def _zip_reader(path: Path) -> Callable[[Path, torch.device], Network]:
    with _archive(path) as archive:
        ends = {name.rpartition("/")[2] for name in archive.namelist()}
    if ends & {"archive_format", "serialized_exported_program.json"}:
        raise FilterError(
            f"path='{path}' is an archive of torch.export, which can run code when it is read; write the network as "
            f"ONNX instead, with torch.onnx.export"
        )
    if "constants.pkl" in ends:
        return _torchscript
    if "data.pkl" in ends:
        return _checkpoint
    raise FilterError(f"path='{path}' is a ZIP archive without a network of PyTorch; give {KINDS}")


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except FilterError:
        raise
    except Exception as failure:  # damage shows as errors of many kinds
        raise FilterError(
            f"path='{path}' is a damaged file of PyTorch ({first_line(failure)}); copy it again"
        ) from failure


def _torchscript(path: Path, device: torch.device) -> Network:
    import warnings

    import torch

    _refuse_file_access(path)
    try:
        with warnings.catch_warnings():
            # PyTorch recommends in its place what runs code on reading.
            warnings.simplefilter("ignore", DeprecationWarning)
            module = torch.jit.load(str(path), map_location=device)  # type: ignore[no-untyped-call]
        needed = [each.name for each in module.forward.schema.arguments if not each.has_default_value()]
    except Exception as failure:  # damage shows as errors of many kinds
        raise FilterError(
            f"path='{path}' is TorchScript that this PyTorch ({torch.__version__}) cannot read ({first_line(failure)}); "
            f"write it again with this version, or as ONNX"
        ) from failure
    _, *inputs = needed
    if len(inputs) != 1:
        raise FilterError(_several(path, f"{len(inputs)} inputs ({', '.join(inputs)})"))
    return Network(module.eval().float())


def _refuse_file_access(path: Path) -> None:
    with _archive(path) as archive:
        for entry in archive.infolist():
            found = FILE_WORDS.search(archive.read(entry)) if entry.filename.endswith(".py") else None
            if found:
                raise FilterError(
                    f"path='{path}' holds a program that calls {found[0].decode()}, which reads or writes files; get the "
                    f"network from a source you trust, as ONNX"
                )


def _onnx(path: Path, device: torch.device) -> Network:
    import torch

    onnxruntime = _package("onnxruntime", f"the ONNX file '{path}'")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what fails is raised as well
    options.intra_op_num_threads = torch.get_num_threads()
    wanted = ["CUDAExecutionProvider"] if device.type == "cuda" else []
    known = [name for name in wanted if name in onnxruntime.get_available_providers()]
    providers = [*known, "CPUExecutionProvider"]
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
        inputs = [Picture(value.name, value.type, value.shape or []) for value in session.get_inputs()]
    except Exception as failure:
        raise FilterError(
            f"path='{path}' is no ONNX file that onnxruntime {onnxruntime.__version__} can read ({first_line(failure)}); "
            f"write it again, or give {KINDS}"
        ) from failure
    given = _only(path, inputs, len(session.get_outputs()))
    channels, height, width = given.sizes[1:]

    def run(x: Tensor) -> Tensor:
        (done,) = session.run(None, {given.name: x.cpu().numpy().astype(PICTURES[given.type])})
        return torch.from_numpy(done).to(x.device, torch.float32)

    return Network(run, (channels,) if channels else (3, 1), height, width)


@dataclass(frozen=True)
class Picture:
    """An input of an ONNX file, in its words: sizes are numbers, names or None."""

    name: str
    type: str
    shape: Sequence[object]

    @property
    def sizes(self) -> list[int]:
        """Its sizes, 0 for those that are open."""
        return [size if isinstance(size, int) and size > 0 else 0 for size in self.shape]

    def __str__(self) -> str:
        return f"{self.name} {self.type} {self.shape}"


def _only(path: Path, inputs: Sequence[Picture], outputs: int) -> Picture:
    """The picture that is the only input."""
    found = ", ".join(map(str, inputs))
    if len(inputs) != 1 or outputs != 1:
        raise FilterError(_several(path, f"{len(inputs)} inputs ({found}) and gives {outputs} outputs"))
    sizes = inputs[0].sizes
    channels_last = sizes[3:] in ([1], [3])
    if (
        inputs[0].type not in PICTURES
        or len(sizes) != 4
        or sizes[0] > 1
        or sizes[1] not in (0, 1, 3)
        or channels_last
    ):
        raise FilterError(
            f"path='{path}' takes {found}; a filter gives one picture of floats, 1 x 3 x height x width (or 1 channel): "
            f"write the network for that"
        )
    return inputs[0]


def _several(path: Path, taken: str) -> str:
    return (
        f"path='{path}' takes {taken}; a filter gives one picture and takes one: write the others into the file as "
        f"constants, as vidnoise export --sigma does for networks of single pictures such as dwnet"
    )


def _safetensors(path: Path, device: torch.device) -> Network:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if _has_card(path):
        raise FilterError(
            f"path='{path}' holds weights of `vidnoise train` without their network; write both into one file: "
            f"vidnoise export {shlex.quote(str(path))} -o net.onnx, with --sigma where the network is told the noise level"
        )
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as failure:
        raise FilterError(f"path='{path}' is no whole safetensors file ({first_line(failure)})") from failure
    return _restored(path, weights, device)


def _has_card(path: Path) -> bool:
    from vidnoise.nets.weights import read_card

    try:
        read_card(path.with_suffix(".json"))
    except VidnoiseError:
        return False
    return True


def _checkpoint(path: Path, device: torch.device) -> Network:
    import pickle
    import warnings

    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it then refuses
            weights = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as failure:
        raise FilterError(
            f"path='{path}' holds Python objects beside weights, and reading those could run code, so it was not read; get "
            f"the weights alone, as .safetensors, or the network as ONNX"
        ) from failure
    except Exception as failure:  # torch.load raises whatever a damaged file leads to
        raise FilterError(
            f"path='{path}' is no whole checkpoint of PyTorch ({first_line(failure)})"
        ) from failure
    return _restored(path, weights, device)


def _restored(path: Path, weights: object, device: torch.device) -> Network:
    """The network that spandrel finds weights to be of."""
    spandrel = _package("spandrel", f"'{path}', which holds weights without their network,")
    try:
        found = spandrel.ModelLoader(device).load_from_state_dict(spandrel.canonicalize_state_dict(weights))
    except Exception as failure:  # each of its forty networks fails in its own way on weights of another
        raise FilterError(
            f"path='{path}' holds weights of no network that spandrel {spandrel.__version__} knows "
            f"({first_line(failure)}); give the network itself, as ONNX or TorchScript"
        ) from failure
    if not isinstance(found, spandrel.ImageModelDescriptor) or found.input_channels not in (1, 3):
        raise FilterError(
            f"path='{path}' is {found.architecture.name}, which takes more than a picture; give a network that restores one"
        )
    return Network(found.eval(), (found.input_channels,))


def _package(name: str, what: str) -> Any:
    try:
        return import_module(name)
    except ImportError as failure:
        # Without its cause, for which the command line has words of its own.
        raise FilterError(
            f"{what} needs {name}, which cannot be imported ({failure}); type: pip install 'vidnoise[models]'"
        ) from None
