"""Sound for containers that cannot hold what the camera sends, as G.711 in MP4, G.726 in any: turned into AAC."""

from __future__ import annotations

from typing import Any

RATE = 32_000
"""Bits a second for each channel: more than telephone sound needs."""


class ToAac:
    """Decodes packets of `source`, a stream, and encodes them for a new stream of `container`.

    Some codecs have settings that PyAV gives no access to: `own` has the stream's own decoder used.
    """

    def __init__(self, container: Any, source: Any, *, own: bool = False) -> None:
        import av

        given = source.codec_context
        # Some containers tell the number of channels alone, which the encoder does not take for a layout.
        count = len(given.layout.channels)
        layout = {1: "mono", 2: "stereo"}.get(count, given.layout.name)
        self._decoder: Any = given if own else av.CodecContext.create(given.name, "r")
        if not own:
            self._decoder.sample_rate, self._decoder.layout = given.sample_rate, layout
            self._decoder.extradata = given.extradata
        self._stream: Any = container.add_stream("aac", rate=given.sample_rate, layout=layout)
        self._stream.bit_rate = RATE * count

    def convert(self, packet: Any) -> list[Any]:
        """What is ready after one more packet; a damaged one gives nothing."""
        import av

        try:
            made = [part for frame in self._decoder.decode(packet) for part in self._stream.encode(frame)]
        except (av.error.FFmpegError, ValueError):
            return []
        # The first packet primes the decoder and is dated before zero, which FLV refuses.
        return [part for part in made if part.pts >= 0]

    def flush(self) -> list[Any]:
        """The rest."""
        return list(self._stream.encode(None))
