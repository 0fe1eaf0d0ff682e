"""What a video is: its streams, its colour, how it was scanned, and how noisy it is, scene by scene.

A short video is looked at whole; of a long one some places spread over it, so that the time stays bounded.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidnoise.errors import UsageError, VidnoiseError

if TYPE_CHECKING:
    from torch import Tensor

    from vidnoise.colour import Colour
    from vidnoise.frame import Frame
    from vidnoise.io import Reader
    from vidnoise.noise import NoiseEstimate

WHOLE = 240
"""Videos of up to that many frames are looked at whole; so is the start of what cannot be searched, as a pipe."""

PLACES = 8
"""Places to look at in a longer video."""

RUN = 24
"""Frames to look at in each place: enough to hear whether it is interlaced."""

SECONDS = 20.0
"""After that many seconds no further place is looked at, nor more of the first."""

MATRICES = {
    0: "rgb", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc",
    10: "bt2020c", 12: "chroma-derived-nc", 13: "chroma-derived-c", 14: "ictcp",
}  # fmt: skip
PRIMARIES = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020", 10: "smpte428",
    11: "smpte431 (DCI-P3)", 12: "smpte432 (Display P3)", 22: "ebu3213",
}  # fmt: skip
TRANSFERS = {
    1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear", 11: "iec61966-2-4",
    13: "srgb", 14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084 (PQ)", 17: "smpte428", 18: "arib-std-b67 (HLG)",
}  # fmt: skip
RANGES = {1: "limited (tv)", 2: "full (pc)"}
LOCATIONS = {1: "left", 2: "centre", 3: "top left", 4: "top", 5: "bottom left", 6: "bottom"}


@dataclass(frozen=True)
class Scene:
    """A stretch of the video without a cut, as far as it was looked at.

    Times in seconds; `sigma` is the noise per channel R, G, B in units of 1/255; `curve` the noise, mean of the
    channels, at `Probe.brightness`; `correlation` of the noise between neighbouring pixels, 0 for white noise.
    """

    start: float
    end: float
    frames: int
    sigma: tuple[float, float, float]
    curve: tuple[float, ...]
    correlation: float


@dataclass(frozen=True)
class Probe:
    """All that was found. Colour tags are in words, None where the stream does not say.

    `rate` is the average in frames a second; `variable_rate` and `scan` come from the frames that were looked at, the
    latter `progressive`, `top field first` or `bottom field first`. `rotation` is in degrees counter-clockwise.
    """

    source: str
    container: str
    bytes: int | None
    duration: float | None
    codec: str
    profile: str | None
    width: int
    height: int
    pixel_format: str
    depth: int
    pixel_aspect: str
    rate: float | None
    variable_rate: bool
    frames: int | None
    matrix: str | None
    range: str | None
    transfer: str | None
    primaries: str | None
    chroma_location: str | None
    rotation: int
    scan: str
    hdr: list[str]
    others: list[dict[str, Any]]
    losses: dict[str, int]
    warnings: list[str]
    sampled_frames: int = 0
    sampled_places: int = 0
    whole: bool = False
    noise: tuple[float, float, float] | None = None
    brightness: tuple[float, ...] = ()
    curve: tuple[float, ...] = ()
    correlation: float | None = None
    scenes: list[Scene] = field(default_factory=list)


@dataclass
class Look:
    """What the frames of one place say."""

    times: list[float] = field(default_factory=list)
    scenes: list[list[Frame]] = field(default_factory=list)
    tick: float = 0.0
    ended: bool = False


def probe(source: str | Path) -> Probe:
    """Look at a video.

    Raises:
        InputError: it cannot be opened or holds no video that can be decoded.
        UsageError: its protocol is not allowed.
    """
    deadline = time.monotonic() + SECONDS
    watch = ScanWatch()
    with _open(source) as reader:
        facts = _facts(reader)
        starts = _places(reader, facts)
        looks = {0.0: _look(reader, WHOLE if not starts else RUN, watch, deadline)}
    for start in starts:
        if time.monotonic() < deadline:
            watch.jump()
            looks |= _look_at(source, start, watch, deadline)
    found = [look for _, look in sorted(looks.items())]
    whole = not starts and found[0].ended
    losses, warnings = reader.losses.counts(), list(reader.warnings)
    return Probe(**facts, scan=watch.verdict(), losses=losses, warnings=warnings, whole=whole, **_noise(found))
