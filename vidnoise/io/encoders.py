"""Which encoder writes the output, in which pixel format, at which quality, and why."""

from __future__ import annotations

import difflib
import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from vidnoise.errors import OutputError, UsageError
from vidnoise.io.pixel_loss import cost, losses, traits

QSCALE = "qscale"
"""Not an option's name: the quantiser is held at one value with qmin and qmax."""


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


def _known() -> Iterable[Encoder]:
    yield Encoder("libx264", "crf", 17, "preset", "medium")
    yield Encoder("libx264rgb", "crf", 17, "preset", "medium")
    yield Encoder("libx265", "crf", 19, "preset", "fast", {"x265-params": "log-level=error"})
    yield Encoder("libsvtav1", "crf", 20, "preset", "8")
    vpx = {"deadline": "good", "row-mt": "1"}
    yield Encoder("libvpx-vp9", "crf", 18, "cpu-used", "4", {"b": "0", **vpx})
    yield Encoder("libvpx", "crf", 6, "cpu-used", "4", {"b": "50M", "deadline": "good"})
    for name, quality in (("h264_nvenc", 19), ("hevc_nvenc", 20), ("av1_nvenc", 24)):
        yield Encoder(name, "cq", quality, "preset", "p5", {"rc": "vbr", "b": "0"})
    for name in ("h264_qsv", "hevc_qsv", "av1_qsv", "vp9_qsv"):
        yield Encoder(name, "global_quality", 19, "preset", "medium")
    old = (
        "mpeg4", "mpeg2video", "mpeg1video", "msmpeg4", "msmpeg4v2", "wmv1", "wmv2", "flv", "h263p", "rv10",
        "rv20",
    )  # fmt: skip
    for name in (*old, "snow", "speedhq"):
        yield Encoder(name, QSCALE, 2, fixed={"b": "200M"})
    yield Encoder("mjpeg", QSCALE, 2)
    yield Encoder("ffv1", fixed={"level": "3", "slicecrc": "1"})


KNOWN = {encoder.name: encoder for encoder in _known()}

DNXHR = {
    "yuv422p": "dnxhr_hq",
    "yuv422p10le": "dnxhr_hqx",
    "yuv444p10le": "dnxhr_444",
    "gbrp10le": "dnxhr_444",
}
"""The profile of DNxHR for each of its formats: the best, for any size and rate."""

BY_CODEC = {
    "h264": ("libx264", "libx264rgb"),
    "hevc": ("libx265",),
    "av1": ("libsvtav1",),
    "vp9": ("libvpx-vp9",),
    "vp8": ("libvpx",),
    "prores": ("prores_ks",),
    "flv1": ("flv",),
    "msmpeg4v3": ("msmpeg4",),
}
"""The encoders of a codec, best first, where they are not the one of the codec's own name."""

HOLDERS = {".mkv": "matroska", ".mov": "mov", ".avi": "avi"}
"""Containers that are named, with their muxers, where another cannot hold the codec that was asked for."""

FALLBACK = (
    "libx264", "libx264rgb", "libx265", "libsvtav1", "libvpx-vp9", "ffv1", "prores_ks", "utvideo", "png",
    "mpeg4", "mpeg2video", "libvpx", "mjpeg",
)  # fmt: skip
"""What is tried, in this order, where the input's own codec cannot be written."""

FALLBACKS = {
    "mp4": ("libx264", "libx265", "libsvtav1"),
    "asf": ("wmv2", "msmpeg4", "mpeg4"),
    "yuv4mpegpipe": ("rawvideo",),
    "apng": ("apng",),
}
"""The same for containers that are made for players, which know these, and for those that hold one codec."""

NVENC = {"h264": "h264_nvenc", "hevc": "hevc_nvenc", "av1": "av1_nvenc"}


MEANT = {"h265": "hevc", "x265": "libx265", "x264": "libx264", "avc": "h264", "svtav1": "libsvtav1"}
"""Names by which codecs and encoders are known elsewhere."""

REFUSED = {("libx265", "yuva420p"), ("libx265", "yuva420p10le")} | {
    ("libvpx-vp9", name) for name in ("gbrap", "yuva422p", "yuva444p")
}
"""Formats that an encoder lists and does not take in the libraries that PyAV ships."""


@dataclass(frozen=True)
class Choice:
    """An encoder and the pixel format to give it; `loss` says in words what the format cannot hold."""

    encoder: Encoder
    codec: str
    pix_fmt: str
    why: str = ""
    loss: str = ""


def choose(
    codec: str,
    pix_fmt: str,
    holds: Callable[[str], bool],
    *,
    asked: str | None = None,
    asked_format: str | None = None,
    fallback: Sequence[str] = FALLBACK,
    gpu: bool = False,
) -> list[Choice]:
    """The encoders to try, best first.

    Args:
        codec: the input's codec, `h264` and so on; empty where it has none that a video could keep.
        pix_fmt: FFmpeg's name of the frames' pixel format.
        holds: whether the output's container can hold what an encoder makes.
        asked: a codec or an encoder by name; then there is no other codec to fall back to.
        asked_format: a pixel format by name; encoders that do not take it are left out.
        fallback: encoders to try where the input's own codec cannot be written.
        gpu: try NVENC first.

    Raises:
        UsageError: an unknown name.
        OutputError: no encoder fits.
    """
    own = asked or codec or "h264"
    names = [name for name in _names(own, gpu) if _exists(name)]
    if asked and not names:
        raise UsageError(f"there is no encoder {asked!r} here{_did_you_mean(asked)}")
    if asked:
        # Hardware that is not there is replaced by an encoder of the same codec.
        names += [name for name in BY_CODEC.get(canonical(names[0]), ()) if name not in names]
    else:
        names += [name for name in fallback if name not in names and _exists(name)]
    fitting = [c for name in names if holds(name) for c in _formats(name, pix_fmt, asked_format)]
    if not fitting:
        raise _nothing_fits(own, asked, asked_format, names)
    ranked = sorted(fitting, key=lambda c: (c.encoder.name != asked, _rank(c, own, pix_fmt)))
    return [_explain(choice, codec, asked, pix_fmt) for choice in ranked]


