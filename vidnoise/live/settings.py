"""What a user chose for one camera."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from vidnoise.chain import Chain
from vidnoise.device import DEVICES, PRECISIONS
from vidnoise.errors import UsageError
from vidnoise.io.protocols import locate
from vidnoise.live import encode
from vidnoise.live.destination import Destination, resolve
from vidnoise.live.secrets import fill
from vidnoise.options import MOST_THREADS

LIVE = ("rtsp", "rtsps", "rtmp", "rtmps", "rtp", "udp", "tcp")
"""Schemes that are cameras; http and https are files unless told otherwise."""

CHOICES = {"transport": ("tcp", "udp"), "audio": ("copy", "none"), "device": DEVICES, "precision": PRECISIONS}
"""What fields of words may be."""

Span = Annotated[float, "seconds"]
"""A span of time; in files it may be text, such as `500ms`."""
Box = tuple[int, int, int, int]
"""x, y, width and height in pixels."""


@dataclass(frozen=True)
class Settings:
    """One camera: where from, where to, and how.

    Attributes:
        source: a URL, `/dev/video0`, or `-` for what comes through a pipe.
        outputs: URLs, folders, files and names for pieces; see `vidnoise.live.destination.resolve`.
        name: what to call it in logs and metrics.
        filters: what is applied while there is time for it.
        transport: "tcp" or "udp", for RTSP.
        timeout: seconds to wait for a connection, a picture, or progress of an output; a first picture may take longer
            while anything comes, since keyframes may be far apart.
        max_backoff: the longest wait between two tries, in seconds.
        retries: failures in a row after which it is given up, None for never; one that comes within `max_backoff` of the
            first picture is in the same row.
        wait: whether a camera that cannot be opened at the start is tried again.
        max_delay: seconds from a picture's arrival to its going out, beyond which work is left out.
        max_latency: frames that the filters may look ahead at most, None for any number.
        duration: seconds after the first picture when it ends, None for never.
        segment, keep: for recordings in pieces, such as `10m` and `7d`.
        codec, crf, preset, encoder_opts: of the encoder.
        audio: "copy" or "none".
        assume_progressive: whether pictures are never taken for interlaced.
        overwrite: whether files may be replaced.
        threads: of the filters; 0 for half the processors, since decoder, encoder and outputs need some as well.
        roi: x, y, width and height in pixels of what is cleaned alone, None for all.
        ignore: rectangles that are left as they are.

    Raises:
        UsageError: a value is out of range, there is no such encoder or it does not take its options, the source cannot be
            one, or an output is missing, cannot be one, is the source or is given twice.
    """

    source: str
    outputs: tuple[str, ...]
    name: str = "camera"
    filters: Chain = field(default_factory=Chain)
    transport: str = "tcp"
    timeout: Span = 5.0
    max_backoff: Span = 5.0
    retries: int | None = None
    wait: bool = False
    max_delay: Span = 1.0
    max_latency: int | None = None
    duration: Span | None = None
    segment: str | None = None
    keep: str | None = None
    codec: str | None = None
    crf: float | None = None
    preset: str | None = None
    encoder_opts: Mapping[str, str] = field(default_factory=dict)
    audio: str = "copy"
    assume_progressive: bool = False
    overwrite: bool = False
    device: str = "auto"
    precision: str = "auto"
    threads: int = 0
    roi: Box | None = None
    ignore: tuple[Box, ...] = ()

    def __post_init__(self) -> None:
        if not self.source:
            raise UsageError("say which camera: rtsp://HOST/PATH, or /dev/video0")
        if not self.outputs:
            raise UsageError("say where to write: -o rtsp://HOST/PATH, or a file")
        if locate(self.source).kind == "file" and os.path.isfile(self.source.removeprefix("file:")):
            raise UsageError(
                f"{self.source} is a file and no camera; vidnoise {self.source} -o OUTPUT cleans it"
            )
        for name, words in CHOICES.items():
            if getattr(self, name) not in words:
                raise UsageError(f"{name} is {' or '.join(words)}, not {getattr(self, name)!r}")
        for name in ("retries", "max_latency", "threads"):
            if (getattr(self, name) or 0) < 0:
                raise UsageError(f"{name} is 0 or more, not {getattr(self, name)}")
        if self.threads > MOST_THREADS:
            raise UsageError(f"threads is at most {MOST_THREADS}, not {self.threads}")
        encode.check(self)
        if self.segment and not any("%" in output for output in self.outputs):
            raise UsageError(
                'a recording in pieces needs a name for each: --segment 10m -o "cam/%Y-%m-%d_%H-%M-%S.mp4"'
            )
        if self.keep and not self.segment:
            raise UsageError("--keep is for recordings in pieces; add --segment 10m")
        known: set[str] = set()
        for place in self.places():
            if place.where in known:
                raise UsageError(f"the output {place.name} is given twice; each writes to a place of its own")
            if place.url == self.source:
                raise UsageError(
                    f"the output {place.name} is the camera itself; it writes to a place of its own"
                )
            known.add(place.where)

    def places(self) -> list[Destination]:
        """What the outputs are."""
        return [
            resolve(text, segment=self.segment, keep=self.keep, overwrite=self.overwrite)
            for text in self.outputs
        ]


def is_camera(source: str) -> bool:
    """Whether an input is a camera by its name alone: a live protocol, or a local device.

    Raises:
        UsageError: a protocol that is not allowed.
    """
    place = locate(fill(source))
    return place.kind == "camera" or (place.kind == "network" and place.url.split(":")[0].lower() in LIVE)
