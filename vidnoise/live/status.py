"""How a camera is: counts and times, kept by the engine and read by metrics, logs and the summary."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

SAMPLES = 1000
"""The last pictures, whose delays the percentiles are of."""


@dataclass
class OutputStatus:
    """One output: whether it is open, how often it was opened again, pictures dropped, bytes sent.

    `failing` says since when it fails again and again, None where it works.
    """

    name: str
    connected: bool = False
    reconnects: int = 0
    dropped: int = 0
    bytes: int = 0
    failing: float | None = None

    def healthy(self, patience: float) -> bool:
        """Whether it has not failed again and again for `patience` seconds."""
        return self.failing is None or time.monotonic() - self.failing < patience


@dataclass
class Status:
    """One camera. Each field has one writer, so that no lock is needed.

    `state` is "connecting", "running", "waiting" (for the next try) or "ended". `taken` counts pictures of the
    camera, `given` those that went to the outputs, of which `passed` were not cleaned; `dropped` were left out.
    `failure` says why it is connecting, waiting or has ended; empty where nothing failed.
    `tier` counts how far the filters have been made cheaper, 0 for what was asked for; `filters` says them. `timeout` are
    the seconds for which the camera may send nothing.
    """

    name: str
    timeout: float = 0.0
    state: str = "connecting"
    taken: int = 0
    given: int = 0
    passed: int = 0
    dropped: int = 0
    damaged: int = 0
    connects: int = 0
    tier: int = 0
    filters: str = ""
    sigma: float = 0.0
    waiting: int = 0
    last: float | None = None
    failure: str = ""
    outputs: list[OutputStatus] = field(default_factory=list)
    _delays: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    _taken_at: deque[float] = field(default_factory=lambda: deque(maxlen=100))
    _given_at: deque[float] = field(default_factory=lambda: deque(maxlen=100))

    @property
    def reconnects(self) -> int:
        """How often the camera came back."""
        return max(0, self.connects - 1)

    @property
    def is_given_up(self) -> bool:
        """Whether it has ended, and not as it should."""
        return self.state == "ended" and bool(self.failure)

    @property
    def fps_in(self) -> float:
        """Pictures a second that come, of late."""
        return _rate(self._taken_at)

    @property
    def fps_out(self) -> float:
        """Pictures a second that go, of late."""
        return _rate(self._given_at)

    def took(self, arrival: float) -> None:
        """A picture has come."""
        self.taken += 1
        self._taken_at.append(arrival)

    def gave(self, delay: float, *, cleaned: bool) -> None:
        """A picture has gone to the outputs, `delay` seconds after it came."""
        now = time.monotonic()
        self.given += 1
        self.passed += not cleaned
        self.last = now
        self._delays.append(delay)
        self._given_at.append(now)

    def delays(self, shares: Sequence[float]) -> list[float]:
        """Percentiles of the last pictures' delays in seconds, for shares in 0..1; zeros before the first."""
        known = sorted(self._delays)
        if not known:
            return [0.0 for _ in shares]
        return [known[min(len(known) - 1, int(share * len(known)))] for share in shares]

    def healthy(self, patience: float) -> bool:
        """Whether a picture has gone out within the last `patience` seconds, or more where the camera may take longer.

        One output that works is enough: who starts a camera anew where it is not well would harm that one. So is an end
        that was asked for.
        """
        if self.state == "ended":
            return not self.is_given_up
        goes = self.last is not None and time.monotonic() - self.last < max(patience, self.timeout)
        return goes and any(output.healthy(patience) for output in self.outputs)


def _rate(times: deque[float]) -> float:
    recent = [t for t in list(times) if time.monotonic() - t < 10]
    if len(recent) < 2 or recent[-1] <= recent[0]:
        return 0.0
    return (len(recent) - 1) / (recent[-1] - recent[0])
