"""The arithmetic of planes: NumPy and OpenCV on a CPU, PyTorch elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def terms(arrays: Sequence[Any], weights: Sequence[float]) -> list[tuple[Any, float]]:
    """Pairs for `combine`; what weighs nothing is left out. Further weights (a row's offset) are ignored."""
    return [(array, weight) for array, weight in zip(arrays, weights, strict=False) if weight]


def ops_for(tensor: Tensor) -> Any:
    """What computes where a tensor lies."""
    return _CpuOps() if tensor.device.type == "cpu" else _TorchOps(tensor.device)


class _CpuOps:
    """Numpy arrays and OpenCV, which takes mixed types, rounds and saturates in one pass over the memory."""

    banded = True

    def picture(self, height: int, width: int) -> Tensor:
        from vidnoise.buffers import empty

        return empty(3, height, width)

    def array(self, tensor: Tensor) -> Any:
        return tensor.numpy()

    def empty(self, *shape: int) -> Any:
        import numpy as np

        return np.empty(shape, np.float32)

    def floats(self, array: Any) -> Any:
        import numpy as np

        return array.astype(np.float32)

    def combine(
        self, terms: Sequence[tuple[Any, float]], bias: float = 0, out: Any = None, peak: int = 0
    ) -> Any:
        """The weighted sum of arrays, plus `bias`, into `out` or new floats.

        Integers are rounded and kept in 0..peak.
        """
        import cv2
        import numpy as np

        (one, weight), *others = terms
        if out is None and not (others or bias) and weight == 1:
            return one
        out = self.empty(*one.shape) if out is None else out
        final = {np.uint8: cv2.CV_8U, np.uint16: cv2.CV_16U}.get(out.dtype.type, cv2.CV_32F)
        total = out if final == cv2.CV_32F or len(others) < 2 else self.empty(*one.shape)
        other, share = others[0] if others else (one, 0)
        cv2.addWeighted(one, weight, other, share, bias, total, final if total is out else cv2.CV_32F)
        for number, (other, share) in enumerate(others[1:], 2):
            if number == len(others) and total is not out:
                cv2.addWeighted(total, 1, other, share, 0, out, final)
            else:
                cv2.scaleAdd(other, share, total, total)
        if final == cv2.CV_16U:
            np.minimum(out, np.uint16(peak), out=out)
        return out

    def interleave(self, even: Any, odd: Any, out: Any) -> None:
        import cv2

        cv2.merge((even, odd), out.reshape(*even.shape, 2))

    def deinterleave(self, pixels: Any) -> tuple[Any, Any]:
        import cv2

        return tuple(cv2.split(pixels.reshape(len(pixels), -1, 2)))


class _TorchOps:
    """Tensors on any device."""

    banded = False

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def picture(self, height: int, width: int) -> Tensor:
        return cast("Tensor", self.empty(3, height, width))

    def array(self, tensor: Tensor) -> Any:
        return tensor

    def empty(self, *shape: int) -> Any:
        import torch

        return torch.empty(shape, dtype=torch.float32, device=self._device)

    def floats(self, array: Any) -> Any:
        return array.float()

    def combine(
        self, terms: Sequence[tuple[Any, float]], bias: float = 0, out: Any = None, peak: int = 0
    ) -> Any:
        """As `_CpuOps.combine`."""
        (one, weight), *others = terms
        if out is None and not (others or bias) and weight == 1:
            return one
        total = one.float() * weight
        for other, weight in others:
            total.add_(other, alpha=weight)
        if bias:
            total.add_(bias)
        if out is None:
            return total
        return out.copy_(total if out.is_floating_point() else total.round_().clamp_(0, peak))

    def interleave(self, even: Any, odd: Any, out: Any) -> None:
        out[:, 0::2], out[:, 1::2] = even, odd

    def deinterleave(self, pixels: Any) -> tuple[Any, Any]:
        return pixels[:, 0::2], pixels[:, 1::2]
