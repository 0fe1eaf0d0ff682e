"""What a stream says beside its pictures: HDR, rotation, chroma location, time codes.

Side data is read in FFmpeg's own memory layout (libavutil/mastering_display_metadata.h, display.h): 32-bit
integers in the machine's byte order.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vidnoise.io.ffmpeg_log import listening
from vidnoise.io.sidedata import side_data

if TYPE_CHECKING:
    import av

LOCATIONS = ("unspecified", "left", "center", "topleft", "top", "bottomleft", "bottom")
"""FFmpeg's names of chroma locations, by number."""

_CROPPING, _DOLBY_VISION = "Frame Cropping: ", "DOVI configuration record: "


@dataclass(frozen=True)
class Mastering:
    """The display that the picture was graded on (SMPTE ST 2086).

    `primaries` are (x, y) of red, green and blue, then of white, or None; `luminance` is (darkest, brightest)
    in candela a square metre, or None.
    """

    primaries: tuple[tuple[Fraction, Fraction], ...] | None
    luminance: tuple[Fraction, Fraction] | None

    @staticmethod
    def parse(data: bytes) -> Mastering:
        """From AVMasteringDisplayMetadata."""
        numbers = struct.unpack("22i", data[:88])
        ratios = [
            Fraction(n, d) if d else Fraction(0)
            for n, d in zip(numbers[0:20:2], numbers[1:20:2], strict=True)
        ]
        pairs = tuple(zip(ratios[0:8:2], ratios[1:8:2], strict=True))
        return Mastering(pairs if numbers[20] else None, (ratios[8], ratios[9]) if numbers[21] else None)

    def integers(self) -> str:
        """As x264 and x265 take it: chromaticities in 1/50000, luminance in 1/10000."""
        return self._format(lambda x: str(round(x * 50000)), lambda x: str(round(x * 10000)))

    def decimals(self) -> str:
        """As SVT-AV1 takes it."""
        return self._format(lambda x: f"{float(x):.5f}", lambda x: f"{float(x):.4f}")

    def _format(self, chroma: Any, light: Any) -> str:
        red, green, blue, white = self.primaries or ((Fraction(0),) * 2,) * 4
        low, high = self.luminance or (Fraction(0), Fraction(0))
        named = (("G", green), ("B", blue), ("R", red), ("WP", white))
        words = "".join(f"{name}({chroma(x)},{chroma(y)})" for name, (x, y) in named)
        return f"{words}L({light(high)},{light(low)})"


@dataclass(frozen=True)
class Facts:
    """What was found in the first picture and the container's header.

    `light` is (MaxCLL, MaxFALL) in candela a square metre (CTA-861.3). `matrix` are the nine numbers of the
    display matrix. `others` are kinds of side data that no encoder here can write.
    """

    mastering: Mastering | None = None
    light: tuple[int, int] | None = None
    matrix: tuple[int, ...] | None = None
    chroma_location: int = 0
    others: tuple[str, ...] = ()


VIEWS = "the arrangement of 3D views"
DOLBY_VISION = "Dolby Vision metadata"

LOST = {
    "SPHERICAL": "the projection of 360-degree video",
    "STEREO3D": VIEWS,
    "DOVI_METADATA": DOLBY_VISION,
    "DOVI_RPU_BUFFER": DOLBY_VISION,
    "DYNAMIC_HDR_PLUS": "HDR10+ metadata",
    "DYNAMIC_HDR_VIVID": "HDR Vivid metadata",
    "AMBIENT_VIEWING_ENVIRONMENT": "the ambient viewing environment",
}
"""Side data that cannot be written, in words."""


def facts_of(frame: av.VideoFrame | None, line: str) -> Facts:
    """Read a first picture's side data, and the chroma location from its stream's line of `stream_lines`."""
    data = {side.type.name: bytes(side) for side in side_data(frame)}
    mastering, light, matrix = (
        data.get(name) for name in ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL", "DISPLAYMATRIX")
    )
    return Facts(
        mastering=Mastering.parse(mastering) if mastering else None,
        light=struct.unpack("2I", light[:8]) if light else None,
        matrix=struct.unpack("9i", matrix[:36]) if matrix else None,
        chroma_location=_location(line),
        others=(*_lost(data, line), *_cropping(line)),
    )


def stream_lines(container: Any) -> dict[int, str]:
    """FFmpeg's own description of each stream, by index.

    The only place where PyAV lets chroma location and codec tags be seen; FFmpeg writes them at its verbose
    level only.
    """
    import av

    with listening(av.logging.VERBOSE):
        text = container.dumps_format()
    lines: dict[int, str] = {}
    for line in map(str.strip, text.splitlines()):
        if found := re.match(r"Stream #0:(\d+)", line):
            lines[int(found[1])] = line
        elif lines and line.startswith((_CROPPING, _DOLBY_VISION)):
            lines[max(lines)] += f", {line}"
    return lines


def is_timecode(line: str) -> bool:
    """Whether a stream is a QuickTime time code track."""
    return "(tmcd / " in line


def _lost(data: Iterable[str], line: str) -> Iterable[str]:
    """Side data that cannot be written, in words, each once."""
    record = line.partition(_DOLBY_VISION)[2]
    words = [LOST[name] for name in data if name in LOST] + [DOLBY_VISION] * bool(record)
    alone = "compatibility id: 0" in record  # with none of HDR10, HLG and SDR
    told = f"{DOLBY_VISION} (its colours are wrong without it)" if alone else DOLBY_VISION
    return dict.fromkeys(told if word == DOLBY_VISION else word for word in words)


def _cropping(line: str) -> list[str]:
    """What the container hides at the edges, in words, if anything."""
    edges = line.partition(_CROPPING)[2]
    pixels = "/".join(edges.split("/")[:4]).strip()
    hidden = any(edge not in ("", "0") for edge in pixels.split("/"))
    return [f"the container's cropping of {pixels} pixels (left/right/top/bottom)"] if hidden else []


def _location(line: str) -> int:
    """The pixel format is followed by brackets such as `(tv, bt709, progressive, topleft)`."""
    words = line.replace("(", ",").replace(")", ",").split(",")
    found = [LOCATIONS.index(word.strip()) for word in words if word.strip() in LOCATIONS[1:]]
    return found[0] if found else 0
