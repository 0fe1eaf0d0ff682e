"""Sound for containers that cannot hold what the camera sends, as G.711 in MP4: turned into AAC."""

from __future__ import annotations

from typing import Any

RATE = 32_000
"""Bits a second for each channel: more than telephone sound needs."""


class ToAac:
    """Decodes packets of `source`, a stream, and encodes them for a new stream of `container`."""

    def __init__(self, container: Any, source: Any) -> None:
        import av

        given = source.codec_context
        self._decoder: Any = av.CodecContext.create(given.name, "r")
        # Some containers tell the number of channels alone, which the encoder does not take for a layout.
        count = len(given.layout.channels)
        layout = {1: "mono", 2: "stereo"}.get(count, given.layout.name)
        self._decoder.sample_rate, self._decoder.layout = given.sample_rate, layout
        self._decoder.extradata = given.extradata
        self._stream: Any = container.add_stream("aac", rate=given.sample_rate, layout=layout)
        self._stream.bit_rate = RATE * count

    def convert(self, packet: Any) -> list[Any]:
        """What is ready after one more packet; a damaged one gives nothing."""
        import av

        try:
            frames = self._decoder.decode(packet)
        except (av.error.FFmpegError, ValueError):
            return []
        # The first packet primes the decoder and is dated before zero, which FLV refuses.
        return [made for frame in frames for made in self._stream.encode(frame) if made.pts >= 0]

    def flush(self) -> list[Any]:
        """The rest."""
        return list(self._stream.encode(None))
