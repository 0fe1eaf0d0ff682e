"""Which encoder writes the output, in which pixel format, at which quality, and why."""

from __future__ import annotations

import difflib
import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from math import inf
from typing import Any

from vidnoise.errors import OutputError, UsageError
from vidnoise.io import scheduling
from vidnoise.io.facts import Mastering
from vidnoise.io.ffmpeg_log import listening

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


HDR = {
    "libx264": ("x264-params", "mastering-display", "cll"),
    "libx265": ("x265-params", "master-display", "max-cll"),
    "libsvtav1": ("svtav1-params", "mastering-display", "content-light"),
}
"""The option of an encoder, and the names in it of mastering display and content light."""

SCALE = 51
"""The end of the scale of quality of encoders that do not tell FFmpeg theirs: of H.264 and H.265."""

SCALES = {QSCALE: (1, 31), "global_quality": (1, SCALE), "libvpx": (4, 63)}
"""The best and the worst of scales that are others for `--crf` than FFmpeg's option of the name, by option or encoder."""

RATES = {"b", "qp"}
"""Options that decide on the quality in place of the scale of `--crf`."""

BOUNDS = {"qmin", "qmax"}
"""Those that do so where that scale is theirs, and only bound it elsewhere."""

MOST_THREADS = {"libx265": 16}
"""What encoders take at the most, where they refuse more."""

SETTLED = {"pixel_format", "video_size", "time_base"}
"""Options of all encoders that say what frames they get, in which they would see other frames than there are."""

MEANT = {"h265": "hevc", "x265": "libx265", "x264": "libx264", "avc": "h264", "svtav1": "libsvtav1"}
"""Names by which codecs and encoders are known elsewhere."""

X26 = {"libx264", "libx264rgb", "libx265"}
SPEEDS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
    "placebo",
)  # fmt: skip
"""Their presets, also by number, which FFmpeg passes on without knowing them."""

NUMBERS = {2, 3, 4, 5}
"""FFmpeg's types of options that are whole numbers or not (AV_OPT_TYPE_INT to FLOAT)."""

WHOLE = {2, 3}
"""Those that are whole."""

PASSED_OVER = ("Error parsing option", "Unknown option", "Invalid value for")
"""How FFmpeg's log tells what an encoder's library does not take of a list."""

ALWAYS = ("default", "min", "max", "none", "all")
"""Words that FFmpeg takes in place of any number."""

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


@dataclass(frozen=True)
class _Traits:
    rgb: bool
    gray: bool
    alpha: bool
    depth: int
    chroma: tuple[int, int]


def choose(
    codec: str,
    pix_fmt: str,
    holds: Callable[[str], bool],
    *,
    asked: str | None = None,
    asked_format: str | None = None,
    fallback: Sequence[str] = FALLBACK,
    gpu: bool = False,
) -> Sequence[Choice]:
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


SOUND = {
    "mp4": {"h264", "hevc", "av1", "vp9", "mpeg4"},
    "mov": {"h264", "hevc", "prores", "mpeg4", "mjpeg", "png", "qtrle"},
    "matroska": {"h264", "hevc", "av1", "vp9", "vp8", "mpeg4", "mpeg2video", "ffv1", "prores", "mjpeg"},
    "webm": {"av1", "vp9", "vp8"},
    "mpegts": {"h264", "hevc", "mpeg2video", "mpeg1video", "mpeg4"},
    "avi": {"h264", "mpeg4", "mjpeg", "msmpeg4v2", "msmpeg4v3"},
    "apng": {"apng"},
}
"""Codecs by container that need no trial."""


def driven(name: str, pix_fmt: str) -> Encoder:
    """How the encoder of a name is driven in a pixel format."""
    if name == "dnxhd":
        return Encoder(name, fixed={"profile": DNXHR[pix_fmt]})
    return KNOWN.get(name, Encoder(name))


SELF_TOLD = {"h264", "hevc", "av1", "vp9"}
"""Codecs that hold colour matrix and range themselves, in any container."""


@lru_cache
def accepts(container: str, name: str) -> bool:
    """Whether a muxer takes what an encoder makes, as far as it says."""
    import av

    try:
        av.open(io.BytesIO(), "w", format=container).add_stream(name, rate=25)
    except ValueError:
        return False
    return True


