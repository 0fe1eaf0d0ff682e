"""Quality: every filter and every peer on the same noisy clips, in one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vidnoise.bench import clips
from vidnoise.bench.metrics import judge, mean, motions
from vidnoise.errors import FilterError, UsageError, VidnoiseError

if TYPE_CHECKING:
    from vidnoise.bench.clips import Noisy, Picture


SCORES = ("psnr", "ssim", "flicker", "warping")


class Method(Protocol):
    """Something that cleans clips: `ours.Ours`, `peers.FFmpegPeer`, `peers.OpenCVPeer`."""

    @property
    def name(self) -> str:
        """Its name; together with `home` it is unique."""
        ...

    @property
    def home(self) -> str:
        """Whose it is."""
        ...

    def settings(self, sigma: float) -> str:
        """How it is set for noise of this deviation (in units of 1/255)."""
        ...

    def run(self, noisy: Sequence[Noisy], sigma: float) -> tuple[list[Picture], float]:
        """Clean frames; gives as many, and the seconds it took."""
        ...


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Args:
        data: a folder of clips, or one clip; see `clips.find`.
        sigmas: deviations of the white noise that is added, in units of 1/255; of blur, its lengths in pixels.
        noise: one of `clips.NOISES`. If it is "float", our filters get floats; the peers take 8 bit only, so theirs are
            rounded.
        seed: of the noise; every clip has its own noise, every method the same.
        skip: frames at the start of each clip that do not count: temporal methods need a few.
        most: frames of each clip that are used.
        stills: the pictures in `data` are measured one by one, and none is skipped.
        limit: of the stills, only so many are used; all if not given.
    """

    data: Path
    sigmas: Sequence[float] = (10, 30, 50)
    noise: str = "rounded"
    seed: int = 0
    skip: int = 4
    most: int = 30
    stills: bool = False
    limit: int | None = None


@dataclass
class Row:
    """One method at one sigma: the means of `metrics.judge` for each clip; `failure` says why there are none."""

    method: str
    home: str
    settings: str
    sigma: float
    clips: dict[str, dict[str, float]] = field(default_factory=dict)
    frames: int = 0
    seconds: float = 0.0
    failure: str = ""

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds if self.seconds else float("nan")

    def values(self) -> dict[str, Any]:
        """The row for tables and JSON: means over the clips, so that long ones count no more than short ones."""
        head = {"method": self.method, "home": self.home, "settings": self.settings, "sigma": self.sigma}
        means = {name: mean([clip[name] for clip in self.clips.values()]) for name in SCORES}
        tail = {"fps": self.fps, "frames": self.frames, "failure": self.failure, "clips": self.clips}
        return head | means | tail


def measure(plan: Plan, methods: Sequence[Method], tell: Callable[[str], None] = lambda _: None) -> list[Row]:
    """Run every method on every clip at every sigma; the first row of each sigma is the noisy input itself.

    Args:
        plan: what to measure on.
        methods: what to measure.
        tell: told what is being done.

    Raises:
        InputError: there are no clips, or one cannot be read.
        UsageError: no clip is longer than what is skipped, or more is skipped than used.
    """
    rows = {
        (sigma, i): _row(method, sigma) for sigma in plan.sigmas for i, method in enumerate([None, *methods])
    }
    if plan.stills:
        plan = replace(plan, skip=0)
    elif plan.most < plan.skip + 2:
        raise UsageError(
            f"of the {plan.most} frames of each clip that are used (--frames) the first {plan.skip} do not count (--skip), "
            f"and two more are needed; type --frames {plan.skip + 2} or more, or lower --skip"
        )
    used = 0
    for number, clip in enumerate(_clips(plan)):
        if not plan.stills and len(clip.frames) <= plan.skip + 1:
            tell(
                f"{clip.name} is left out: it has {len(clip.frames)} frames, and the first {plan.skip} do not count"
            )
            continue
        used += 1
        for text in _measure_clip(plan, clip, plan.seed + number, methods, rows):
            tell(text)
    if not used:
        raise UsageError(
            f"no clip in {plan.data} has more than {plan.skip + 1} frames; lower --skip, or add "
            f"--stills for pictures that are no clip"
        )
    return list(rows.values())


def _clips(plan: Plan) -> Iterator[clips.Clip]:
    if plan.stills:
        return islice(clips.stills(plan.data), plan.limit)
    return (clips.load(path, plan.most) for path in clips.find(plan.data))


def _row(method: Method | None, sigma: float) -> Row:
    if method is None:
        return Row("noisy", "", "", sigma)
    return Row(method.name, method.home, method.settings(sigma), sigma)


def _measure_clip(
    plan: Plan, clip: clips.Clip, seed: int, methods: Sequence[Method], rows: dict[tuple[float, int], Row]
) -> Iterator[str]:
    steps = motions(clip.frames)
    for sigma in plan.sigmas:
        noisy = clips.add_noise(clip.frames, sigma, seed, plan.noise)
        for i, method in enumerate([None, *methods]):
            row = rows[sigma, i]
            if row.failure:
                continue
            yield f"{clip.name}, sigma {sigma:g}: {row.method}"
            try:
                out, seconds = _clean(method, noisy, sigma)
            except VidnoiseError as failure:
                row.failure = str(failure)
                continue
            row.clips[clip.name] = judge(clip.frames, out, steps, plan.skip)
            row.frames += len(out)
            row.seconds += seconds


def _clean(method: Method | None, noisy: list[Noisy], sigma: float) -> tuple[list[Picture], float]:
    if method is None:
        return [clips.to_8_bit(frame) for frame in noisy], 0.0
    out, seconds = method.run(noisy, sigma)
    if len(out) != len(noisy):
        raise FilterError(f"{method.name} gave {len(out)} frames of {len(noisy)}")
    return out, seconds
