"""What a video is: its streams, its colour, how it was scanned, and how noisy and blurred it is, scene by scene.

A short video is looked at whole; of a long one some places spread over it, so that the time stays bounded.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice, pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from vidnoise.errors import VidnoiseError
from vidnoise.io.interlace import Evidence, FieldOrder

if TYPE_CHECKING:
    from vidnoise.colour import Colour
    from vidnoise.frame import Frame
    from vidnoise.io import Reader
    from vidnoise.io.facts import Facts
    from vidnoise.noise import NoiseEstimate

WHOLE = 240
"""Videos of up to that many frames are looked at whole; so is the start of what cannot be searched, as a pipe."""

PLACES = 8
"""Places to look at in a longer video."""

RUN = 24
"""Frames to look at in each place: enough to hear whether it is interlaced."""

EVERY = 6
"""The blur of so many frames is measured once."""

SECONDS = 30.0
"""After that many seconds of processor time no further place is looked at; so another busy program changes nothing."""

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
    channels, at `Probe.brightness`; `correlation` of the noise between neighbouring pixels, 0 for white noise; `blur`
    the length of the motion blur in pixels, the median of the frames.
    """

    start: float
    end: float
    frames: int
    sigma: tuple[float, float, float]
    curve: tuple[float, ...]
    correlation: float
    blur: float


