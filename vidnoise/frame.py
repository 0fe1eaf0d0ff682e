"""What flows through vidnoise: frames, and what is known of the stream they belong to."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vidnoise.colour import Colour, PixelFormat
from vidnoise.errors import UsageError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from vidnoise.colour import Planes
    from vidnoise.flow import SharedFlow
    from vidnoise.noise import NoiseEstimate

RGB_FLOAT = PixelFormat("gbrpf32", "rgb", depth=32)
"""The format of frames that were made from tensors and never had integer planes."""


@dataclass(frozen=True)
class StreamInfo:
    """A video stream before its first frame: sizes in pixels, times as fractions of a second.

    `rate` is the average frame rate and `frames` an estimate of the count, each None where the container does not say.
    """

    width: int
    height: int
    time_base: Fraction = Fraction(1, 1000)
    rate: Fraction | None = None
    frames: int | None = None
    format: PixelFormat = RGB_FLOAT
    colour: Colour = field(default_factory=Colour)


class Frame:
    """One picture with its place in time. Frames are values: filters make new ones with `with_image`, and a stage may go on
    with the picture of a frame that it gave: change that of `apart()`.

    Args:
        pts: presentation time in units of `time_base`, or None where the stream does not say.
        time_base: seconds a tick.
        duration: in ticks; 0 where unknown.
        planes: the source's integer planes (H,W) in the order of `format`, or None for a frame made from a tensor.
        image: planar RGB float tensor (3,H,W) as encoded (not linear light), nominally 0..1; made from the planes at
            first use if not given. It is not clipped: limited-range video holds values outside 0..1. Other floats become
            float32, which filters count on.
        cut: True on the first frame of a new scene, or after a gap: nothing before it belongs to it.
        sigma: the noise of the source picture, where a filter of the chain asked for it.
        confidence: (1,H,W) in 0..1, how far temporal fusion could trust the past at each pixel, where a filter made it.
        flow: the scene's shared optical flow, where a filter of the chain asked for it.
        carrier: what the reader attached and the writer passes on (side data such as closed captions).

    Raises:
        UsageError: there are neither planes nor an image, or it is no tensor of floats (3,H,W).
    """

    __slots__ = (
        "_image",
        "carrier",
        "colour",
        "confidence",
        "cut",
        "duration",
        "flow",
        "format",
        "planes",
        "pts",
        "sigma",
        "time_base",
        "touched",
    )

    def __init__(
        self,
        *,
        pts: int | None = None,
        time_base: Fraction = Fraction(1, 1000),
        duration: int = 0,
        planes: Planes | None = None,
        image: Tensor | None = None,
        format: PixelFormat = RGB_FLOAT,
        colour: Colour | None = None,
        cut: bool = False,
        sigma: NoiseEstimate | None = None,
        confidence: Tensor | None = None,
        flow: SharedFlow | None = None,
        carrier: object = None,
    ) -> None:
        if planes is None and image is None:
            raise UsageError("a frame needs planes or an image")
        if image is not None:
            check_picture("an image is", image)
            image = (image.detach() if image.requires_grad else image).float()
        self.pts = pts
        self.time_base = time_base
        self.duration = duration
        self.planes = planes
        self._image = image
        self.format = format
        self.colour = colour or Colour()
        self.cut = cut
        self.sigma = sigma
        self.confidence = confidence
        self.flow = flow
        self.carrier = carrier
        self.touched = planes is None

    @property
    def image(self) -> Tensor:
        """(3,H,W) RGB float32, nominally 0..1; converted from the planes once, when first asked for."""
        if self._image is None:
            from vidnoise.colour import to_rgb

            assert self.planes is not None
            self._image = to_rgb(self.planes, self.format, self.colour)
        return self._image

    @image.setter
    def image(self, _: object) -> None:
        raise AttributeError(
            "a frame keeps its image; write frame.with_image(image), which gives a new frame"
        )

    @property
    def alpha(self) -> Tensor | None:
        """(1,H,W) float32 in 0..1, or None where the source has no alpha. Filters leave it alone."""
        if self.planes is None or not self.format.alpha:
            return None
        return self.planes[-1].float().div(self.format.peak)[None]

    @property
    def height(self) -> int:
        """Lines of the picture."""
        return int((self.planes[0] if self.planes else self.image).shape[-2])

    @property
    def width(self) -> int:
        """Columns of the picture."""
        return int((self.planes[0] if self.planes else self.image).shape[-1])

    @property
    def device(self) -> torch.device:
        """Where the picture lies."""
        return self.image.device

    def replace(self, **changes: Any) -> Frame:
        """A copy with some attributes changed; the picture is shared, not copied."""
        copy = Frame.__new__(Frame)
        for name in Frame.__slots__:
            setattr(copy, name, getattr(self, name))
        for name, value in changes.items():
            setattr(copy, name, value)
        return copy

    def with_image(self, image: Tensor, confidence: Tensor | None = None) -> Frame:
        """The same moment with another picture (3,H,W); the writer takes it in place of the source's planes.

        Returning `frame.image` itself, untouched, keeps the source's samples bit-exact; what was changed within it, as by
        `mul_`, would not be written. Other floats become float32, which the filters behind it count on.

        Raises:
            ValueError: it is no tensor of floats of the frame's size.
        """
        check_image(image, (3, self.height, self.width))
        changes: dict[str, Any] = {}
        if image is not self._image:
            changes = {"_image": image.detach().float(), "touched": True}
        if confidence is not None:
            changes["confidence"] = confidence
        return self.replace(**changes)

    def apart(self) -> Frame:
        """The frame with a picture of its own: whoever has it may change it in place."""
        return self.replace(_image=self.image.clone())

    def to(self, device: torch.device) -> Frame:
        """The frame with its planes and picture on `device`; itself if they are there."""
        tensors = [*(self.planes or ()), *([] if self._image is None else [self._image])]
        if all(tensor.device == device for tensor in tensors):
            return self

        # Only towards the GPU: a copy back to the CPU that does not wait could be read before it has arrived.
        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=device.type == "cuda")

        return self.replace(
            planes=None if self.planes is None else tuple(move(plane) for plane in self.planes),
            _image=None if self._image is None else move(self._image),
            confidence=None if self.confidence is None else move(self.confidence),
        )

    def __copy__(self) -> Frame:
        return self.replace()

    def __getstate__(self) -> dict[str, Any]:
        """For another process: all but what belongs to the reader's stream here, `carrier` and `flow`."""
        kept = {name: getattr(self, name) for name in Frame.__slots__}
        return kept | {"planes": _signed(self.planes), "carrier": None, "flow": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        self.planes = _signed(self.planes, back=True)

    def __repr__(self) -> str:
        return f"Frame(pts={self.pts}, {self.width}x{self.height} {self.format.name}{', cut' if self.cut else ''})"


def check_frame(frame: object) -> None:
    """Hold what a user gives for a frame against what one is.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(frame, Frame):
        raise UsageError(
            f"{type(frame).__name__} is no frame; write vidnoise.Frame(image=...) with a tensor of floats (3,H,W)"
        )


def check_image(image: object, shape: tuple[int, ...]) -> None:
    """Hold what a filter gives for a picture, or several, against what it must be; their values are not looked at.

    Raises:
        ValueError: it is no tensor of floats of that shape.
    """
    import torch

    if isinstance(image, torch.Tensor) and image.shape == shape and image.is_floating_point():
        return
    raise ValueError(f"it gives {_described(image)}, and must give a tensor of floats {shape}")


def check_picture(what: str, image: object) -> None:
    """Hold what a user gives for a picture against what one is; `what` begins the text.

    Raises:
        UsageError: it is no tensor of floats (3,H,W), or has no pixels.
    """
    import torch

    if (
        not isinstance(image, torch.Tensor)
        or image.ndim != 3
        or image.shape[0] != 3
        or not (image.is_floating_point() and image.numel())
    ):
        raise UsageError(f"{what} a tensor of floats (3,H,W), RGB in 0..1; this is {_described(image)}")


def _described(image: object) -> str:
    """A tensor's type and shape; of anything else the class."""
    import torch

    return f"{image.dtype} {tuple(image.shape)}" if isinstance(image, torch.Tensor) else type(image).__name__


def _signed(planes: Planes | None, *, back: bool = False) -> Planes | None:
    """Planes of 16 bits as signed ones, for PyTorch cannot pickle the others; or back from these."""
    import torch

    types = (torch.int16, torch.uint16) if back else (torch.uint16, torch.int16)
    return planes and tuple(plane.view(types[1]) if plane.dtype == types[0] else plane for plane in planes)
