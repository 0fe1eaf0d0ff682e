"""What the filters of a chain share, measured once per frame before the first of them: cuts, noise, optical flow."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from vidnoise.filter import BaseStage
from vidnoise.flow import SharedFlow
from vidnoise.frame import Frame
from vidnoise.noise import NoiseTracker
from vidnoise.scene import CutDetector


class Analysis(BaseStage):
    """Marks cuts, hands out the stream's flow and attaches the noise estimate, as far as asked for."""

    def __init__(self, noise: bool, motion: bool) -> None:
        super().__init__()
        self._tracker = NoiseTracker() if noise else None
        self._detector = CutDetector() if motion else None
        self._flow = SharedFlow() if motion else None
        self._waiting: deque[Frame] = deque()

    @property
    def latency(self) -> int:  # type: ignore[override]
        """What the cut detector needs to see ahead."""
        return self._detector.ahead if self._detector else 0

    def accept(self, frames: Sequence[Frame]) -> list[Frame]:
        """Measure; frames wait only for the cut detector."""
        self._waiting.extend(frames)
        decisions = [cut for frame in frames for cut in self._cuts(frame)]
        return [self._describe(cut) for cut in decisions]

    def drain(self) -> list[Frame]:
        """Describe what waits."""
        return [self._describe(cut) for cut in (self._detector.flush() if self._detector else ())]

    def restart(self) -> None:
        """Forget the scene."""
        self._waiting.clear()
        if self._detector:
            self._detector.reset()
        if self._tracker:
            self._tracker.reset()

    def _cuts(self, frame: Frame) -> Sequence[bool]:
        return self._detector.push(frame.image) if self._detector else [False]

    def _describe(self, cut: bool) -> Frame:
        frame = self._waiting.popleft()
        cut = cut or frame.cut
        sigma = self._tracker.update(frame.image, cut) if self._tracker else None
        return frame.replace(cut=cut, flow=self._flow, sigma=sigma)
