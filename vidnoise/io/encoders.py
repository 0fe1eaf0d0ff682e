"""Which encoder writes the output, at which quality, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vidnoise.errors import OutputError, UsageError


@dataclass(frozen=True)
class Encoder:
    """How one encoder is driven.

    `crf` names the option that takes the quality (lower is better) and `quality` its visually lossless value;
    `preset` names the speed option and `speed` its value. `fixed` are options that belong to the encoder.
    """

    name: str
    crf: str = ""
    quality: float = 0
    preset: str = ""
    speed: str = ""
    fixed: Mapping[str, str] = field(default_factory=dict)


QSCALE = "qscale"
"""Not an option's name: the quantiser is held at one value with qmin and qmax."""

KNOWN = {
    e.name: e
    for e in (
        Encoder("libx264", "crf", 17, "preset", "medium"),
        Encoder("libx264rgb", "crf", 17, "preset", "medium"),
        Encoder("libx265", "crf", 19, "preset", "fast"),
        Encoder("libsvtav1", "crf", 20, "preset", "8"),
        Encoder("libvpx-vp9", "crf", 18, "cpu-used", "4", {"b": "0", "row-mt": "1", "deadline": "good"}),
        Encoder("libvpx", "crf", 6, "cpu-used", "4", {"b": "50M", "deadline": "good"}),
        Encoder("h264_nvenc", "cq", 19, "preset", "p5", {"rc": "vbr", "b": "0"}),
        Encoder("hevc_nvenc", "cq", 20, "preset", "p5", {"rc": "vbr", "b": "0"}),
        Encoder("av1_nvenc", "cq", 24, "preset", "p5", {"rc": "vbr", "b": "0"}),
        *(
            Encoder(name, QSCALE, 2, fixed={"b": "200M"})
            for name in (
                "mpeg4",
                "mpeg2video",
                "mpeg1video",
                "msmpeg4",
                "msmpeg4v2",
                "wmv1",
                "wmv2",
                "flv",
                "h263p",
            )
        ),
        Encoder("mjpeg", QSCALE, 2),
    )
}

BY_CODEC = {
    "h264": ("libx264",),
    "hevc": ("libx265",),
    "av1": ("libsvtav1",),
    "vp9": ("libvpx-vp9",),
    "vp8": ("libvpx",),
    "prores": ("prores_ks",),
}
"""Encoders to try for a codec, where the one of the codec's own name is not the best."""
