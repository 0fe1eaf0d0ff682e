"""Before and after in one picture: split down the middle, or next to each other.

The picture before is made from the source planes that every frame carries, so it is of the same moment however far
the filters look ahead.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vidnoise.colour import to_rgb
from vidnoise.errors import UsageError
from vidnoise.frame import Frame, StreamInfo

if TYPE_CHECKING:
    from torch import Tensor

    from vidnoise.colour import Planes

LAYOUTS = ("split", "side")


class Compared:
    """A stage whose frames show before and after what the stages in front of it did.

    Args:
        layout: `split`: left half before, right half after, a thin white line between them, the size unchanged;
            `side`: the whole picture before and, to its right, the whole picture after.
        matrix: the display matrix by which a player turns the picture, so that left and right are those of its viewer.

    Raises:
        UsageError: another layout.
    """

    latency = 0

    def __init__(self, layout: str, matrix: Sequence[int] | None = None) -> None:
        if layout not in LAYOUTS:
            raise UsageError(f"layout {layout!r} is not known; it is one of {', '.join(LAYOUTS)}")
        self._join = _split if layout == "split" else _side
        self._across = _across(matrix)

    def push(self, *frames: Frame) -> Sequence[Frame]:
        """See `Stage.push`."""
        return [self._join(frame, *self._across) for frame in frames]

    def flush(self) -> Sequence[Frame]:
        """See `Stage.flush`."""
        return []

    def reset(self) -> None:
        """See `Stage.reset`."""


def compared_info(info: StreamInfo, layout: str, matrix: Sequence[int] | None = None) -> StreamInfo:
    """The stream that `Compared` gives: twice as wide for `side`, as it is shown."""
    if layout != "side":
        return info
    if _across(matrix)[0] == -2:
        return dataclasses.replace(info, height=2 * info.height)
    return dataclasses.replace(info, width=2 * info.width)


def before(frame: Frame) -> Tensor:
    """The picture (3,H,W) as it came from the source; a frame without source planes gives what it is now."""
    return frame.image if frame.planes is None else to_rgb(frame.planes, frame.format, frame.colour)


def _across(matrix: Sequence[int] | None) -> tuple[int, bool]:
    """Along which dimension one looks from left to right when a picture is shown, and whether from its end."""
    right, down = (1, 0) if matrix is None else (matrix[0], matrix[3])
    return (-1, right < 0) if abs(right) >= abs(down) else (-2, down < 0)


def _split(frame: Frame, axis: int, from_end: bool) -> Frame:
    image = frame.image.clone()
    shown, old = (picture.movedim(axis, -1) for picture in (image, before(frame)))
    middle, line = shown.shape[-1] // 2, max(2, shown.shape[-1] // 640)
    left = slice(middle, None) if from_end else slice(middle)
    shown[..., left] = old[..., left]
    shown[..., middle - line // 2 : middle + (line + 1) // 2] = 1
    return frame.with_image(image)


def _side(frame: Frame, axis: int, from_end: bool) -> Frame:
    import torch

    pictures = [before(frame), frame.image]
    image = torch.cat(pictures[::-1] if from_end else pictures, dim=axis)
    return frame.replace(
        planes=frame.planes and _doubled(frame.planes, frame, axis), _image=image, touched=True
    )


def _doubled(planes: Planes, frame: Frame, axis: int) -> Planes:
    """The planes of a picture twice as large: the writer takes the size and the alpha from them."""
    import torch

    sizes = [frame.height, frame.width]
    sizes[axis] *= 2
    chroma = frame.format.chroma_size(*sizes)
    lengths = [
        (chroma if i in (1, 2) and frame.format.colour_planes == 3 else sizes)[axis]
        for i in range(len(planes))
    ]
    return tuple(torch.cat([p, p], axis).narrow(axis, 0, n) for p, n in zip(planes, lengths, strict=True))