@dataclass(frozen=True)
class Probe:
    """All that was found. Colour tags are in words, None where the stream does not say.

    `rate` is the average in frames a second; `variable_rate` and `scan` come from the frames that were looked at, the
    latter `progressive`, `top field first` or `bottom field first`. `rotation` is in degrees counter-clockwise. `frames`
    were counted where `whole` is true, and are what the header says elsewhere.
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
    sampled_frames: int
    sampled_places: int
    whole: bool
    noise: tuple[float, float, float]
    brightness: tuple[float, ...]
    curve: tuple[float, ...]
    correlation: float
    blur: float
    scenes: list[Scene]


class Look:
    """What the frames of one place say: their times in seconds, and their noise and blur, scene by scene."""

    def __init__(self, offset: float) -> None:
        self.offset = offset
        self.times: list[float] = []
        self.estimates: list[list[NoiseEstimate]] = []
        self.blurs: list[list[float]] = []
        self.starts: list[float] = []
        self.ended = False

    def add(self, frame: Frame) -> None:
        """Take a frame whose noise and cut are known."""
        from vidnoise.motion_blur import blur_length

        moment = self.offset + float((frame.pts or 0) * frame.time_base)
        if frame.cut or not self.estimates:
            self.estimates.append([])
            self.blurs.append([])
            self.starts.append(moment)
        if len(self.estimates[-1]) % EVERY == 0:
            self.blurs[-1].append(blur_length(frame.image))
        assert frame.sigma is not None
        self.estimates[-1].append(frame.sigma)
        self.times.append(moment)

    @property
    def scenes(self) -> list[Scene]:
        """The scenes, each with the last noise estimate, which has learned from all its frames."""
        ends = [*self.starts[1:], self.times[-1]]
        return list(map(_scene, self.starts, ends, self.estimates, self.blurs))

    @property
    def steps(self) -> list[float]:
        """Seconds from frame to frame."""
        return [b - a for a, b in pairwise(self.times)]


class ScanWatch:
    """How the frames were scanned, from their content and, where that is silent, from what the stream says."""

    def __init__(self) -> None:
        self._evidence: list[Evidence] = []
        self._flagged = 0
        self.jump()

    def jump(self) -> None:
        """The next frame does not follow the last."""
        self._order = FieldOrder()

    def add(self, frame: Frame) -> None:
        """Look at a frame that came from a decoder; pictures of a sequence did not, and are whole."""
        picture: Any = frame.carrier
        if picture is None:
            return
        evidence = self._order.push(picture)
        if evidence is not None:
            self._evidence.append(evidence)
        self._flagged += bool(picture.interlaced_frame)

    def verdict(self, field_order: int) -> str:
        """`progressive`, `top field first`, `bottom field first` or `by the flags of its frames`."""
        from vidnoise.io.interlace import Scan, from_field_order, verdict

        found = verdict(self._evidence)
        if found is None:
            found = from_field_order(field_order)
            if found is Scan.PROGRESSIVE and self._flagged:
                found = Scan.FLAGGED
        return found.value


def probe(source: str | Path) -> Probe:
    """Look at a video.

    Raises:
        InputError: it cannot be opened or holds no video that can be decoded.
        UsageError: its protocol is not allowed.
    """
    deadline = time.process_time() + SECONDS
    watch = ScanWatch()
    with _open(source) as reader:
        places = _places(reader)
        # Scenes are told in times as `start` counts them, here and at all other places.
        looks = [_look(reader, -float(reader.begin), RUN if places else WHOLE, watch, deadline)]
        facts = _facts(reader)
        scan = reader.stream.codec_context.field_order
    for place in places:
        if time.process_time() < deadline:
            watch.jump()
            looks += _look_at(source, place, watch, deadline)
    looks.sort(key=lambda look: look.offset)
    whole = looks[0].ended and not places
    if whole:
        facts["frames"] = len(looks[0].times)
    return Probe(**facts, scan=watch.verdict(scan), whole=whole, **_measured(looks))


def _open(source: str | Path, start: float | None = None) -> Reader:
    from vidnoise.io import open_reader

    return open_reader(source, start=start, assume_progressive=True)


def _places(reader: Reader) -> list[float]:
    """Where else to look, in seconds, the most telling first; nowhere if the video is short or cannot be searched."""
    info = reader.info
    if not info.frames or not info.rate or info.frames <= WHOLE or not _is_file(reader):
        return []
    length = float(info.frames / info.rate)
    # Bit-reversed, so that whatever the time allows is spread over the whole.
    order = sorted(range(1, PLACES), key=lambda i: f"{i:03b}"[::-1])
    return [length * i / PLACES for i in order]


def _is_file(reader: Reader) -> bool:
    return Path(reader.source).is_file()


def _look_at(source: str | Path, start: float, watch: ScanWatch, deadline: float) -> list[Look]:
    """Look at one place; at none where it cannot be reached: damaged, or the index promised too much."""
    try:
        with _open(source, start) as reader:
            return [_look(reader, start, RUN, watch, deadline)]
    except VidnoiseError:
        return []


def _look(reader: Reader, offset: float, most: int, watch: ScanWatch, deadline: float) -> Look:
    from vidnoise.analysis import Analysis

    look = Look(offset)
    analysis = Analysis(noise=True, motion=True)
    frames = iter(reader)
    for frame in islice(frames, most):
        watch.add(frame)
        look.add(*analysis.push(frame))
        if time.process_time() > deadline and len(look.times) > 1:
            break
    else:
        look.ended = next(frames, None) is None
    return look


def _scene(start: float, end: float, estimates: Sequence[NoiseEstimate], blurs: Sequence[float]) -> Scene:
    last = estimates[-1]
    r, g, b = (255 * value for value in last.sigma.tolist())
    curve = tuple(255 * value for value in last.curve.mean(0).tolist())
    return Scene(start, end, len(estimates), (r, g, b), curve, float(last.correlation), median(blurs))


def _measured(looks: Sequence[Look]) -> dict[str, Any]:
    """The noise and blur over all scenes, each weighted by its frames, and how steady the frames come."""
    scenes = [scene for look in looks for scene in look.scenes]
    curves = zip(*(scene.curve for scene in scenes), strict=True)
    return {
        "sampled_frames": sum(len(look.times) for look in looks),
        "sampled_places": len(looks),
        "variable_rate": _varies([step for look in looks for step in look.steps]),
        "noise": tuple(_weighted(scenes, [scene.sigma[c] for scene in scenes]) for c in range(3)),
        "brightness": tuple(255 * v for v in looks[0].estimates[0][0].levels.tolist()),
        "curve": tuple(_weighted(scenes, values) for values in curves),
        "correlation": _weighted(scenes, [scene.correlation for scene in scenes]),
        "blur": _weighted(scenes, [scene.blur for scene in scenes]),
        "scenes": scenes,
    }


def _weighted(scenes: Sequence[Scene], values: Sequence[float]) -> float:
    known = [
        (scene.frames, value) for scene, value in zip(scenes, values, strict=True) if math.isfinite(value)
    ]
    total = sum(frames for frames, _ in known)
    return sum(frames * value for frames, value in known) / total if total else math.nan


def _varies(steps: Sequence[float]) -> bool:
    """Whether frames come at uneven times, by more than a container's rounding to milliseconds."""
    return bool(steps) and max(steps) - min(steps) > max(0.1 * median(steps), 0.0021)


