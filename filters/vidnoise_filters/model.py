"""Any network that takes a picture and gives one of the same size, from a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vidnoise.errors import FilterError
from vidnoise.filter import BaseStage, Filter, SpatialFilter, option
from vidnoise.tiles import fades, spans
from vidnoise_filters.foreign import Network, first_line, read

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from typing_extensions import TypeIs

    from vidnoise.device import Device
    from vidnoise.filter import Stage
    from vidnoise.frame import Frame, StreamInfo

MULTIPLES = (1, 2, 4, 8, 16, 32, 64, 128)
"""Tried in turn, where the user does not say what height and width must be multiples of."""
LEAST = 64
"""Pixels a side of the pictures that are tried; smaller frames are padded to that."""
LEAST_FIXED = 16
"""Pixels a side; a network of one size is put together from tiles, and smaller ones would be all seams."""


@dataclass(frozen=True)
class Model(SpatialFilter):
    """Runs a network of your own on every frame: ONNX, TorchScript, or weights that spandrel knows (.pth, .safetensors).

    It takes one picture, 1 x 3 x height x width, and gives one of the same size; a network for gray pictures (1 channel)
    is applied to R, G and B in turn. A network of one size only sees the frame in tiles that overlap. It computes in
    float32, frame by frame. ONNX runs on the GPU where onnxruntime is built for it, and on the CPU otherwise: frames on a
    GPU cross over and back. Nothing is unpickled: checkpoints are read as weights alone. A TorchScript file is a
    program that PyTorch runs: one that opens files is refused, but take it from people you trust. (B,3,H,W) in and out,
    no memory of the past.
    """

    halo: ClassVar[int] = 32
    bytes_per_pixel: ClassVar[int] = 3000

    path: str = option(unit="file", help="the network; what kind of file it is, is seen from what it holds")
    order: str = option("rgb", choices=("rgb", "bgr"), help="order of the colours that it was trained with")
    white: float = option(
        1.0,
        low=1,
        high=65535,
        help="what white is to it, black being 0: raise it to 255 for a network trained on 8-bit values",
    )
    multiple: int = option(
        0,
        low=0,
        high=1024,
        unit="pixels",
        help="frames are padded until both sides are multiples of it: raise it to what the network needs; 0 finds that out",
    )

    @classmethod
    def examples(cls) -> Sequence[Filter]:
        """None: a network is always somebody's file."""
        return []

    def open(self, info: StreamInfo, device: Device) -> Stage:
        """See `Filter.open`.

        Raises:
            FilterError: the file is missing, no network, would run code, or does not give the size it takes.
        """
        return ModelStage(self, self._fitted(device.torch))

    def apply(self, x: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,3,H,W)."""
        return self.clean(x, self._fitted(x.device))

    def clean(self, x: Tensor, fitted: Fitted) -> Tensor:
        """The same by a network that is already there.

        Raises:
            FilterError: it gives NaN or infinity.
        """
        import torch

        seen = (x.flip(1) if self.order == "bgr" else x) * self.white
        pictures = seen.flatten(0, 1)[:, None] if fitted.channels == 1 else seen
        done = torch.cat([fitted(picture[None]) for picture in pictures]).view_as(x) / self.white
        if not done.isfinite().all():
            raise FilterError(
                f"path='{self.path}' gives NaN or infinity for a frame; give a network whose weights and arithmetic are "
                f"float32, and say what white was in its training (white={self.white:g} now)"
            )
        return done.flip(1) if self.order == "bgr" else done

    def _fitted(self, device: torch.device) -> Fitted:
        path = Path(self.path).expanduser()
        written = path.stat().st_mtime_ns if path.exists() else 0
        return _open(path.absolute(), written, device, self.multiple)


class ModelStage(BaseStage):
    """Keeps to the network that was read when the stream began, whatever becomes of the file."""

    def __init__(self, filter: Model, fitted: Fitted) -> None:
        super().__init__()
        self._filter = filter
        self._fitted = fitted

    def accept(self, frames: Sequence[Frame]) -> list[Frame]:
        """Clean frame by frame."""
        return [f.with_image(self._filter.clean(f.image[None], self._fitted)[0]) for f in frames]

    def restart(self) -> None:
        """There is nothing to forget."""


@dataclass(frozen=True)
class Fitted:
    """A network, and what pictures it was seen to take."""

    network: Network
    channels: int
    multiple: int

    def __call__(self, picture: Tensor) -> Tensor:
        """(1,C,H,W), any size -> the same."""
        import torch

        from vidnoise.nets.padding import crop, extend

        height, width = picture.shape[-2:]
        sides = (self.network.height or self._whole(height), self.network.width or self._whole(width))
        padded = extend(picture, max(height, sides[0]), max(width, sides[1]))
        halos = [max(min(Model.halo, side // 8), 1) for side in sides]
        rows, columns = (spans(n, s, h) for n, s, h in zip(padded.shape[-2:], sides, halos, strict=True))
        done = torch.zeros_like(padded)
        for row, down in zip(rows, fades(rows, halos[0]), strict=True):
            for column, across in zip(columns, fades(columns, halos[1]), strict=True):
                tile = self._run(padded[..., row.slice, column.slice].contiguous())
                done[..., row.slice, column.slice] += tile * (down[:, None] * across).to(tile)
        return crop(done, height, width)

    def _whole(self, length: int) -> int:
        least = max(length, LEAST)
        return least + -least % self.multiple

    def _run(self, tile: Tensor) -> Tensor:
        try:
            done = self.network.run(tile)
        except Exception as failure:  # whatever is in the file may raise whatever it likes
            size = f"{tile.shape[-1]}x{tile.shape[-2]}"
            raise FilterError(f"the network failed on {size} pixels ({first_line(failure)})") from failure
        if not _is_like(done, tile):
            raise FilterError(f"the network {_misfit(done, tile)}; it must give a picture of the same size")
        return done.float()


@lru_cache(maxsize=4)
def _open(path: Path, written: int, device: torch.device, multiple: int) -> Fitted:
    """The network in a file, written at some time; one copy for all streams and tiles."""
    network = read(path, device)
    fixed = [side for side in (network.height, network.width) if side]
    if fixed and min(fixed) < LEAST_FIXED:
        raise FilterError(
            f"path='{path}' takes pictures with a side of {min(fixed)} pixels only, too small to put frames together from; "
            f"write it for {LEAST_FIXED} or more, or for any size"
        )
    return _fit(path, network, device, multiple)


def _fit(path: Path, network: Network, device: torch.device, multiple: int) -> Fitted:
    """Try which channels and sizes a network takes, the smallest multiple first."""
    import torch

    steps = (multiple,) if multiple else (1,) if network.height and network.width else MULTIPLES
    said = ""
    for channels in network.channels:
        for step in steps:
            height, width = network.height or _trial(step), network.width or _trial(step) + 2 * step
            picture = torch.full((1, channels, height, width), 0.5, device=device)
            try:
                with torch.no_grad():
                    done = network.run(picture)
            except Exception as failure:  # each library has its own words for a size that does not fit
                said = said or f"fails with: {first_line(failure)}"
                continue
            if _is_like(done, picture):
                return Fitted(network, channels, step)
            if (scale := _scale(done, picture)) > 1:
                raise FilterError(
                    f"path='{path}' makes pictures {scale} times as large; a filter keeps the size: give one of scale 1"
                )
            said = _misfit(done, picture)
    tried = ", ".join(map(str, steps))
    raise FilterError(
        f"path='{path}' gives no picture of the size that it is given (tried multiples of {tried} pixels, with "
        f"{' and '.join(map(str, network.channels))} channels): it {said}; give a network that keeps the size, or say what "
        f"multiple it needs: model:path=...,multiple=N"
    )


def _trial(step: int) -> int:
    """The smallest odd multiple of `step` from LEAST on: an even one would pass for twice the step."""
    count = -(-LEAST // step)
    return step * (count + 1 - count % 2)


def _is_like(done: object, picture: Tensor) -> TypeIs[Tensor]:
    import torch

    return isinstance(done, torch.Tensor) and done.shape == picture.shape


def _scale(done: object, picture: Tensor) -> int:
    """How many times as large a picture has become; 0 where that is no whole number or no picture."""
    import torch

    if not isinstance(done, torch.Tensor) or done.ndim != 4:
        return 0
    scale = done.shape[-1] // picture.shape[-1]
    whole = done.shape[-2:] == (scale * picture.shape[-2], scale * picture.shape[-1])
    return scale if whole else 0


def _misfit(done: object, picture: Tensor) -> str:
    import torch

    found = f"a tensor {tuple(done.shape)}" if isinstance(done, torch.Tensor) else f"a {type(done).__name__}"
    return f"gives {found} for a picture {tuple(picture.shape)}"