@lru_cache
def readable(container: str, name: str, pix_fmt: str) -> bool:
    """Whether what an encoder writes into a container can be read back as what it was.

    Some muxers take anything and lose what it is: rare codecs in MPEG-TS, raw video of rare formats in AVI.
    """
    traits, codec = _traits(pix_fmt), canonical(name)
    if codec in ("vp8", "vp9") and traits is not None and traits.alpha:
        return container in ("matroska", "webm")  # which alone keep the alpha beside the packets
    if container == "asf" and codec in SELF_TOLD:
        return False  # its only times are those of decoding
    if codec in SOUND.get(container, ()):
        return True
    made = _read_back(container, name, pix_fmt)
    if made is None:
        return False
    return made[:2] == (codec, pix_fmt) or (made[0] == codec != "rawvideo")


def told(container: str, name: str, pix_fmt: str, matrix: int, range: int) -> tuple[int, int]:
    """The colour matrix and range that are read from what an encoder writes into a container, where it is told these."""
    if canonical(name) in SELF_TOLD:
        return matrix, range
    made = _read_back(container, name, pix_fmt, matrix, range)
    return (matrix, range) if made is None else made[2:]


@lru_cache
def _read_back(
    container: str, name: str, pix_fmt: str, matrix: int = 2, range: int = 0
) -> tuple[str, str, int, int] | None:
    """Codec, pixel format, colour matrix and range of a picture that was written and read; None where it was lost."""
    import av

    file = io.BytesIO()
    try:
        with scheduling.ordinary(), av.open(file, "w", format=container) as out:
            stream: Any = out.add_stream(name, rate=25, width=256, height=128)
            stream.pix_fmt = pix_fmt
            stream.codec_context.colorspace = matrix
            stream.codec_context.color_range = 2 if name == "mjpeg" else range
            stream.options = dict(driven(name, pix_fmt).fixed)
            frame = av.VideoFrame(256, 128, pix_fmt)
            frame.colorspace, frame.color_range = matrix, stream.codec_context.color_range
            for plane in frame.planes:  # encoders may abort on samples that are larger than the format allows
                plane.update(bytes(plane.buffer_size))
            for picture in (frame, None):
                out.mux(stream.encode(picture))
        file.seek(0)
        with av.open(file, "r") as back:
            context = back.streams.video[0].codec_context
            if context is None:  # the codec is lost
                return None
            shown = next(back.decode(video=0))
    except (ValueError, IndexError, OSError, StopIteration, av.error.FFmpegError):
        return None
    full = context.pix_fmt is not None and context.pix_fmt.startswith("yuvj")
    return (
        context.codec.canonical_name,
        context.pix_fmt or "",
        int(shown.colorspace),
        2 if full else int(shown.color_range),
    )


def options_of(
    encoder: Encoder, crf: float | None, preset: str | None, extra: Mapping[str, str]
) -> dict[str, str]:
    """The encoder's options for a quality and a speed; `extra` goes on top.

    Raises:
        UsageError: the encoder has no such scale, or does not know an option of `extra`, or a value is out of its range.
    """
    for name, value in extra.items():
        _check_extra(encoder, name, value)
    known = _options(encoder.name)
    quality_name = encoder.crf or ("crf" if "crf" in known else "")
    speed_name = encoder.preset or ("preset" if "preset" in known else "")
    chosen = dict(encoder.fixed)
    if "qp" in extra:
        chosen.pop("rc", None)  # beside which NVENC passes the quantiser over
    if crf is not None and not quality_name:
        raise UsageError(f"--crf does not apply to {encoder.name}; its own options go through --encoder-opt")
    if preset is not None and not speed_name:
        raise UsageError(
            f"--preset does not apply to {encoder.name}; its own options go through --encoder-opt"
        )
    if crf is not None:
        _check_quality(encoder, quality_name, float(crf))
    if preset is not None:
        _check_value(encoder.name, speed_name, preset, f"--preset {preset}")
    quality = encoder.quality if crf is None else float(crf)
    if is_rated(encoder, crf, extra):
        quality_name = ""
    if quality_name == QSCALE:
        chosen |= {"qmin": f"{quality:g}", "qmax": f"{quality:g}"}
    elif quality_name and (encoder.crf or crf is not None):
        chosen[quality_name] = f"{quality:g}"
    if encoder.preset or preset is not None:
        chosen[speed_name] = preset or encoder.speed
    return merge(chosen, extra)


