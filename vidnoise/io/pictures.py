"""Frames as the pictures that an encoder takes; what nothing has touched goes to it as it was decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vidnoise.io import encoder_options
from vidnoise.io.colour_tags import tag
from vidnoise.io.sidedata import Transplant, has_kept, names

if TYPE_CHECKING:
    import av

    from vidnoise.colour import Planes
    from vidnoise.frame import Frame
    from vidnoise.io.output import Output
    from vidnoise.io.video_stream import VideoStream


class Pictures:
    """Makes a picture of each frame, in the format and the colours of one video."""

    def __init__(self, output: Output, video: VideoStream) -> None:
        self._output = output
        self._format, self._colour = video.format, video.colour
        self._encoder, self._layout = video.choice.encoder.name, video.stream.codec_context.pix_fmt
        self._captions = encoder_options.has_option(self._encoder, "a53cc")
        self._transplant = Transplant()

    def made(self, frame: Frame) -> av.VideoFrame:
        """The picture; it has no time yet."""
        from vidnoise.io.planes import to_av

        if self._is_source(frame):
            frame.carrier.pict_type = 0  # type: ignore[attr-defined]  # or the encoder repeats the source's types
            return frame.carrier  # type: ignore[return-value]
        planes = self._planes(frame)
        if self._layout != "cuda":
            planes = tuple(plane.cpu() for plane in planes)
        picture = to_av(planes, self._format, frame.width, frame.height)
        if picture.format.name != self._layout:
            picture = picture.reformat(format=self._layout)
        tag(picture, self._colour)
        if not has_kept(frame.carrier):
            return picture
        self._loses_captions(frame)
        return self._transplant(frame.carrier, picture)  # type: ignore[arg-type]

    def _is_source(self, frame: Frame) -> bool:
        """Whether the decoded picture itself can go to the encoder: nothing has touched it, and it fits."""
        layout = getattr(getattr(frame.carrier, "format", None), "name", None)
        if frame.touched or frame.planes is None or layout != self._layout:
            return False
        picture: Any = frame.carrier
        shared = picture.planes[0].buffer_ptr == frame.planes[0].data_ptr()
        return shared and self._same(frame) and not self._loses_captions(frame)

    def _loses_captions(self, frame: Frame) -> bool:
        """Whether the encoder drops closed captions of this frame; said once."""
        lost = not self._captions and "A53_CC" in names(frame.carrier)
        if lost:
            self._output.warn(f"{self._encoder} cannot write the closed captions; --codec h264 and hevc can")
        return lost

    def _planes(self, frame: Frame) -> Planes:
        from vidnoise.io.planes import planes_in

        if not frame.touched and frame.planes is not None and self._same(frame):
            return frame.planes
        return planes_in(frame, self._format, self._colour)

    def _same(self, frame: Frame) -> bool:
        """Whether the frame's planes mean the same in the output as in the source."""
        a, b = (c.resolved(frame.height, frame.format.family) for c in (frame.colour, self._colour))
        return frame.format == self._format and (a.matrix, a.range) == (b.matrix, b.range)
