"""One output of a camera, seen from the engine: a process that is fed, watched and started again."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import IO, Any

from vidnoise.errors import UsageError
from vidnoise.live.backoff import Backoff
from vidnoise.live.destination import Destination, filled
from vidnoise.live.packets import VIDEO, Packet
from vidnoise.live.seldom import Seldom
from vidnoise.live.status import OutputStatus

LONGEST_QUEUE = 1000
"""Packets that may wait for an output; beyond, all are dropped up to the next keyframe.

For a receiver none waits longer than its patience either.
"""

SLOW = "it is too slow for what the camera sends; pictures up to the next keyframe are left out"

CLOSING = 1.0
"""Seconds that an output may take to close."""

STARTING = 15.0
"""Seconds that its process may take before its own alarm clock runs; imports take long on a busy machine."""

PIPE = 4096
"""Bytes between the engine and the process: few, so that a process that reads no more is soon noticed."""


class Output:
    """Packets to one destination. `put` never waits; what cannot be sent is dropped up to a keyframe, and counted.

    Args:
        place: where to.
        head: see `vidnoise.live.mux.Muxer`.
        patience: seconds without progress after which the process is given up.
        most: the longest wait between two tries, in seconds.
        status: counts are kept there.
        want_key: called when the next picture should be a keyframe, since a receiver has just come.
        log: where to say what happens.
    """

    def __init__(
        self,
        place: Destination,
        head: bytes,
        *,
        patience: float,
        most: float,
        status: OutputStatus,
        want_key: Callable[[], None],
        log: logging.LoggerAdapter[Any],
    ) -> None:
        self._place = place
        self._head = head
        self._patience = patience
        self._backoff = Backoff(most)
        self._most = most
        self._warned = Seldom()
        self._status = status
        self._want_key = want_key
        self._log = log
        self._waiting: deque[tuple[float, Packet]] = deque()  # since when, and what
        self._changed = threading.Condition()
        self._broken = True
        self._open = False
        self._ending = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._writing = math.inf  # since when the process is being written to
        self._hangs = False
        self._opened_at = math.inf
        self._said = ""
        self._thread = threading.Thread(target=self._run, name="vidnoise-output", daemon=True)
        self._thread.start()

    def put(self, packet: Packet) -> None:
        """Hand over a packet."""
        self._watch()
        with self._changed:
            if self._broken and (packet.stream != VIDEO or not packet.key):
                self._status.dropped += packet.stream == VIDEO
                return
            self._broken = False
            if len(self._waiting) >= LONGEST_QUEUE or self._is_late():
                self._drop_waiting()
                # A receiver that does not answer yet is not slow.
                if self._open or self._place.kind != "network":
                    self._log.log(self._warned.level(SLOW), "output %s: %s", self._place.name, SLOW)
                return
            self._waiting.append((time.monotonic(), packet))
            self._changed.notify_all()

    def _is_late(self) -> bool:
        """Whether a receiver is behind by more than its patience, which wants what happens now; a recording wants all."""
        if not self._waiting or self._place.kind != "network":
            return False
        return time.monotonic() - self._waiting[0][0] > self._patience

    def _watch(self) -> None:
        """End a process that has read nothing for twice its patience; its own alarm clock does before, if it runs."""
        waited = time.monotonic() - self._writing
        if self._child is None or waited < 2 * self._patience:
            return
        self._child.send_signal(signal.SIGALRM)
        self._child.send_signal(signal.SIGCONT)  # one that is stopped dies only when it goes on
        if not self._hangs and waited > 3 * self._patience:
            self._hangs, self._status.connected = True, False
            self._status.failing = self._status.failing or self._writing
            text = f"nothing is written for {3 * self._patience:g} s, and its process cannot be ended; the disk may hang"
            self._log.log(self._warned.level(text), "output %s: %s", self._place.name, text)

    def _drop_waiting(self) -> None:
        """Leave out what waits, and what comes up to the next keyframe."""
        self._status.dropped += sum(packet.stream == VIDEO for _, packet in self._waiting)
        self._waiting.clear()
        self._broken = True

    def close(self) -> None:
        """Send what waits, end the process and wait for it: `CLOSING` seconds, and those in which a file is opened."""
        with self._changed:
            self._ending.set()
            self._changed.notify_all()
            opening, network = not self._open, self._place.kind == "network"
        if opening and network and self._child is not None:
            self._child.kill()  # nobody has seen anything of it
        self._thread.join(STARTING if opening and not network else CLOSING)
        if self._thread.is_alive() and self._child is not None:
            self._child.kill()
            self._thread.join(CLOSING)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                self._once()
            except (OSError, ValueError, UsageError) as failure:
                self._said = self._said or str(failure)
            if self._ending.is_set():
                return
            self._backoff.worked(time.monotonic() - self._opened_at)
            wait = self._backoff.next()
            self._status.failing = self._status.failing or time.monotonic()
            self._status.reconnects += 1
            level = self._backoff.level(self._said)
            self._log.log(level, "output %s: %s; trying again in %.1f s", self._place.name, self._said, wait)
            self._ending.wait(wait)

    def _once(self) -> None:
        """Start a process and feed it until either ends."""
        self._said, self._hangs = "", False
        self._opened_at = math.inf
        place = filled(self._place)
        child = self._child = subprocess.Popen(
            [sys.executable, "-m", "vidnoise.live.sender"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pipesize=PIPE,
            # Signals of the terminal are for the engine; it ends the output when the last picture is through.
            start_new_session=True,
        )
        self._said = "it has ended"
        assert child.stdin is not None
        assert child.stdout is not None
        listener = threading.Thread(target=self._listen, args=(child.stdout,), daemon=True)
        listener.start()
        self._writing = time.monotonic() + STARTING
        try:
            for setting in (place, self._head, self._patience):
                pickle.dump(setting, child.stdin)
            child.stdin.flush()
            self._feed(child, child.stdin)
        finally:
            self._end(child, child.stdin)
            listener.join()
            child.stdout.close()
            self._status.connected = self._open = False

    def _feed(self, child: subprocess.Popen[bytes], pipe: IO[bytes]) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._is_ready, timeout=0.5)
                packet = self._waiting.popleft()[1] if self._open and self._waiting else None
                if packet is None and (child.poll() is not None or self._is_done()):
                    return
            if packet is not None:
                self._writing = time.monotonic()
                pickle.dump(packet, pipe)
                pipe.flush()
                self._writing = math.inf
                self._status.bytes += len(packet.data)
                if time.monotonic() - self._opened_at > self._most:
                    self._status.failing = None

    def _is_ready(self) -> bool:
        return self._ending.is_set() or (self._open and bool(self._waiting))

    def _is_done(self) -> bool:
        """Whether it shall end and nothing is owed; what waits for a file that is not open yet is."""
        return self._ending.is_set() and not (self._waiting and self._place.kind != "network")

    def _end(self, child: subprocess.Popen[bytes], pipe: IO[bytes]) -> None:
        self._writing = math.inf
        self._status.connected = self._open = False
        with self._changed:
            self._drop_waiting()
        with contextlib.suppress(OSError):
            pipe.close()
        try:
            status = child.wait(self._patience)
        except subprocess.TimeoutExpired:
            child.kill()
            status = child.wait()
        if status == -signal.SIGALRM:
            self._said = f"no progress for {self._patience:g} s"
        elif status < 0:
            self._said = f"its process was ended by {signal.Signals(-status).name}"

    def _listen(self, answers: IO[bytes]) -> None:
        for line in answers:
            answer = json.loads(line)
            if "warning" in answer:
                warning = answer["warning"]
                self._log.log(self._warned.level(warning), "output %s: %s", self._place.name, warning)
            if "failed" in answer:
                self._said = answer["failed"]
            if "open" in answer:
                self._opened()

    def _opened(self) -> None:
        self._log.log(self._backoff.back(), "output %s: open", self._place.name)
        self._opened_at = time.monotonic()
        self._status.connected = True
        self._place = replace(self._place, overwrite=False)  # what is recorded from now on stays
        self._writing = math.inf
        with self._changed:
            self._open = True
            if self._place.kind == "network":
                # A receiver can begin with a keyframe alone; of a recording nothing is left out.
                self._waiting.clear()
                self._broken = True
                self._want_key()
            self._changed.notify_all()
