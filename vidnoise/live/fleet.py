"""Several cameras in one process, none of which disturbs another."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Mapping

from vidnoise.errors import VidnoiseError, class_and_text
from vidnoise.live.backoff import Backoff
from vidnoise.live.camera import Camera
from vidnoise.live.pace import Turns
from vidnoise.live.settings import Settings
from vidnoise.live.source import GivenUp
from vidnoise.live.status import Status

ENDING = 1.7
"""Seconds that all cameras together may take to end."""

LOG = logging.getLogger("vidnoise.live")


class Keeper:
    """One camera in a thread of its own; whatever ends it, it is started again, unless it shall be given up.

    Args:
        settings: of the camera.
        turns: those of the cameras beside it.
        written: where this process has recorded, by any camera; `overwrite` is not meant for that.

    Attributes:
        settings: as given.
        status: how the camera is.
    """

    def __init__(self, settings: Settings, turns: Turns, written: set[str]) -> None:
        self.settings = settings
        self._written = written
        self._turns = turns
        self.status = Status(settings.name)
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._camera: Camera | None = None
        self._hushed = False
        self._thread = threading.Thread(target=self._run, name=f"vidnoise-{settings.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end."""
        with self._lock:
            self._ending.set()
            if self._camera is not None:
                self._camera.stop()

    def join(self, timeout: float) -> None:
        """Wait for its end."""
        self._thread.join(timeout)

    def _run(self) -> None:
        backoff = Backoff(self.settings.max_backoff)
        while not self._ending.is_set():
            began = time.monotonic()
            failure = self._once()
            if failure is None:
                return
            _free()
            backoff.worked(time.monotonic() - began if self.status.given else 0.0)
            self.status.state, self.status.failure = "waiting", failure
            wait = backoff.next()
            level = backoff.level(failure)
            self._hushed = level == logging.DEBUG
            LOG.log(level, "%s; starting anew in %.1f s", failure, wait, extra={"camera": self.settings.name})
            self._ending.wait(wait)

    def _once(self) -> str | None:
        """Run it once; what it failed with, in words: the failure itself would hold on to its pictures."""
        try:
            with self._lock:
                if self._ending.is_set():
                    return None
                self._camera = Camera(self.settings, self._turns, self._written, self._hushed)
                self.status = self._camera.status
            self._camera.run()
        except GivenUp as failure:
            self.status.state, self.status.failure = "ended", str(failure)
            LOG.warning("%s", failure, extra={"camera": self.settings.name})
        except VidnoiseError as failure:
            return str(failure)
        except BaseException as failure:
            return class_and_text(failure)
        finally:
            with self._lock:
                self._camera = None
        return None


class Fleet:
    """The cameras that run now. All use the same weights: networks are loaded once in a process."""

    def __init__(self) -> None:
        self._keepers: dict[str, Keeper] = {}
        self._turns = Turns()
        self._written: set[str] = set()

    def statuses(self) -> list[Status]:
        """How each camera is."""
        return [keeper.status for keeper in list(self._keepers.values())]

    def become(self, wanted: Mapping[str, Settings]) -> None:
        """Start what is new or given up, end what is gone, start anew what has changed; the others go on undisturbed."""
        gone = [
            keeper
            for name, keeper in self._keepers.items()
            if wanted.get(name) != keeper.settings or keeper.status.is_given_up
        ]
        _end(gone)
        if gone:
            _free()
        kept = {name: keeper for name, keeper in self._keepers.items() if keeper not in gone}
        self._keepers = {
            name: kept.get(name) or Keeper(settings, self._turns, self._written)
            for name, settings in wanted.items()
        }

    def close(self) -> None:
        """End all."""
        _end(list(self._keepers.values()))


def _free() -> None:
    """Give back what cameras that have ended leave behind.

    Their parts hold each other, and Python looks for such things by their number, not by their size: a few starts of a
    camera would take all memory.
    """
    gc.collect()


def _end(keepers: list[Keeper]) -> None:
    for keeper in keepers:
        keeper.stop()
    until = time.monotonic() + ENDING
    for keeper in keepers:
        keeper.join(max(0.0, until - time.monotonic()))