def canonical(name: str) -> str:
    """The codec that an encoder makes: `libx264` gives `h264`."""
    from av.codec import Codec

    return str(Codec(name, "w").canonical_name)


@lru_cache
def accepts(container: str, name: str) -> bool:
    """Whether a muxer takes what an encoder makes, as far as it says."""
    import av

    try:
        av.open(io.BytesIO(), "w", format=container).add_stream(name, rate=25)
    except ValueError:
        return False
    return True


def driven(name: str, pix_fmt: str) -> Encoder:
    """How the encoder of a name is driven in a pixel format."""
    if name == "dnxhd":
        return Encoder(name, fixed={"profile": DNXHR[pix_fmt]})
    return KNOWN.get(name, Encoder(name))


def hangs(name: str, width: int, height: int) -> bool:
    """Whether an encoder waits for itself without end at a size: SVT-AV1 where several superblocks are a strip."""
    return name == "libsvtav1" and min(width, height) <= 24 and max(width, height) > 64


def quiet() -> None:
    """Keep SVT-AV1 from writing its banner to the terminal; an explicit SVT_LOG is left as it is."""
    os.environ.setdefault("SVT_LOG", "1")


def _names(own: str, gpu: bool) -> list[str]:
    first = [NVENC[own]] if gpu and own in NVENC else []
    return first + list(BY_CODEC.get(own, (own,)))


@lru_cache
def _exists(name: str) -> bool:
    """Whether `name` is an encoder; a codec's name finds its encoder only where both are called the same."""
    import av

    try:
        codec = av.codec.Codec(name, "w")
    except ValueError:
        return False
    return codec.type == "video" and codec.name == name


def _did_you_mean(asked: str) -> str:
    import av

    names = sorted({*av.codec.codecs_available, *BY_CODEC})
    asked = asked.lower().replace(".", "")
    near = [MEANT[asked]] if asked in MEANT else difflib.get_close_matches(asked, names, 5)
    close = [name for name in near if name in BY_CODEC or _exists(name)]
    return f"; did you mean {close[0]!r}?" if close else "; `--codec h264` and `--codec hevc` always work"


def _formats(name: str, source: str, asked: str | None) -> list[Choice]:
    """The encoder with the format that keeps most of the source, or the one that was asked for."""
    import av

    codec: Any = av.codec.Codec(name, "w")
    formats = _format_names(name) or [asked or source]
    if asked is not None:
        formats = [asked] if asked in formats else []
    usable = [f for f in formats if traits(f) is not None and (name, f) not in REFUSED]
    if not usable:
        return []
    best = min(usable, key=lambda f: cost(source, f))
    return [Choice(driven(name, best), codec.canonical_name, best)]


def _format_names(name: str) -> list[str]:
    """The pixel formats that an encoder lists."""
    import av

    codec: Any = av.codec.Codec(name, "w")
    return [f.name for f in codec.video_formats or ()]


def _rank(choice: Choice, own: str, source: str) -> tuple[int, bool]:
    """Own codec first unless it costs more than bits beyond the tenth; among the others the most faithful."""
    severity = cost(source, choice.pix_fmt)[0]
    is_own = choice.codec == own or choice.encoder.name == own
    return (0 if severity <= 1 and is_own else severity + (not is_own)), not is_own


def _explain(choice: Choice, codec: str, asked: str | None, source: str) -> Choice:
    name = choice.encoder.name
    loss = ", ".join(words for _, words in losses(source, choice.pix_fmt))
    why = ""
    if asked is None and codec and choice.codec != codec:
        why = f"{codec} cannot be written here with {source} in this container, so {name} is used"
    elif asked in NVENC.values() and name != asked:
        why = f"{asked} cannot be used here, so {name} on the CPU is"
    return Choice(choice.encoder, choice.codec, choice.pix_fmt, why, loss)


def _nothing_fits(
    own: str, asked: str | None, asked_format: str | None, names: Sequence[str]
) -> OutputError | UsageError:
    if asked and asked_format:
        taken = [name for encoder in names for name in _format_names(encoder)]
        if taken and asked_format not in taken:
            return UsageError(
                f"{asked} takes no {asked_format}; type --pix-fmt with one of {', '.join(taken)}"
            )
        return UsageError(
            f"{asked} in {asked_format} cannot be stored in this container; leave out --pix-fmt"
        )
    if asked:
        better = [ext for ext, muxer in HOLDERS.items() if any(accepts(muxer, name) for name in names)]
        advice = f"{' and '.join(better)} can" if better else ".mkv and .mov hold most codecs"
        return UsageError(f"this container cannot hold {asked}; {advice}")
    if asked_format:
        return UsageError(f"no encoder for this container takes the pixel format {asked_format!r}")
    return OutputError(
        f"this container can hold no video that can be encoded here (the input is {own}); use .mp4, .mkv or .mov"
    )