def _facts(reader: Reader) -> dict[str, Any]:
    """What the container and the first picture say."""
    stream, info, context = reader.stream, reader.info, reader.stream.codec_context
    container = reader.container
    return {
        "source": reader.source,
        "container": container.format.long_name or container.format.name,
        "bytes": Path(reader.source).stat().st_size if _is_file(reader) else None,
        "duration": reader.seconds,
        "codec": context.codec.canonical_name,
        "profile": context.profile,
        "width": info.width,
        "height": info.height,
        "pixel_format": reader.pix_fmt,
        "depth": info.format.depth,
        "pixel_aspect": str(reader.sample_shape),
        "rate": float(info.rate) if info.rate else None,
        "frames": info.frames,
        **_colour(info.colour),
        "rotation": _rotation(reader.facts.matrix),
        "hdr": _hdr(reader.facts),
        "others": [_other(s) for s in container.streams if s.index != stream.index],
        "losses": {kind: int(count) for kind, count in asdict(reader.losses).items() if count},
        "warnings": list(reader.warnings),
    }


def _colour(colour: Colour) -> dict[str, str | None]:
    return {
        "matrix": MATRICES.get(colour.matrix),
        "range": RANGES.get(colour.range),
        "transfer": TRANSFERS.get(colour.transfer),
        "primaries": PRIMARIES.get(colour.primaries),
        "chroma_location": LOCATIONS.get(colour.chroma_location),
    }


def _rotation(matrix: tuple[int, ...] | None) -> int:
    """Degrees counter-clockwise by which a display matrix (libavutil/display.h) turns the picture."""
    return 0 if matrix is None else round(-math.degrees(math.atan2(matrix[1], matrix[0])))


def _hdr(facts: Facts) -> list[str]:
    """What the first picture says of high dynamic range and of other things that players heed."""
    found = []
    if facts.mastering:
        darkest, brightest = facts.mastering.luminance or (0, 0)
        found.append(f"mastered for {float(darkest):g} to {float(brightest):g} cd/m²")
    if facts.light:
        found.append(
            f"brightest pixel {facts.light[0]} cd/m², brightest frame {facts.light[1]} cd/m² on average"
        )
    return [*found, *facts.others]


def _other(stream: Any) -> dict[str, Any]:
    """A stream that is not the video: its kind, codec, language and title, and what disposition it has."""
    from av.stream import Disposition

    context = stream.codec_context
    facts = {
        "type": "cover" if stream.disposition & Disposition.attached_pic else stream.type,
        "codec": context.codec.canonical_name if context else None,
        "language": stream.language,
        "title": next(
            (stream.metadata[key] for key in ("title", "name", "filename") if key in stream.metadata), None
        ),
    }
    if stream.type == "audio" and context:
        facts |= {"rate": context.sample_rate, "channels": context.channels}
    return facts
