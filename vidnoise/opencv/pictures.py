"""Pictures as OpenCV has them: arrays (H,W,3) in blue, green and red, or (H,W) in gray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vidnoise.colour import Colour, PixelFormat, from_rgb
from vidnoise.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vidnoise.frame import Frame

    Picture = NDArray[Any]

BGR = PixelFormat("gbrp", "rgb", 8)
FULL = Colour(range=2)


def check(picture: object) -> None:
    """Refuse what is no picture for a `Cleaner`, with what it is."""
    import numpy as np

    if not isinstance(picture, np.ndarray):
        found = type(picture).__name__
    elif (
        picture.dtype not in (np.uint8, np.uint16)
        or not picture.size
        or not (picture.ndim == 2 or picture.shape[2:] == (3,))
    ):
        found = f"{picture.dtype} {picture.shape}"
    else:
        return
    raise UsageError(
        f"a picture is an array (H,W,3) or (H,W) of uint8 or uint16, with pixels in it; this is {found}"
    )


def format_of(picture: Picture) -> PixelFormat:
    """The format of the planes that a picture is made of."""
    depth = 8 * picture.itemsize
    ending = "" if depth == 8 else f"{depth}le"
    if picture.ndim == 2:
        return PixelFormat(f"gray{ending}", "gray", depth)
    return PixelFormat(f"gbrp{ending}", "rgb", depth)


def planes_of(picture: Picture) -> dict[str, Any]:
    """What a `Frame` of the picture is made with: planes of their own memory, format and colour."""
    import cv2
    import torch

    if picture.ndim == 2:
        planes = [picture.copy()]
    else:
        blue, green, red = cv2.split(picture)
        planes = [green, blue, red]
    tensors = tuple(torch.from_numpy(plane) for plane in planes)
    return {"planes": tensors, "format": format_of(picture), "colour": FULL}


def as_array(frame: Frame) -> Picture:
    """The picture in the frame's own format, gray or blue-green-red."""
    import cv2

    planes = from_rgb(frame.image, frame.format, FULL) if frame.touched else frame.planes
    assert planes is not None
    arrays = [plane.cpu().numpy() for plane in planes]
    if frame.format.family == "gray":
        # What is drawn on it is none of the filters' business.
        return arrays[0] if frame.touched else arrays[0].copy()
    return cv2.merge([arrays[1], arrays[0], arrays[2]])


def as_bgr(frame: Frame) -> Picture:
    """Filtered pictures are converted from their floats, others by swscale, as OpenCV does it."""
    if frame.touched:
        return as_array(frame.replace(format=BGR, colour=FULL))
    import numpy as np

    from vidnoise.io.planes import to_av

    # The decoded picture says where its chroma samples lie, which PyAV cannot be told.
    picture: Any = frame.carrier
    if picture is None:
        assert frame.planes is not None
        picture = to_av(tuple(plane.cpu() for plane in frame.planes), frame.format, frame.width, frame.height)
    picture.colorspace, picture.color_range = frame.colour.matrix, frame.colour.range
    # Contiguous, as OpenCV's: FFmpeg's rows may be longer than the picture.
    return np.ascontiguousarray(picture.reformat(format="bgr24", interpolation="BICUBIC").to_ndarray())


def turned(picture: Picture, degrees: int, mirrored: bool) -> Picture:
    """The picture put upside down if it is mirrored, then turned clockwise by quarters of 360 degrees."""
    import cv2

    turns = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
    if mirrored:
        picture = cv2.flip(picture, 0)
    return cv2.rotate(picture, turns[degrees]) if degrees in turns else picture
