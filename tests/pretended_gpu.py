"""A GPU that is pretended, for machines without one: what mixes its tensors with those of the CPU fails as on a real one.

Its tensors say `cuda:0` and hold one on the CPU each, on which every operation is done; PyTorch takes them for tensors of
its `meta` device, which have no memory. Of a GPU's speed, rounding, random numbers, streams and codecs nothing is told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import MagicMock, patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

CPU, GPU, HIDDEN = torch.device("cpu"), torch.device("cuda", 0), torch.device("meta")
ANY_DEVICE = ("index", "index_put_")
"""Operations that take tensors of both devices."""
FROM_DATA = (torch.tensor, torch.as_tensor)
MOVES = (Tensor.to, Tensor.cpu, Tensor.cuda)
INDEXED = (Tensor.__getitem__, Tensor.__setitem__)
WHOLE = (torch.quantile, Tensor.quantile, Tensor.tolist)
PRODUCTS = (torch.matmul, Tensor.matmul, Tensor.__matmul__)


class OnGpu(Tensor):
    """A tensor that says that it is on the GPU."""

    held: Tensor
    device = property(lambda self: GPU)  # type: ignore[assignment]
    is_cuda = property(lambda self: True)  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, held: Tensor) -> OnGpu:
        strided = held.layout is torch.strided
        place = {"strides": held.stride(), "storage_offset": held.storage_offset()} if strided else {}
        new = Tensor._make_wrapper_subclass(cls, held.shape, dtype=held.dtype, device=HIDDEN, **place)
        new.held = held
        return new

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return done_on_cpu(operation, args, kwargs or {})


def held(value: Any) -> Any:
    return value.held if isinstance(value, OnGpu) else value


def is_gpu(device: Any) -> bool:
    return device is not None and torch.device(device).type in ("cuda", "meta")


def done_on_cpu(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operation on tensors that are all on one device, or makes one there."""
    name = operation.overloadpacket.__name__
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    ours = {id(held(tensor)): tensor for tensor in tensors if isinstance(tensor, OnGpu)}
    assert not any(tensor.device.type == "meta" for tensor in tensors), f"{name} lost sight of the GPU"
    if name == "copy_":
        operation(*tree_map(held, args), **kwargs)
        return args[0]
    foreign = [t for t in tensors if ours and t.ndim and not isinstance(t, OnGpu)]
    if foreign and name == "_has_compatible_shallow_copy_type":
        return False
    if foreign and name not in ANY_DEVICE:
        raise RuntimeError(f"{name}: Expected all tensors to be on the same device, but found cuda:0 and cpu")
    there = is_gpu(kwargs["device"]) if kwargs.get("device") is not None else bool(ours)
    if kwargs.get("device") is not None:
        kwargs = kwargs | {"device": CPU}
    result = operation(*tree_map(held, args), **tree_map(held, kwargs))
    # What worked in place gives the very tensor that it was given.
    return tree_map(lambda r: ours.get(id(r), OnGpu(r)) if there and isinstance(r, Tensor) else r, result)


class Operations(TorchDispatchMode):
    """For those that make tensors, which are given none."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        return done_on_cpu(operation, args, kwargs or {})


class Calls(TorchFunctionMode):
    """What PyTorch does to tensors before it comes to single operations."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function in MOVES:
            return moved(function, *args, **kwargs)
        if function is Tensor.numpy and isinstance(args[0], OnGpu):
            raise TypeError("can't convert cuda:0 device type tensor to numpy; use Tensor.cpu() first")
        if function is Tensor.new_tensor and isinstance(args[0], OnGpu):
            return OnGpu(torch.tensor(args[1], dtype=kwargs.get("dtype", args[0].dtype)))
        if function in FROM_DATA and is_gpu(kwargs.get("device")):
            return OnGpu(function(*args, **kwargs | {"device": CPU}))
        if function in INDEXED and isinstance(args[0], OnGpu):
            return indexed(function, *args)
        if function in PRODUCTS:
            return product(*args)
        if function in WHOLE and isinstance(args[0], OnGpu):
            result = function(*tree_map(held, args), **kwargs)
            return OnGpu(result) if isinstance(result, Tensor) else result
        if function is not torch._C._nn._parse_to and is_gpu(kwargs.get("device")):
            kwargs["device"] = HIDDEN
        return function(*args, **kwargs)


def moved(function: Any, tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """A tensor where it is wanted, in the type that is wanted."""
    wanted: dict[str, Any] = {"device": {Tensor.cpu: CPU, Tensor.cuda: GPU}.get(function, tensor.device)}
    for value in args:
        if isinstance(value, Tensor):
            wanted |= {"device": value.device, "dtype": value.dtype}
        elif isinstance(value, torch.dtype):
            wanted["dtype"] = value
        elif isinstance(value, str | torch.device):
            wanted["device"] = value
    wanted |= {name: value for name, value in kwargs.items() if name != "non_blocking" and value is not None}
    there = is_gpu(wanted.pop("device"))
    if there == isinstance(tensor, OnGpu):
        return tensor.to(**wanted) if wanted else tensor
    copy = held(tensor.detach()).to(**wanted | {"copy": True})
    return OnGpu(copy) if there else copy


def indexed(function: Any, tensor: OnGpu, index: Any, *value: Any) -> Any:
    """Numbers, as an index or as a value, PyTorch would make a tensor of that holds nothing."""
    if value and not isinstance(value[0], Tensor):
        tensor.held[tree_map(held, index)] = value[0]
        return None
    if isinstance(index, tuple):
        index = tuple(torch.tensor(i) if isinstance(i, tuple | list) else i for i in index)
    return function(tensor, index, *value)


def product(one: Tensor, other: Tensor) -> Tensor:
    """A product of matrices; of vectors PyTorch makes it and changes its shape in place, which is not seen here."""
    if one.ndim > 1 and other.ndim > 1:
        return torch.Tensor.matmul(one, other)
    rows = one if one.ndim > 1 else one[None]
    columns = other if other.ndim > 1 else other[:, None]
    whole = torch.Tensor.matmul(rows, columns)
    whole = whole if other.ndim > 1 else whole[..., 0]
    return whole if one.ndim > 1 else whole.squeeze(-1 if other.ndim == 1 else -2)


@contextmanager
def modes() -> Iterator[None]:
    with Operations(), Calls():
        yield


@contextmanager
def pretended_gpu() -> Iterator[None]:
    """While it lasts, PyTorch has a GPU, in this thread and in those begun meanwhile."""
    run: Callable[[threading.Thread], None] = threading.Thread.run

    def there(thread: threading.Thread) -> None:
        with modes():
            run(thread)

    told: dict[str, Any] = {
        "is_available": True,
        "device_count": 1,
        "current_device": 0,
        "get_device_name": "pretended",
        "mem_get_info": (1 << 33, 1 << 33),
        "memory_reserved": 0,
        "memory_allocated": 0,
        "is_bf16_supported": True,
        "synchronize": None,
        "set_device": None,
        "current_stream": MagicMock(),
    }
    with ExitStack() as stack:
        for name, value in told.items():
            stack.enter_context(patch.object(torch.cuda, name, MagicMock(return_value=value)))
        stack.enter_context(patch.object(threading.Thread, "run", there))
        stack.enter_context(modes())
        yield
