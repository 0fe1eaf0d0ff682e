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

    Raises:
        UsageError: another layout.
    """

    latency = 0

    def __init__(self, layout: str) -> None:
        if layout not in LAYOUTS:
            raise UsageError(f"layout {layout!r} is not known; it is one of {', '.join(LAYOUTS)}")
        self._join = _split if layout == "split" else _side

    def push(self, *frames: Frame) -> Sequence[Frame]:
        """See `Stage.push`."""
        return [self._join(frame) for frame in frames]

    def flush(self) -> Sequence[Frame]:
        """See `Stage.flush`."""
        return []

    def reset(self) -> None:
        """See `Stage.reset`."""


def compared_info(info: StreamInfo, layout: str) -> StreamInfo:
    """The stream that `Compared` gives: twice as wide for `side`."""
    return dataclasses.replace(info, width=2 * info.width) if layout == "side" else info


def before(frame: Frame) -> Tensor:
    """The picture (3,H,W) as it came from the source; a frame without source planes gives what it is now."""
    return frame.image if frame.planes is None else to_rgb(frame.planes, frame.format, frame.colour)


def _split(frame: Frame) -> Frame:
    middle = frame.width // 2
    line = max(2, frame.width // 640)
    image = frame.image.clone()
    image[..., :middle] = before(frame)[..., :middle]
    image[..., middle - line // 2 : middle + (line + 1) // 2] = 1
    return frame.with_image(image)


def _side(frame: Frame) -> Frame:
    import torch

    image = torch.cat([before(frame), frame.image], dim=-1)
    return frame.replace(planes=frame.planes and _doubled(frame.planes, frame), _image=image, touched=True)


def _doubled(planes: Planes, frame: Frame) -> Planes:
    """The planes of a picture twice as wide: the writer takes the size and the alpha from them."""
    import torch

    chroma = frame.format.chroma_size(frame.height, 2 * frame.width)[1]
    widths = [
        chroma if i in (1, 2) and frame.format.colour_planes == 3 else 2 * frame.width
        for i in range(len(planes))
    ]
    return tuple(torch.cat([p, p], dim=-1)[..., :width] for p, width in zip(planes, widths, strict=True))
