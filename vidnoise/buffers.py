"""Memory for pictures on the CPU that is used again, frame after frame.

A fresh picture of 11 MB (720p) costs the system one to two milliseconds for pages that it must first clear: a
fourth of what converting it costs.
"""

from __future__ import annotations

import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_IDLE_BYTES = 128 << 20
"""How much memory may wait for its next use."""

_idle: deque[Any] = deque()


def empty(*shape: int) -> Tensor:
    """An uninitialised float32 tensor on the CPU, like `torch.empty(shape)`.

    Its memory comes back by itself when the last tensor or array that shares it is gone. Any thread may call
    it.
    """
    import torch

    memory = _taken(shape)
    if memory is None:
        memory = torch.empty(shape, dtype=torch.float32).numpy()
    # The tensor's storage holds this view, and nothing else does: it goes when the storage goes.
    view = memory.view()
    weakref.finalize(view, _give_back, memory).atexit = False
    return torch.from_numpy(view)


def _taken(shape: tuple[int, ...]) -> Any:
    """Idle memory of this shape, or None. Other shapes are let go: the stream they belonged to has ended."""
    while True:
        try:
            memory = _idle.pop()
        except IndexError:
            return None
        if memory.shape == shape:
            return memory


def _give_back(memory: Any) -> None:
    if (len(_idle) + 1) * memory.nbytes <= _IDLE_BYTES:
        _idle.append(memory)
