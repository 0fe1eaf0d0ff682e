"""One camera from end to end: read, cleaned, encoded once, sent to all outputs; until it is told to stop."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vidnoise.api import open_chain
from vidnoise.errors import InputError
from vidnoise.io.protocols import mask
from vidnoise.live.cleaner import Cleaner, Shot
from vidnoise.live.ladder import ladder
from vidnoise.live.log import Voice
from vidnoise.live.output import Output
from vidnoise.live.pace import Pace, Turns
from vidnoise.live.packets import Packet
from vidnoise.live.recording import is_over, round_after
from vidnoise.live.region import Region, check
from vidnoise.live.settings import Settings
from vidnoise.live.source import Inbox, Opened, Source, Torn
from vidnoise.live.status import OutputStatus, Status

if TYPE_CHECKING:
    from vidnoise.chain import Chain
    from vidnoise.device import Device
    from vidnoise.filter import Stage
    from vidnoise.frame import StreamInfo
    from vidnoise.live.encode import LiveEncoder

WAKE = 0.2
"""Seconds between two looks at whether to stop."""

HANGS = 100.0
"""Seconds without a picture or a failure, beyond its timeout, after which a camera is given up.

FFmpeg waits so long for any packet, also of a program that has taken the place of the one that is read.
"""

SOUND = 500
"""Packets of sound that may wait for the pictures of their time."""


class Camera:
    """Runs one camera in the thread that calls `run`, with a thread for reading and a process for each output.

    Args:
        settings: what to run.
        turns: those of the cameras beside it.
        written: where this process has recorded; what is there is not replaced. Grows.
        hushed: see `vidnoise.live.log.Voice`.

    Attributes:
        settings: as given.
        status: how it is.
        places: its outputs.
    """

    def __init__(
        self,
        settings: Settings,
        turns: Turns | None = None,
        written: set[str] | None = None,
        hushed: bool = False,
    ) -> None:
        self.settings = settings
        self._turns = turns
        self.status = Status(settings.name, settings.timeout)
        self.log = Voice(settings.name, hushed)
        self._stop = threading.Event()
        self._written = set() if written is None else written
        self.places = [
            replace(place, overwrite=place.overwrite and place.where not in self._written)
            for place in settings.places()
        ]
        self.status.outputs = [OutputStatus(place.name) for place in self.places]
        self._inbox = Inbox(self._dropped)
        self._sound: deque[Packet] = deque(maxlen=SOUND)
        self._outputs: list[Output] = []
        self._encoder: LiveEncoder | None = None
        self._cleaner: Cleaner | None = None
        self._pace: Pace | None = None
        self._segment = next((place.segment for place in self.places if place.segment), None)
        self._piece_ends = 0.0
        self._until = math.inf

    def stop(self) -> None:
        """Ask it to end; from any thread, or a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Work until stopped, the duration is over, or the pipe that it reads has ended.

        Raises:
            InputError: the camera cannot be opened at the start, the tries are used up, or reading it hangs.
            VidnoiseError: a filter or the encoder failed.
        """
        self._device = _load(self.settings)
        source = Source(self.settings, self._inbox, self._sound.append, self.status, self._stop, self.log)
        reading = threading.Thread(target=source.run, name="vidnoise-camera", daemon=True)
        reading.start()
        try:
            self._work()
            self._finish()
            self.status.state, self.status.failure = "ended", ""
        finally:
            self._stop.set()
            source.taken.set()
            if self._cleaner is not None:
                self._cleaner.tell_dropped()
            self._close()
            reading.join(WAKE)

    def _work(self) -> None:
        silent = 0.0
        while not self._stop.is_set():
            item = self._inbox.take(WAKE)
            silent = 0.0 if item or self.status.state != "running" else silent + WAKE
            if silent > HANGS + self.settings.timeout and self.settings.source != "-":
                raise InputError(
                    f"{mask(self.settings.source)}: reading hangs; the sender may have changed its program, or the driver "
                    "of a local camera waits without end. Start vidnoise anew"
                )
            self.status.waiting = len(self._inbox)
            if isinstance(item, Opened):
                self._open(item)
            elif isinstance(item, Torn):
                self._give(self._cleaner.reset() if self._cleaner else [])
            elif item is not None:
                self._process(item)
            elif self._inbox.ended:
                return
            if time.monotonic() > self._until:
                return

    def _open(self, opened: Opened) -> None:
        """The first picture is known: make everything that depends on its size."""
        from vidnoise.live.encode import LiveEncoder

        settings = self.settings
        if settings.duration is not None:
            self._until = time.monotonic() + settings.duration
        check(opened.info, settings.roi, settings.ignore)
        self._encoder = LiveEncoder(opened.info, opened.audio, settings, self.log, opened.shape)
        opened.taken.set()
        chains = ladder(settings.filters)
        self._pace = Pace(len(chains), settings.max_delay, self._turns)
        info, device = opened.info, self._device

        def open(chain: Chain) -> Stage:
            def inner(info: StreamInfo) -> Stage:
                return open_chain(chain, info, device, settings.max_latency)

            if not chain.filters or not (settings.roi or settings.ignore):
                return inner(info)
            return Region(inner, info, settings.roi, settings.ignore)

        self._cleaner = Cleaner(chains, open, device, self._pace, self.status, self.log)

    def _process(self, shot: Shot) -> None:
        assert self._cleaner is not None
        assert self._pace is not None
        began = time.monotonic()
        self._give(self._cleaner.push(shot, len(self._inbox)))
        ended = time.monotonic()
        self._pace.worked(ended - began, ended)

    def _give(self, shots: list[Shot]) -> None:
        """Encode pictures and hand them to the outputs, with the sound of their time before them."""
        for shot in shots:
            assert self._encoder is not None
            frame = shot.frame
            at = Fraction(frame.pts or 0) * frame.time_base
            self._begin_piece()
            self._send(self._encoder.encode(frame, at))
            if frame.sigma is not None:
                self.status.sigma = 255 * float(frame.sigma.sigma.mean())
            self.status.gave(time.monotonic() - shot.arrival, cleaned=shot.cleaned)
            self.log.works()

    def _send(self, packets: list[Packet]) -> None:
        assert self._encoder is not None
        if self._encoder.head and not self._outputs:  # some encoders look ahead
            self._start_outputs()
        for packet in packets:
            self._put_sound(packet.seconds)
            self._put(packet)

    def _finish(self) -> None:
        """Give what filters and the encoder still hold."""
        if self._cleaner is not None and self._encoder is not None:
            self._give(self._cleaner.reset())
            self._send(self._encoder.finish())

    def _begin_piece(self) -> None:
        """Make a keyframe of the first picture after a round time: recordings begin their pieces there."""
        if self._segment is not None and is_over(self._piece_ends, time.time(), self._segment):
            assert self._encoder is not None
            self._encoder.want_key()
            self._piece_ends = round_after(time.time(), self._segment)

    def _start_outputs(self) -> None:
        assert self._encoder is not None
        self._written.update(place.where for place in self.places)
        self._outputs = [
            Output(
                place,
                self._encoder.head,
                patience=self.settings.timeout,
                most=self.settings.max_backoff,
                status=status,
                want_key=self._encoder.want_key,
                log=self.log,
            )
            for place, status in zip(self.places, self.status.outputs, strict=True)
        ]

    def _put_sound(self, until: Fraction) -> None:
        while self._sound and self._sound[0].seconds <= until:
            packet = self._sound.popleft()
            if self._encoder is not None:
                for made in self._encoder.pass_sound(packet):
                    self._put(made)

    def _put(self, packet: Packet) -> None:
        for output in self._outputs:
            output.put(packet)

    def _close(self) -> None:
        """End all outputs at once, so that the slowest alone counts."""
        closing = [threading.Thread(target=output.close) for output in self._outputs]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join()

    def _dropped(self) -> None:
        self.status.dropped += 1


def _load(settings: Settings) -> Device:
    """Choose the device and the threads; what is slow to import is there before the first picture comes."""
    import os

    import cv2
    import torch

    import vidnoise.colour
    import vidnoise.io.planes  # noqa: F401
    from vidnoise.device import choose

    # Threads that share one picture wait for the slowest of them: on a busy machine all of them were seen to take
    # four times as long as one alone.
    threads = settings.threads or max(1, len(os.sched_getaffinity(0)) // 2)
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    return choose(settings.device, settings.precision)


def summary(status: Status, seconds: float) -> dict[str, Any]:
    """What a run has done, as one record."""
    middle, late = status.delays((0.5, 0.99))
    return {
        "seconds": seconds,
        "frames_in": status.taken,
        "frames_out": status.given,
        "passed": status.passed,
        "dropped": status.dropped,
        "damaged": status.damaged,
        "reconnects": status.reconnects,
        "delay_median": middle,
        "delay_99": late,
        "tier": status.tier,
        "filters": status.filters,
        "noise": status.sigma,
        "outputs": [
            {"name": o.name, "reconnects": o.reconnects, "dropped": o.dropped, "bytes": o.bytes}
            for o in status.outputs
        ],
    }
