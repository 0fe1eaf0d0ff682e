"""The shape of pictures and of their samples."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av

SAME = Fraction(1, 50)
"""The share by which shapes may differ and be the same."""


class ShapeWatch:
    """Sees each picture, and warns where they get another shape, as between old and new programmes of television.

    Attributes:
        sample: how wide a sample is for its height.
    """

    def __init__(self, told: Fraction | None, decoded: Fraction | None, warn: Callable[[str], None]) -> None:
        """`told` is what the container says, `decoded` what the decoder does before the first picture."""
        self.sample = told or Fraction(1)
        self._decoded, self._warn = decoded, warn
        self._last: Fraction | None = None

    def see(self, frame: av.VideoFrame, sample: Fraction | None, time: float) -> None:
        """Take the next picture, with the shape of its samples as far as it is known, and when it is shown."""
        shape = Fraction(frame.width, frame.height) * (sample or 1)
        before, self._last = self._last, shape
        if before is None:
            # A part may have another one than the beginning of the file.
            if self._decoded and sample and sample != self._decoded:
                self.sample = sample
        elif abs(shape / before - 1) >= SAME:
            old, new = (f"{s.numerator}:{s.denominator}" for s in (before, shape))
            self._warn(
                f"the pictures' shape changes from {old} to {new} at {time:.2f} s; one file holds one, so this part is "
                f"shown in the first; --start {time:.2f} cleans it by itself, and --duration what comes before"
            )
