"""What the filters of a chain share, measured once per frame before the first of them: cuts, noise, optical flow."""

from __future__ import annotations

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

    def accept(self, frames: Sequence[Frame]) -> list[Frame]:
        """Measure every frame; none has to wait."""
        return [self._describe(frame) for frame in frames]

    def restart(self) -> None:
        """Forget the scene."""
        if self._detector:
            self._detector = CutDetector()
        if self._tracker:
            self._tracker.reset()
        if self._flow:
            self._flow = SharedFlow()  # filters may still be at work on the last scene, with what is its own

    def _describe(self, frame: Frame) -> Frame:
        found = self._detector.push(frame.image) if self._detector else False
        if found:
            self._flow = SharedFlow()
        cut = found or frame.cut
        sigma = self._tracker.update(frame.image, cut) if self._tracker else None
        return frame.replace(cut=cut, flow=self._flow, sigma=sigma)