def is_rated(encoder: Encoder, crf: float | None, extra: Mapping[str, str]) -> bool:
    """Whether other options decide on the quality."""
    rates = RATES | BOUNDS if encoder.crf == QSCALE else RATES
    return crf is None and not rates.isdisjoint(extra)


def merge(options: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """Options with others on top; lists such as `x265-params` are joined."""
    merged = dict(options)
    for name, value in extra.items():
        joined = name.endswith("-params") and name in merged
        merged[name] = f"{merged[name]}:{value}" if joined else value
    return merged


def hdr_options(name: str, mastering: Mastering | None, light: tuple[int, int] | None) -> dict[str, str]:
    """The options that make an encoder write HDR data; none where there is no data, or it cannot."""
    if name not in HDR or not (mastering or light):
        return {}
    option, display, level = HDR[name]
    words = []
    if mastering:
        text = mastering.decimals() if name == "libsvtav1" else mastering.integers()
        words.append(f"{display}={text}")
    if light:
        words.append(f"{level}={light[0]},{light[1]}")
    return {option: ":".join(words)}


def has_option(name: str, option: str) -> bool:
    """Whether an encoder has an option of its own."""
    return option in _options(name)


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


@lru_cache
def _options(name: str) -> dict[str, Any]:
    """FFmpeg's descriptions of an encoder's options; its own go before general ones of the same name."""
    import av

    options = av.CodecContext.create(name, "w").supported_options
    return {option.name: option for option in (*options.generic, *options.private)}


def _check_extra(encoder: Encoder, name: str, value: str) -> None:
    """Hold an option that was typed as it is against what the encoder takes."""
    known = _options(encoder.name)
    if name not in known:
        close = difflib.get_close_matches(name, sorted(known), 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise UsageError(f"the encoder {encoder.name} has no option {name!r}{hint}")
    if name in SETTLED:
        instead = "; type --pix-fmt in its place" if name == "pixel_format" else ", leave it out"
        raise UsageError(f"--encoder-opt {name} is settled by the frames{instead}")
    _check_value(encoder.name, name, value, f"--encoder-opt {name}={value}")
    if name.endswith("-params"):
        _check_list(encoder, name, value)


def _check_quality(encoder: Encoder, name: str, crf: float) -> None:
    low, high = SCALES.get(encoder.name) or SCALES.get(name) or _values(encoder.name, name)[:2]
    low = max(0, low)  # what is below, FFmpeg takes for not given
    option = _options(encoder.name).get(name)
    whole = name == QSCALE or (option is not None and option.type in WHOLE)
    if not low <= crf <= high or (whole and not crf.is_integer()):
        raise UsageError(
            f"--crf {crf:g} is {'no whole number' if whole and low <= crf <= high else 'out of range'}; "
            f"{encoder.name} takes {low:g}, the best, to {high:g}"
            + (f", and {encoder.quality:g} where none is given" if encoder.crf else "")
        )


def _check_value(encoder: str, name: str, value: str, typed: str) -> None:
    """Hold a value, which was typed so, against those that the encoder takes, as far as FFmpeg knows them."""
    low, high, names = _values(encoder, name)
    whole = bool(names == SPEEDS or _options(encoder)[name].type in WHOLE)
    try:
        number = float(value)
        fits = low <= number <= high and (number.is_integer() or not whole)
    except ValueError:  # FFmpeg computes, too: 5M, 2*3
        fits = low == -inf or not value.isalpha() or value in (*names, *ALWAYS)
    if not fits:
        kind = "whole numbers" if whole else "numbers"
        numbers = f"{kind} from {low:g} to {high:g}" if high < 2**31 - 1 else kind
        raise UsageError(f"{typed}: {encoder} takes {', '.join((numbers, *names))}")


def _check_list(encoder: Encoder, name: str, value: str) -> None:
    """Hold a list such as `x264-params` against what the encoder's library knows: it goes on without the rest."""
    import av

    # What fails here fails again with all options, and is told then.
    refused = suppress(av.error.FFmpegError)
    with listening(av.logging.WARNING), av.logging.Capture() as lines, refused:
        attempt(encoder.name, merge(encoder.fixed, {name: value}))
    for _, _, line in lines:
        if line.startswith(PASSED_OVER):
            raise UsageError(f"--encoder-opt {name}={value}: {encoder.name} says: {line.strip()}")


def attempt(encoder: str, options: Mapping[str, str]) -> None:
    """Open an encoder of this name for small pictures.

    Raises:
        FFmpegError: it does not open so.
    """
    import av

    context: Any = av.CodecContext.create(encoder, "w")
    context.width, context.height, context.time_base = 256, 128, Fraction(1, 25)
    context.pix_fmt = context.codec.video_formats[0].name
    context.options = dict(options)
    quiet()
    with scheduling.ordinary():
        context.open()


def _values(encoder: str, name: str) -> tuple[float, float, tuple[str, ...]]:
    """The least and the largest number that an option takes, and the words; infinite where FFmpeg does not know."""
    if name == "preset" and encoder in X26:
        return 0, len(SPEEDS) - 1, SPEEDS
    option = _options(encoder)[name]
    if option.type not in NUMBERS:
        return -inf, inf, ()
    unbounded = name == "crf" and option.max > 255
    names = tuple(choice.name for choice in option.choices)
    return option.min, SCALE if unbounded else option.max, names


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
    usable = [f for f in formats if _traits(f) is not None and (name, f) not in REFUSED]
    if not usable:
        return []
    best = min(usable, key=lambda f: _cost(source, f))
    return [Choice(driven(name, best), codec.canonical_name, best)]


def _format_names(name: str) -> list[str]:
    """The pixel formats that an encoder lists."""
    import av

    codec: Any = av.codec.Codec(name, "w")
    return [f.name for f in codec.video_formats or ()]


@lru_cache
def _traits(name: str) -> _Traits | None:
    """What a pixel format can hold; None for those of hardware and palettes."""
    import av

    form: Any = av.VideoFormat(name, 64, 64)
    parts = form.components
    if not parts or form.has_palette or form.is_bit_stream or form.is_bayer:
        return None
    colours = [part for part in parts if not part.is_alpha]
    chroma = (64 // colours[1].width, 64 // colours[1].height) if len(colours) == 3 else (1, 1)
    gray = len(colours) == 1
    return _Traits(form.is_rgb and not gray, gray, len(colours) < len(parts), colours[0].bits, chroma)


def _losses(source: str, target: str) -> list[tuple[int, str]]:
    """What `target` cannot hold of `source`: how much it matters, and words."""
    a, b = _traits(source), _traits(target)
    assert a is not None
    assert b is not None
    found = []
    if b.gray and not a.gray:
        found.append((16, "colour is lost"))
    if a.alpha and not b.alpha:
        found.append((8, "any transparency is lost (--codec ffv1 in .mkv keeps it)"))
    if not a.gray and (b.chroma[0] > a.chroma[0] or b.chroma[1] > a.chroma[1]):
        found.append((4, "colour is stored at a lower resolution"))
    if not a.gray and a.rgb != b.rgb:
        found.append((2, "RGB is stored as YUV" if a.rgb else "YUV is stored as RGB"))
    if b.depth < a.depth:
        found.append((1 if b.depth >= 10 else 3, f"{a.depth} bits a sample become {b.depth}"))
    return found


def _cost(source: str, target: str) -> tuple[int, int, bool, bool]:
    """For sorting: what is lost, then what is wasted, then odd ways of storing the same."""
    a, b = _traits(source), _traits(target)
    assert a is not None
    assert b is not None
    extra_chroma = a.chroma[0] * a.chroma[1] // max(1, b.chroma[0] * b.chroma[1]) - 1
    waste = 8 * (b.alpha and not a.alpha) + (b.depth - a.depth) + 4 * max(0, extra_chroma)
    waste += 2 * (a.gray and not b.gray)
    severity = sum(weight for weight, _ in _losses(source, target))
    return severity, waste, target.startswith("yuvj"), target != source


def _rank(choice: Choice, own: str, source: str) -> tuple[int, bool]:
    """Own codec first unless it costs more than bits beyond the tenth; among the others the most faithful."""
    severity = _cost(source, choice.pix_fmt)[0]
    is_own = choice.codec == own or choice.encoder.name == own
    return (0 if severity <= 1 and is_own else severity + (not is_own)), not is_own


def _explain(choice: Choice, codec: str, asked: str | None, source: str) -> Choice:
    name = choice.encoder.name
    loss = ", ".join(words for _, words in _losses(source, choice.pix_fmt))
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
