"""Speed: frames a second and peak memory of every filter and every peer, at several sizes, in one run.

All start from the same noisy `yuv420p` frames in memory (the `ffmpeg` program: in a file) and end with frames of that
format, so that the conversion of colours that a method needs is part of its time. OpenCV's peer starts from its own BGR.
"""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidnoise.bench import clips, peers
from vidnoise.bench.isolated import isolated
from vidnoise.bench.ours import HOME
from vidnoise.errors import FilterError, UsageError, VidnoiseError

if TYPE_CHECKING:
    from vidnoise.bench.peers import Samples
    from vidnoise.chain import Chain
    from vidnoise.colour import Planes
    from vidnoise.device import Device
    from vidnoise.frame import Frame

SIZES = {"480p": (854, 480), "720p": (1280, 720), "1080p": (1920, 1080)}
FORMAT = "yuv420p"
LOOP = 8
"""Different frames; longer runs repeat them."""
LEAST, MOST = 4, 400
"""Frames of one round."""


@dataclass(frozen=True)
class Pace:
    """How long to measure: rounds of about `seconds` each, of which the median counts; a warm-up goes before them."""

    seconds: float = 2.0
    rounds: int = 3


@dataclass(frozen=True)
class Noise:
    """The input: a scene rendered in code or a clip, enlarged or shrunk to each size, with white noise added."""

    clip: Path | None = None
    sigma: float = 20.0
    seed: int = 0

    def frames(self, width: int, height: int) -> list[clips.Picture]:
        """Noisy RGB frames of that size."""
        import cv2

        if self.clip is None:
            clean = clips.rendered(width, height, LOOP, self.seed)
        else:
            loaded = clips.load(self.clip, LOOP).frames
            clean = [cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in loaded]
        return [clips.to_8_bit(frame) for frame in clips.add_noise(clean, self.sigma, self.seed)]


@dataclass
class Row:
    """One method at one size: frames a second (median), the slowest and fastest round, peak memory in MiB."""

    method: str
    home: str
    settings: str
    size: str
    batch: int = 0
    rates: list[float] = field(default_factory=list)
    memory: float = math.nan
    failure: str = ""

    def values(self) -> dict[str, Any]:
        """For tables and JSON."""
        known = self.rates or [math.nan]
        head: dict[str, Any] = {"method": self.method, "home": self.home}
        head |= {"settings": self.settings, "size": self.size}
        head |= {"batch": self.batch or "auto"} if self.home == HOME else {}
        fps = {"fps": statistics.median(known), "slowest": min(known), "fastest": max(known)}
        return head | fps | {"memory": self.memory, "failure": self.failure}


@dataclass(frozen=True)
class Job:
    """What a measuring process is given: `chain`, `device` and the frames at once for ours, `peer` for others."""

    size: str
    noise: Noise
    pace: Pace
    chain: str = ""
    device: str = "auto"
    precision: str = "auto"
    batch: int = 0
    peer: peers.Peer | None = None

    def row(self) -> Row:
        """An empty row."""
        if self.peer is None:
            return Row(self.chain, HOME, self.chain, self.size, self.batch)
        return Row(self.peer.name, self.peer.home, self.peer.settings(self.noise.sigma), self.size)


def sizes(names: Sequence[str]) -> list[str]:
    """Names of sizes, checked.

    Raises:
        UsageError: a size that is not in `SIZES`.
    """
    for name in names:
        if name not in SIZES:
            raise UsageError(f"size {name!r} is not known; it is one of {', '.join(SIZES)}")
    return list(names)


def measure(jobs: Sequence[Job], tell: Callable[[str], None] = lambda _: None) -> Iterator[Row]:
    """Run each job in a process of its own, one after another."""
    for job in jobs:
        row = job.row()
        tell(f"{row.size}: {row.method} {row.home}")
        try:
            row.rates, row.memory = isolated(rates, job, programs=row.home == peers.PROGRAM)
        except VidnoiseError as failure:
            row.failure = str(failure)
        yield row


