"""Files out: the cleaned pictures encoded, everything else of the input copied."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from vidnoise.errors import OutputError
from vidnoise.frame import check_frame
from vidnoise.io import pipes
from vidnoise.io.containers import QUICKTIME
from vidnoise.io.others import Others
from vidnoise.io.output import Output
from vidnoise.io.pictures import Pictures
from vidnoise.io.target import Sink
from vidnoise.io.timeline import OutputClock
from vidnoise.io.video_stream import open_video

if TYPE_CHECKING:
    import av

    from vidnoise.frame import Frame, StreamInfo
    from vidnoise.io.output import OutputOptions
    from vidnoise.io.reader import Reader
    from vidnoise.io.target import Target


class Writer(Sink):
    """One output file. `write` may be called from another thread than the one that iterates the reader.

    Attributes:
        warnings: sentences for the user about what could not be kept.
        encoder: the encoder in words, and why it was chosen where it is not the input's own.
    """

    def __init__(
        self,
        target: Target | pipes.StdoutTarget,
        reader: Reader | None,
        info: StreamInfo,
        options: OutputOptions,
    ) -> None:
        self._target = target
        self._output = Output.of(target, reader, info, options)
        self.warnings = self._output.warnings
        self._video = open_video(self._output)
        self._muxer, self.encoder = self._video.muxer, self._video.words
        self._pictures = Pictures(self._output, self._video)
        self._clock = OutputClock(self._output, reorders=self._video.reorders)
        self._others = Others(self._output, reader, self._muxer) if reader else None
        self._muxer.begin()
        if reader is not None and self._others is not None:
            reader.attach(self._others.take)

    def write(self, frame: Frame) -> None:
        """Encode one frame; untouched ones give the encoder the source's own samples.

        Raises:
            OutputError: the encoder or the disk refused, or the frame has another size than the output.
            UsageError: it is no frame.
        """
        check_frame(frame)
        info = self._output.info
        if (frame.width, frame.height) != (info.width, info.height):
            raise OutputError(
                f"a frame of {frame.width}x{frame.height} cannot go into a video of {info.width}x{info.height}"
            )
        picture = self._pictures.made(frame)
        picture.pts, picture.time_base = self._clock.add(frame), 1 / self._output.rate
        self._encode(picture)

    def finish(self) -> None:
        """Write what the encoder still holds, close the file and give it its final name.

        Raises:
            OutputError: the encoder or the disk refused; the temporary file is removed.
        """
        try:
            self._encode(None)
            if self._others is not None:
                self._others.finish(self._clock.end)
            self._muxer.close()
        except BaseException:
            self.abort()
            raise
        self._target.commit()

    def abort(self) -> None:
        """Stop writing and remove the temporary file; safe to call at any time, also after `finish`."""
        with contextlib.suppress(OutputError):
            self._muxer.close()
        self._target.discard()

    def _encode(self, picture: av.VideoFrame | None) -> None:
        packets = self._video.encode(picture)
        drained = picture is None and self._output.muxer in QUICKTIME
        for packet in packets:
            last = drained and packet is packets[-1]
            self._clock.timeline.stamp(packet, self._video.stream.time_base, decoded_last=last)
            self._muxer.mux(packet)
