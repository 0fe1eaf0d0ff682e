"""Filters as a function of pictures that come one by one."""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vidnoise.errors import UsageError
from vidnoise.frame import Frame, StreamInfo
from vidnoise.opencv.pictures import FULL, as_array, check, format_of, planes_of

if TYPE_CHECKING:
    from vidnoise.api import Filters
    from vidnoise.filter import Stage
    from vidnoise.opencv.pictures import Picture


class Cleaner:
    """Filters for pictures that come one by one: call it with each.

    One result comes for each picture, in order. A chain that looks ahead gives None at first; `flush()` gives the
    results that are left at the end.

    Args:
        chain: filters, as `vidnoise.run` takes them; None for the default chain.
        device: `auto`, `cpu` or `cuda`.
        precision: `auto`, `fp32`, `bf16`, `fp16` or `int8`, for the arithmetic inside networks.

    Raises:
        UsageError: the chain names a filter or option that does not exist.
        DeviceError: the device is not there.
    """

    def __init__(self, chain: Filters = None, *, device: str = "auto", precision: str = "auto") -> None:
        from vidnoise.api import as_chain
        from vidnoise.device import choose

        self._chain = as_chain(chain)
        self._device = choose(device, precision)
        self._stage: Stage | None = None
        self._kind: tuple[Any, ...] = ()
        self._count = 0
        self._ready: deque[Picture] = deque()

    @property
    def latency(self) -> int:
        """How many pictures go in before the first comes out; known from the first picture on."""
        return self._stage.latency if self._stage else 0

    def __call__(self, picture: Picture) -> Picture | None:
        """Take a picture, give the next finished one; the picture is copied and may be reused.

        Args:
            picture: (H,W,3) blue-green-red or (H,W) gray, uint8, or uint16 whose white is 65535.

        Returns:
            A picture of the same shape and type, or None while the filters look ahead.

        Raises:
            UsageError: no such picture, one without pixels, or another shape or type than before.
            FilterError: a filter failed; call `reset()` to go on.
        """
        check(picture)
        kind = (picture.dtype, picture.shape)
        if self._stage is None:
            self._stage, self._kind = self._open(picture), kind
        if kind != self._kind:
            this, before = (f"{dtype} {shape}" for dtype, shape in (kind, self._kind))
            raise UsageError(
                f"this picture is {this}, those before were {before}; call flush() before others"
            )
        frame = Frame(pts=self._count, time_base=Fraction(1, 25), duration=1, **planes_of(picture))
        self._count += 1
        self._take(self._stage.push(frame.to(self._device.torch)))
        return self._ready.popleft() if self._ready else None

    def flush(self) -> list[Picture]:
        """The rest; afterwards pictures of another shape may come."""
        if self._stage is not None:
            self._take(self._stage.flush())
        rest = list(self._ready)
        self.reset()
        return rest

    def reset(self) -> None:
        """Forget everything, unfinished pictures too."""
        self._stage = None
        self._ready.clear()

    def _open(self, picture: Picture) -> Stage:
        height, width = picture.shape[:2]
        rate = Fraction(25)
        info = StreamInfo(width, height, 1 / rate, rate, None, format_of(picture), FULL)
        return self._chain.open(info, self._device)

    def _take(self, frames: Any) -> None:
        self._ready.extend(as_array(frame) for frame in frames)
