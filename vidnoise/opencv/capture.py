"""`VideoCapture`: a drop-in for `cv2.VideoCapture`."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import wraps
from numbers import Integral
from os import PathLike
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from vidnoise.colour import UNSPECIFIED
from vidnoise.errors import UsageError, VidnoiseError
from vidnoise.opencv.pictures import as_bgr, turned
from vidnoise.options import check_path

if TYPE_CHECKING:
    from vidnoise.api import Filters
    from vidnoise.frame import Frame
    from vidnoise.io import Reader
    from vidnoise.opencv.pictures import Picture

BT601 = 6
NAMES = {
    "av1": "AV01",
    "mjpeg": "MJPG",
    "mpeg1video": "mpg1",
    "mpeg2video": "mpg2",
    "mpeg4": "FMP4",
    "vp8": "VP80",
    "vp9": "VP90",
}
"""What OpenCV calls codecs whose name has not four letters, whatever the container says."""
PART = ("start", "duration")
"""What `open_reader` takes and a `VideoCapture` does not: it may be anywhere."""


P = ParamSpec("P")
T = TypeVar("T")


def _alone(method: Callable[Concatenate[VideoCapture, P], T]) -> Callable[Concatenate[VideoCapture, P], T]:
    """The method, which waits until another thread has read its frame: so one thread may read, and another release."""

    @wraps(method)
    def waiting(self: VideoCapture, /, *args: P.args, **options: P.kwargs) -> T:
        with self._lock:
            return method(self, *args, **options)

    return waiting


class VideoCapture:
    """A drop-in for `cv2.VideoCapture` whose frames are clean: (H,W,3) uint8, blue-green-red.

    It opens what `vidnoise` opens, and a camera by its index (Linux: `/dev/video0`). As with OpenCV, frames are turned by
    the video's rotation, and untagged video is taken for BT.601; without filters the frames are OpenCV's own. Where a
    picture (as with `cv2.imread`) or a video (which OpenCV leaves) asks to be mirrored, it is. Positions count frames at
    the average rate, so that after seeking in video of variable rate they are approximate; filters start afresh there.

    Where a source cannot be opened, nothing is raised: `isOpened()` is False, `read()` gives `(False, None)` as
    OpenCV's does, and `error` holds the reason. Failures of filters are raised.

    Args:
        source: a path, URL or camera index; None to `open()` one later.
        chain: filters, as `vidnoise.run` takes them; None for the default chain, `Chain()` for none.
        device: `auto`, `cpu` or `cuda`.
        precision: `auto`, `fp32`, `bf16`, `fp16` or `int8`, for the arithmetic inside networks.
        reading: what `vidnoise.io.open_reader` takes beside: `deinterlace`, `assume_progressive`, `threads`, `rate`.

    Raises:
        UsageError: the chain names a filter or option that does not exist, or an argument is none.
        DeviceError: the device is not there.
    """

    def __init__(
        self,
        source: str | PathLike[str] | int | None = None,
        chain: Filters = None,
        *,
        device: str = "auto",
        precision: str = "auto",
        **reading: Any,
    ) -> None:
        from vidnoise.api import as_chain, refuse_unknown
        from vidnoise.device import choose

        if part := [name for name in PART if name in reading]:
            raise UsageError(
                f"vidnoise.opencv.VideoCapture reads the whole, and takes no {part[0]!r}; go to a time by "
                f"set(cv2.CAP_PROP_POS_MSEC, 1000 * seconds)"
            )
        refuse_unknown(reading, VideoCapture, without=PART)
        if isinstance(chain, Integral):
            raise UsageError(
                f"{chain} is no filter; of OpenCV's backends (cv2.CAP_...) none is asked: leave it out, or write 'denoise'"
            )
        self.error: VidnoiseError | None = None
        self._lock = threading.RLock()
        self._leaving = False
        self._chain = as_chain(chain)
        self._device = choose(device, precision)
        self._reading = reading
        self._source = ""
        self._upright = True
        self._reader: Reader | None = None
        self._frames: Iterator[Frame] | None = None
        self._frame: Frame | None = None
        self._position = 0
        self._skipped = Fraction(0)
        self._first: Fraction | None = None
        if source is not None:
            self.open(source)

    @_alone
    def open(self, source: str | PathLike[str] | int) -> bool:
        """Open another source; False where that fails, and `error` says why."""
        number = isinstance(source, Integral)  # NumPy's, too
        self._source = f"/dev/video{source:d}" if number else check_path("source", source)
        return self._start(Fraction(0), 0)

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        """Whether there is a source."""
        return self._reader is not None

    def release(self) -> None:
        """Close the source."""
        self._leaving = True  # who reads on and on might not let go of the lock for long
        self._close()

    @_alone
    def _close(self) -> None:
        reader, self._reader = self._reader, None
        try:
            self._end()
        finally:
            self._leaving = False
            if reader is not None:
                reader.close()

    @_alone
    def grab(self) -> bool:
        """Go to the next frame; False at the end.

        Raises:
            VidnoiseError: a filter failed, now or before; `set()` a position or `open()` again to go on.
        """
        self._frame = None if self._leaving else self._next()
        if self._frame is None:
            return False
        self._position += 1
        if self._first is None:
            self._first = _time(self._frame)
        return True

    @_alone
    def retrieve(self, image: Picture | None = None) -> tuple[bool, Picture | None]:
        """The frame that `grab()` went to, in `image` where that fits."""
        if self._frame is None:
            return False, None
        picture = turned(as_bgr(self._frame), self._rotation, self._mirrored)
        if image is None or (image.shape, image.dtype) != (picture.shape, picture.dtype):
            return True, picture
        image[:] = picture
        return True, image

    @_alone
    def read(self, image: Picture | None = None) -> tuple[bool, Picture | None]:
        """The next frame, in `image` where that fits: `(True, (H,W,3) uint8)`, or `(False, None)` at the end.

        Raises as `grab` does.
        """
        self.grab()
        return self.retrieve(image)

    @_alone
    def get(self, prop: int) -> float:
        """A property by OpenCV's number: width, height, frame rate, frame count, codec, position (frames, ms), orientation.

        0 for others, and where the source does not say.
        """
        import cv2

        if self._reader is None:
            return 0.0
        info = self._reader.info
        width, height = (info.width, info.height) if self._rotation % 180 == 0 else (info.height, info.width)
        known: dict[int, float] = {
            cv2.CAP_PROP_FRAME_WIDTH: width,
            cv2.CAP_PROP_FRAME_HEIGHT: height,
            cv2.CAP_PROP_FPS: float(info.rate or 0),
            cv2.CAP_PROP_FRAME_COUNT: self._total,
            cv2.CAP_PROP_FOURCC: _fourcc(self._reader),
            cv2.CAP_PROP_POS_FRAMES: self._position,
            cv2.CAP_PROP_POS_MSEC: self._milliseconds(),
            cv2.CAP_PROP_ORIENTATION_META: self._clockwise,
            cv2.CAP_PROP_ORIENTATION_AUTO: float(self._upright),
        }
        return float(known.get(prop, 0.0))

    @_alone
    def set(self, prop: int, value: float) -> bool:
        """Go to a frame or a time (`CAP_PROP_POS_FRAMES`, `CAP_PROP_POS_MSEC`), or switch the turning of frames on or off.

        Past the last frame there is nothing to read, and one can go back from there; so too where going to a frame
        fails, which gives False with the reason in `error`. False for what cannot be set; the size and rate of a source
        cannot.
        """
        import cv2

        if self._reader is None or not abs(value) < 2**63:
            return False
        if prop == cv2.CAP_PROP_ORIENTATION_AUTO:
            self._upright = bool(value)
            return True
        rate = self._reader.info.rate
        if prop == cv2.CAP_PROP_POS_FRAMES and rate:
            return self._seek(int(value), rate)
        if prop == cv2.CAP_PROP_POS_MSEC and rate:
            return self._seek(math.floor(value / 1000 * float(rate) + 0.5), rate)
        return False

    def getBackendName(self) -> str:  # noqa: N802 - OpenCV's name
        """Who reads."""
        return "VIDNOISE"

    def __enter__(self) -> VideoCapture:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def _clockwise(self) -> int:
        """By how many degrees the video asks to be turned, as OpenCV counts them: from its display matrix."""
        matrix = self._reader and self._reader.facts.matrix
        return round(math.degrees(math.atan2(matrix[1], matrix[0]))) % 360 if matrix else 0

    @property
    def _rotation(self) -> int:
        return self._clockwise if self._upright else 0

    @property
    def _mirrored(self) -> bool:
        """Whether the picture is to be put upside down before it is turned: every mirroring is that and a turn."""
        matrix = self._reader.facts.matrix if self._reader and self._upright else None
        return matrix is not None and matrix[0] * matrix[4] < matrix[1] * matrix[3]

    def _start(self, skipped: Fraction, position: int) -> bool:
        from vidnoise import pipeline
        from vidnoise.io import open_reader

        self.release()
        self.error = None
        try:
            reading = {**self._reading, "start": float(skipped)} if skipped else self._reading
            reader = open_reader(self._source, device=self._device, **reading)
        except VidnoiseError as failure:
            self.error = failure
            return False
        try:
            stage = self._chain.open(reader.info, self._device)
        except BaseException:
            reader.close()
            raise
        self._reader, self._position, self._skipped, self._first = reader, position, skipped, None
        if not skipped:
            self._total = reader.info.frames or 0
            self._lead = _lead(reader)
        filtered = bool(self._chain.filters)
        self._frames = pipeline.stream(_as_opencv(reader), stage, self._device, convert=filtered)
        return True

    def _next(self) -> Frame | None:
        if self._frames is None:
            return None
        if self.error is None:
            try:
                return next(self._frames, None)
            except VidnoiseError as failure:
                self.error = failure
        self._frame = None
        raise self.error.with_traceback(None)  # which would grow from read to read

    def _seek(self, frame: int, rate: Fraction) -> bool:
        frame = max(min(frame, self._total or frame), 0)
        # Half a frame early, so that rounding in the container's time base leaves this frame in.
        skipped = self._lead + (frame - Fraction(1, 2)) / rate if frame else Fraction(0)
        if not (frame and frame == self._total) and self._start(skipped, frame):
            return True
        failure = self.error
        # A source that opens from its beginning has nothing there: like OpenCV's it stays open, at its end.
        if not skipped or not self._start(Fraction(0), frame):
            return False
        self._end()
        if frame == self._total:
            return True
        self.error = failure
        return False

    def _end(self) -> None:
        """There is no frame, and none follows."""
        frames, self._frames = self._frames, None
        self._frame = None
        if frames is not None:
            frames.close()  # type: ignore[attr-defined]

    def _milliseconds(self) -> float:
        rate = self._reader.info.rate if self._reader else None
        if self._first is None and rate:  # of the frame before the one that comes next, as OpenCV has it
            return float(1000 * max(0, self._position - 1) / rate)
        if self._frame is None or self._first is None:
            return 0.0
        base = self._skipped and self._skipped - self._lead + (Fraction(1, 2) / rate if rate else 0)
        return float(1000 * (base + _time(self._frame) - self._first))


def _as_opencv(reader: Reader) -> Iterator[Frame]:
    """What a reader gives, untagged frames as BT.601 whatever their size, as OpenCV takes them."""
    for frame in reader:
        untagged = frame.format.family == "yuv" and frame.colour.matrix == UNSPECIFIED
        yield frame.replace(colour=replace(frame.colour, matrix=BT601)) if untagged else frame


def _fourcc(reader: Reader) -> int:
    """The codec as OpenCV writes it: by four letters; of rare codecs by the container's tag, 0 where it has none."""
    context = reader.stream.codec_context
    name = NAMES.get(context.codec.canonical_name, context.codec.canonical_name)
    return int.from_bytes((name if len(name) == 4 else context.codec_tag).encode("latin-1"), "little")


def _time(frame: Frame) -> Fraction:
    return (frame.pts or 0) * frame.time_base


def _lead(reader: Reader) -> Fraction:
    """From the container's start to the first picture, in seconds."""
    return max(Fraction(0), reader.first - Fraction(reader.container.start_time or 0, 1_000_000))
