"""Filters in live mode: as dear as there is time for, and never a wait for them to get ready."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vidnoise.chain import Chain
from vidnoise.frame import Frame
from vidnoise.live.pace import Pace
from vidnoise.live.seldom import Seldom
from vidnoise.live.status import Status

if TYPE_CHECKING:
    from vidnoise.device import Device
    from vidnoise.filter import Stage

Open = Callable[[Chain], "Stage"]

WARM = 3
"""Pictures that are pushed through filters before they are used: the first ones take long."""

CHEAPER = "; there is no time for dearer ones"

LOOK = 60.0
"""Seconds between two looks at whether pictures were left out."""
SLOW = (
    "the machine is too slow: %d pictures of the last minute were left out; a smaller picture or rate of the camera, "
    "--preset ultrafast, or fewer cameras beside it give it time"
)


@dataclass(frozen=True)
class Shot:
    """A picture on its way: when it came by the monotonic clock, and whether filters have seen it."""

    frame: Frame
    arrival: float
    cleaned: bool = False


class Tier:
    """One chain of the ladder. It is warmed, and opened unless it is already, in a thread: pictures need not wait for it.

    `stage` is None until it is ready; `failure` says why it never will be.
    """

    def __init__(self, chain: Chain, open: Open, device: Device) -> None:
        self.chain = chain
        self.stage: Stage | None = None
        self.failure: BaseException | None = None
        self._open_stage, self._device = open, device
        self._opened: Stage | None = None
        self._begun = False

    def open(self) -> None:
        """Open it now, not yet warm.

        Raises:
            VidnoiseError: it cannot be.
        """
        self._opened = self._open_stage(self.chain)

    def prepare(self, frame: Frame) -> None:
        """Begin to get ready with copies of a picture; does nothing the second time."""
        if not self._begun:
            self._begun = True
            threading.Thread(target=self._warm, args=(frame,), name="vidnoise-tier", daemon=True).start()

    def _warm(self, frame: Frame) -> None:
        try:
            stage, frame = self._opened or self._open_stage(self.chain), frame.to(self._device.torch)
            for _ in range(stage.latency + WARM if self.chain.filters else 0):
                stage.push(frame)
            stage.reset()
            self.stage = stage
        except BaseException as failure:
            self.failure = failure


class Cleaner:
    """Pictures in, pictures out, each once and in order, unless they are dropped.

    Args:
        chains: from the dearest to none at all; see `vidnoise.live.ladder.ladder`.
        open: opens one of them.
        device: where to filter.
        pace: decides.
        status: counts are kept there.
        log: where changes are told.
        now: the clock of arrivals.

    Raises:
        VidnoiseError: the dearest cannot be opened, which is told before anything is written.
    """

    def __init__(
        self,
        chains: Sequence[Chain],
        open: Open,
        device: Device,
        pace: Pace,
        status: Status,
        log: logging.LoggerAdapter[Any],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tiers = [Tier(chain, open, device) for chain in chains]
        self._tiers[0].open()
        self._device = device
        self._pace = pace
        self._status = status
        self._log = log
        self._now = now
        self._current: Tier | None = None
        self._inside: deque[Shot] = deque()
        self._looked, self._told = now(), 0
        self._warned = Seldom()

    def push(self, shot: Shot, waiting: int) -> list[Shot]:
        """Take a picture, with `waiting` newer ones behind it; give what is finished.

        Raises:
            VidnoiseError: the filters failed.
        """
        if self._now() - self._looked >= LOOK:
            self.tell_dropped()
        verdict = self._pace.judge(self._now() - shot.arrival, waiting)
        if verdict == "drop":
            self._status.dropped += 1
            return []
        done = self._choose(shot.frame)
        if verdict == "pass" or self._rests():
            return [*done, *self.reset(), shot]
        assert self._current is not None
        assert self._current.stage is not None
        self._inside.append(shot)
        return [*done, *self._match(self._current.stage.push(shot.frame.to(self._device.torch)))]

    def reset(self) -> list[Shot]:
        """Give what the filters hold, unfiltered, and start afresh, as where the stream is torn."""
        held = list(self._inside)
        self._inside.clear()
        if held and self._current and self._current.stage:
            self._current.stage.reset()
        return held

    def tell_dropped(self) -> None:
        """Say how many pictures were left out since the last look, if any were."""
        count = self._status.dropped - self._told
        self._looked, self._told = self._now(), self._status.dropped
        if count:
            self._log.log(self._warned.level(SLOW), SLOW, count)

    def _choose(self, frame: Frame) -> list[Shot]:
        """Go to the tier that the pace wants as soon as it is ready; what the last one held comes out before."""
        wanted = self._tiers[self._pace.tier]
        if wanted is self._current:
            return []
        if wanted.failure is not None:
            raise wanted.failure
        if wanted.stage is None:
            wanted.prepare(frame)
            self._pace.settle(self._now())
            return []
        done = self.reset()
        self._current = wanted
        self._pace.settle(self._now())
        self._status.tier, self._status.filters = self._tiers.index(wanted), str(wanted.chain)
        text = f"filters: {self._status.filters}{CHEAPER if self._status.tier else ''}"
        # At its limit it goes to and fro.
        self._log.log(min(logging.INFO, self._warned.level(text)), "%s", text)
        return done

    def _rests(self) -> bool:
        """Whether nothing is filtered now: by choice, or until a cheaper tier is ready."""
        current = self._current
        if current is None or not current.chain.filters:
            return True
        return self._pace.tier > self._tiers.index(current)

    def _match(self, frames: Sequence[Frame]) -> list[Shot]:
        shots = [self._inside.popleft() for _ in frames]
        return [Shot(frame, shot.arrival, True) for frame, shot in zip(frames, shots, strict=True)]
