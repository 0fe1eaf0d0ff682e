"""The options of an encoder: for a quality and a speed, for HDR, and what the user typed, held against what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from fractions import Fraction
from functools import lru_cache
from math import inf
from typing import Any

from vidnoise.errors import UsageError, did_you_mean
from vidnoise.io import scheduling
from vidnoise.io.encoders import QSCALE, Encoder, quiet
from vidnoise.io.facts import Mastering
from vidnoise.io.ffmpeg_log import listening

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
        hint = did_you_mean(name, sorted(known), "")
        raise UsageError(f"the encoder {encoder.name} has no option {name!r}{hint and f'; {hint}'}")
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
