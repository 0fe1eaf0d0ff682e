"""Which hardware encoders and decoders work here: each that FFmpeg was built with is tried on a small picture."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

from vidnoise.io.failures import reason

ENCODERS = ("nvenc", "qsv", "amf", "vaapi", "v4l2m2m", "videotoolbox")
"""Families of encoders, as FFmpeg names them."""

WIDTH, HEIGHT = 640, 360
"""Of the trial picture: some encoders refuse smaller ones."""


def encoders() -> tuple[list[str], dict[str, str]]:
    """The hardware encoders that took a picture, and by family why the others did not."""
    import av

    working, missing = [], {}
    names = sorted(
        n for n in av.codecs_available if n.endswith(ENCODERS) and n.startswith(("h264", "hevc", "av1"))
    )
    for name in names:
        family = name.rpartition("_")[2]
        try:
            _encode(name)
            working.append(name)
        except (av.error.FFmpegError, ValueError, OSError) as failure:
            missing[family] = reason(failure)
    works = {name.rpartition("_")[2] for name in working}
    return working, {family: why for family, why in missing.items() if family not in works}


def decoders() -> tuple[list[str], dict[str, str]]:
    """The kinds of hardware decoding that decoded a clip, and why the others did not."""
    import av
    from av.codec.hwaccel import hwdevices_available

    clip = _encode("libx264")
    working, missing = [], {}
    for kind in hwdevices_available():
        try:
            _decode(clip, kind)
            working.append(kind)
        except (av.error.FFmpegError, ValueError, OSError, RuntimeError) as failure:
            missing[kind] = reason(failure)
    return working, missing


def _encode(encoder: str) -> bytes:
    """A few gray pictures as a Matroska file."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream: Any = container.add_stream(encoder, rate=25)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "nv12" if encoder.endswith(("qsv", "amf")) else "yuv420p"
        for i in range(3):
            frame = av.VideoFrame(WIDTH, HEIGHT, stream.pix_fmt)
            for plane in frame.planes:
                plane.update(bytes([128]) * plane.buffer_size)
            frame.pts, frame.time_base = i, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def _decode(clip: bytes, kind: str) -> None:
    import av
    from av.codec.hwaccel import HWAccel

    accelerated = HWAccel(device_type=kind, allow_software_fallback=False)
    with av.open(io.BytesIO(clip), "r", hwaccel=accelerated) as container:
        if next(container.decode(video=0), None) is None:
            raise ValueError("it gave no picture")