def rates(job: Job) -> list[float]:
    """Frames a second in each round, in this process."""
    if job.peer is None:
        return _ours(job)
    width, height = SIZES[job.size]
    frames = job.noise.frames(width, height)
    peer, sigma = job.peer, job.noise.sigma
    if isinstance(peer, peers.OpenCVPeer):
        return _timed(lambda count: peer.run(list(islice(cycle(frames), count)), sigma)[1], job.pace)
    samples, graph = peers.planes(frames, FORMAT), peer.settings(sigma)
    if peer.home == peers.PYAV:
        return _timed(lambda count: _pyav(graph, samples, (width, height), count), job.pace)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in.raw")
        samples.tofile(source)
        return _timed(lambda count: _program(graph, source, (width, height), count), job.pace)


def _timed(run: Callable[[int], float], pace: Pace) -> list[float]:
    """Rates of the rounds. `run(count)` cleans that many frames and gives the seconds; its first call warms up."""
    run(LEAST)
    count = LEAST
    seconds = run(count)
    while seconds < pace.seconds / 4 and count < MOST:
        count = min(MOST, count * 4)
        seconds = run(count)
    count = min(MOST, max(LEAST, round(count * pace.seconds / seconds)))
    return [count / run(count) for _ in range(pace.rounds)]


def _ours(job: Job) -> list[float]:
    from vidnoise.chain import Chain
    from vidnoise.device import choose

    place = choose(job.device, job.precision, batch=job.batch)
    return chain_rates(Chain.parse(job.chain), place, job.size, job.noise, job.pace)


def chain_rates(chain: Chain, place: Device, size: str, noise: Noise, pace: Pace) -> list[float]:
    """Frames a second of a chain in each round, in this process; see `SIZES`."""
    samples = peers.planes(noise.frames(*SIZES[size]), FORMAT)
    return _timed(lambda count: through_chain(chain, place, samples, SIZES[size], count), pace)


def through_chain(chain: Chain, place: Device, samples: Samples, size: tuple[int, int], count: int) -> float:
    """Seconds for `count` frames through the engine's own threads: planes, RGB, filters, planes."""
    from fractions import Fraction

    from vidnoise import pipeline
    from vidnoise.colour import Colour, PixelFormat, from_rgb
    from vidnoise.frame import Frame, StreamInfo

    format, colour = PixelFormat(FORMAT, "yuv", 8, 1, 1), Colour(matrix=6, range=2)
    info = StreamInfo(*size, Fraction(1, 25), Fraction(25), count, format, colour)
    pictures = [_planes(frame, size) for frame in samples]

    def source() -> Iterator[Frame]:
        for i, planes in enumerate(islice(cycle(pictures), count)):
            yield Frame(
                pts=i, time_base=Fraction(1, 25), duration=1, planes=planes, format=format, colour=colour
            )

    class Sink:
        def write(self, frame: Frame) -> None:
            for plane in from_rgb(frame.image, frame.format, frame.colour):
                plane.cpu()

    stage = chain.open(info, place)
    start = time.perf_counter()
    done = pipeline.run(source(), stage, Sink(), place)
    seconds = time.perf_counter() - start
    if done != count:
        raise FilterError(f"{chain} gave {done} frames of {count}")
    return seconds


def _planes(frame: Samples, size: tuple[int, int]) -> Planes:
    import torch

    width, height = size
    half = ((height + 1) // 2, (width + 1) // 2)
    shapes = ((height, width), half, half)
    parts = torch.split(torch.from_numpy(frame.reshape(-1).copy()), [h * w for h, w in shapes])
    return tuple(part.view(shape) for part, shape in zip(parts, shapes, strict=True))


def _program(graph: str, source: Path, size: tuple[int, int], count: int) -> float:
    shape = ["-f", "rawvideo", "-pix_fmt", FORMAT, "-s", f"{size[0]}x{size[1]}", "-r", "25"]
    work = ["-frames:v", str(count), "-vf", f"{graph},format={FORMAT}", "-f", "null", "-"]
    return peers.run_program(["-stream_loop", "-1", *shape, "-i", str(source), *work])


def _pyav(graph: str, samples: Samples, size: tuple[int, int], count: int) -> float:
    frames = peers.video_frames(samples, FORMAT, count)
    start = time.perf_counter()
    done = sum(1 for _ in peers.through_graph(f"{graph},format={FORMAT}", frames, size, FORMAT))
    seconds = time.perf_counter() - start
    if done != count:
        raise FilterError(f"PyAV's {graph!r} gave {done} frames of {count}")
    return seconds
