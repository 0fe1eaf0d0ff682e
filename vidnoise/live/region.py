"""Parts of the picture: what is cleaned alone (`--roi`), and what stays as it is (`--ignore`), such as a burnt-in clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from vidnoise.errors import UsageError
from vidnoise.filter import Stage
from vidnoise.frame import Frame, StreamInfo
from vidnoise.live.settings import Box


class Region:
    """A stage around another, which sees the box `roi` alone; in the boxes of `ignore` the picture stays as it was.

    Args:
        open: opens the inner stage for the size that it will see.
        info: of the whole picture.
        roi: what is cleaned, None for all.
        ignore: what is not; see `check`.
    """

    def __init__(
        self, open: Callable[[StreamInfo], Stage], info: StreamInfo, roi: Box | None, ignore: Sequence[Box]
    ) -> None:
        self._roi: Box = roi or (0, 0, info.width, info.height)
        self._ignore = [_slices(box) for box in ignore]
        self._inner = open(replace(info, width=self._roi[2], height=self._roi[3]))
        self._whole: deque[Frame] = deque()

    @property
    def latency(self) -> int:
        """See `Stage.latency`."""
        return self._inner.latency

    def push(self, *frames: Frame) -> Sequence[Frame]:
        """See `Stage.push`."""
        self._whole.extend(frames)
        return self._restored(self._inner.push(*(self._part(frame) for frame in frames)))

    def flush(self) -> Sequence[Frame]:
        """See `Stage.flush`."""
        return self._restored(self._inner.flush())

    def reset(self) -> None:
        """See `Stage.reset`."""
        self._whole.clear()
        self._inner.reset()

    def _part(self, frame: Frame) -> Frame:
        part = frame.image[(slice(None), *_slices(self._roi))].contiguous()
        return Frame(
            image=part, pts=frame.pts, time_base=frame.time_base, duration=frame.duration, cut=frame.cut
        )

    def _restored(self, parts: Sequence[Frame]) -> list[Frame]:
        return [self._join(self._whole.popleft(), part) for part in parts]

    def _join(self, whole: Frame, part: Frame) -> Frame:
        """The whole picture with the cleaned part in its place."""
        image = whole.image.clone()
        image[(slice(None), *_slices(self._roi))] = part.image
        for box in self._ignore:
            image[(slice(None), *box)] = whole.image[(slice(None), *box)]
        return whole.with_image(image).replace(sigma=part.sigma)


def _slices(box: Box) -> tuple[slice, slice]:
    x, y, width, height = box
    return slice(y, y + height), slice(x, x + width)


def check(info: StreamInfo, roi: Box | None, ignore: Sequence[Box]) -> None:
    """Hold boxes against the picture.

    Raises:
        UsageError: one is empty or reaches beyond the picture.
    """
    boxes = [("ignore", box) for box in ignore] + ([("roi", roi)] if roi else [])
    for name, (x, y, width, height) in boxes:
        if min(x, y) < 0 or min(width, height) < 1 or x + width > info.width or y + height > info.height:
            raise UsageError(
                f"--{name} {x},{y},{width},{height} reaches beyond the picture, which is {info.width}x{info.height}"
            )
