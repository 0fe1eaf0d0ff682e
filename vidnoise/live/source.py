"""Pictures of a camera without end: connects, reads, and connects again whatever happens."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

from vidnoise.errors import InputError, UsageError, VidnoiseError
from vidnoise.frame import Frame, StreamInfo
from vidnoise.io.decode import layout_of
from vidnoise.io.shape import Conformer
from vidnoise.live.backoff import Backoff
from vidnoise.live.cleaner import Shot
from vidnoise.live.clock import BASE, OutputClock
from vidnoise.live.connection import Connection
from vidnoise.live.fields import Fields
from vidnoise.live.packets import AUDIO, Packet
from vidnoise.live.seldom import Seldom
from vidnoise.live.settings import Settings
from vidnoise.live.sound import bare
from vidnoise.live.status import Status

LONGEST_INBOX = 200
"""Pictures that may wait for the filters, whatever their delay; the oldest are dropped beyond."""


SILENCE = 10.0
"""Seconds without sound, while pictures come, after which that is told; of a pause in both at most half of it counts."""

SILENT = "no sound comes any more; pictures go on, and so does the sound when it is back"


class GivenUp(InputError):
    """The tries that the user allows are used up."""


class Opened(NamedTuple):
    """What the first connection has found.

    Attributes:
        info: the pictures, as all later ones are brought to.
        shape: how wide a sample is for its height.
        audio: the stream of sound, or None; gone with the connection, which lasts until `taken` is set.
        taken: to be set when nothing more is read from the stream.
    """

    info: StreamInfo
    shape: Fraction
    audio: Any
    taken: threading.Event


class Torn:
    """Stands in the inbox where the connection was lost."""


class Inbox:
    """Pictures between the thread that reads and the one that filters. Putting never waits."""

    def __init__(self, dropped: Callable[[], None]) -> None:
        self._items: deque[Shot | Opened | Torn] = deque()
        self._changed = threading.Condition()
        self._dropped = dropped
        self._failure: BaseException | None = None
        self._closed = False

    def put(self, item: Shot | Opened | Torn) -> None:
        """Add one at the end."""
        with self._changed:
            if len(self._items) >= LONGEST_INBOX:
                oldest = self._items.popleft()
                if isinstance(oldest, Shot):
                    self._dropped()
            self._items.append(item)
            self._changed.notify_all()

    def take(self, timeout: float) -> Shot | Opened | Torn | None:
        """The next, or None after `timeout` seconds, or once it is closed and empty.

        Raises:
            The failure that it was closed with.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout)
            if self._items:
                return self._items.popleft()
            if self._failure is not None:
                raise self._failure
            return None

    @property
    def ended(self) -> bool:
        """Whether it is closed and empty."""
        return self._closed and not self._items

    def close(self, failure: BaseException | None = None) -> None:
        """Nothing more will come."""
        with self._changed:
            self._failure, self._closed = failure, True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._items)


class Source:
    """The reading side of one camera.

    All pictures are brought to size, format and colour of the first one, whatever comes back after a reconnect.

    Args:
        settings: of the camera.
        inbox: where pictures go.
        hear: takes packets of sound, on the output's clock.
        status: counts are kept there.
        stop: ends it.
        log: where to say what happens.

    Attributes:
        taken: set it when nobody will read from what was `Opened` any longer.
    """

    def __init__(
        self,
        settings: Settings,
        inbox: Inbox,
        hear: Callable[[Packet], None],
        status: Status,
        stop: threading.Event,
        log: logging.LoggerAdapter[Any],
    ) -> None:
        self._settings = settings
        self._inbox = inbox
        self._hear = hear
        self._status = status
        self._stop = stop
        self._log = log
        self._clock = OutputClock(paced=settings.source != "-")
        self._warnings: list[str] = []
        self._conform = Conformer(self._warnings, "; it goes out as it was at the start", colours=True)
        self._sound = ""
        self._heard = Fraction(-1)
        self._hears = False
        self._seen_at = 0.0  # when the last picture came
        self._quiet = 0.0  # seconds without sound until then
        self._silent: int | None = None  # how loud it was told
        self._backoff = Backoff(settings.max_backoff)
        self._began = math.inf  # when this connection has given its first picture
        self._warned = Seldom()
        self._shown: Fraction | None = None
        self._seen = False
        self._over = False
        self.taken = threading.Event()

    def run(self) -> None:
        """Read until told to stop, or a pipe is at its end; in a thread of its own."""
        try:
            while not self._stop.is_set() and not self._over:
                self._attempt()
        except BaseException as failure:
            self._inbox.close(failure)
        else:
            self._inbox.close()

    def _attempt(self) -> None:
        """One connection, from its opening to the wait after its failure."""
        self._began = math.inf
        try:
            self._status.state = "connecting"
            settings = self._settings
            with Connection(
                settings.source, transport=settings.transport, timeout=settings.timeout, shown=self._shown
            ) as camera:
                try:
                    self._read(camera)
                finally:
                    self._shown = camera.shown
                    if self._seen:
                        self.taken.wait()
        except (InputError, UsageError) as failure:  # a password's file may be missing while it is replaced
            self._inbox.put(Torn())
            self._meet(failure)

    def _meet(self, failure: VidnoiseError) -> None:
        """Wait before the next try, or give up. A pipe that has ended does not come back.

        Raises:
            VidnoiseError: the failure, where there shall be no further try.
        """
        settings, self._status.failure = self._settings, str(failure)
        if not self._seen and not settings.wait:
            raise failure
        if settings.source == "-":
            if not self._seen:
                raise failure
            self._over = True
            self._log.info("%s", failure)
            return
        self._backoff.worked(time.monotonic() - self._began)
        if settings.retries is not None and self._backoff.tries >= settings.retries:
            raise GivenUp(f"{failure}; given up (--retries {settings.retries})") from failure
        wait = self._backoff.next()
        self._status.state = "waiting"
        self._log.log(self._backoff.level(str(failure)), "%s; trying again in %.1f s", failure, wait)
        self._stop.wait(wait)

    def _read(self, camera: Connection) -> None:
        first = cut = True
        fields = Fields(camera.video.codec_context.field_order, self._warn)
        self._clock.connect()
        try:
            for item in camera:
                if self._stop.is_set():
                    return
                if hasattr(item, "stream_index"):
                    self._pass_sound(item)
                    continue
                if first:
                    self._begin(camera, item)
                first = False
                if camera.jumped:
                    self._clock.connect()
                    camera.jumped = False
                if camera.torn:
                    self._see_all(camera, fields.flush(), cut)
                    cut, camera.torn = True, False
                whole = [item] if self._settings.assume_progressive else fields.push(item)
                cut = self._see_all(camera, whole, cut)
                self._status.damaged += camera.losses.packets + camera.losses.frames
                camera.losses.packets = camera.losses.frames = 0
        except InputError:
            self._see_all(camera, fields.flush(), cut)  # the last one
            raise

    def _begin(self, camera: Connection, picture: Any) -> None:
        """The first picture of a connection is there."""
        self._began = self._seen_at = time.monotonic()
        self._status.connects += 1
        self._status.state, self._status.failure = "running", ""
        size = f"{picture.width}x{picture.height} {camera.video.codec_context.name}"
        self._log.log(self._backoff.back(), "connected: %s", size)
        audio = camera.audio if self._settings.audio == "copy" else None
        if not self._seen:
            self._seen = True
            shape = _shape(camera.video)
            picture = self._conform(picture, shape)
            self._sound = _kind(audio)
            self._inbox.put(Opened(_describe(camera, picture), shape, audio, self.taken))
            if camera.mute and self._settings.audio == "copy":
                self._warn("the camera announces sound and sends none; only a new start takes it along")
        elif not self._sound and audio is not None:
            self._warn(
                "the camera sends sound now, which it did not at the start; only a new start takes it along"
            )
        elif _kind(audio) != self._sound:
            self._warn(
                f"the sound is {_kind(audio) or 'gone'} now; it goes out again when it is {self._sound}"
            )
        self._hears, self._quiet = bool(self._sound) and _kind(audio) == self._sound, 0.0

    def _warn(self, text: str) -> None:
        self._log.log(self._warned.level(text), "%s", text)

    def _see_all(self, camera: Connection, pictures: list[Any], cut: bool) -> bool:
        """Pass pictures on, the first of them after a cut or not; whether the cut is still to come."""
        for picture in pictures:
            self._see(picture, _shape(camera.video), cut)
            cut = False
        return cut

    def _see(self, picture: Any, shape: Fraction, torn: bool) -> None:
        from vidnoise.io.colour_tags import colour_of
        from vidnoise.io.planes import planes_of

        arrival = time.monotonic()
        placed = self._clock.place(picture.pts * picture.time_base)
        picture = self._conform(picture, shape)
        for warning in self._warnings:
            self._warn(warning)
        self._warnings.clear()
        planes, format = planes_of(picture)
        frame = Frame(
            pts=round(placed / BASE),
            time_base=BASE,
            planes=planes,
            format=format,
            colour=colour_of(picture),
            cut=torn or self._conform.changed,
        )
        self._status.took(arrival)
        self._inbox.put(Shot(frame, arrival))
        self._quiet += min(arrival - self._seen_at, SILENCE / 2)
        self._seen_at = arrival
        if self._hears and self._silent is None and self._quiet > SILENCE:
            self._silent = self._warned.level(SILENT)
            self._log.log(self._silent, SILENT)

    def _pass_sound(self, packet: Any) -> None:
        """Put a packet of sound on the output's clock, where it is of the kind that the outputs know."""
        if not self._seen or not self._hears or packet.pts is None:
            return
        self._quiet = 0.0
        if self._silent is not None:
            self._log.log(min(logging.INFO, self._silent), "sound comes again")
            self._silent = None
        base: Fraction = packet.time_base
        placed = self._clock.beside(packet.pts * base)
        data = bare(packet)
        if placed is None or placed <= self._heard or not data:
            return
        self._heard = placed
        self._hear(Packet(AUDIO, round(placed / base), base, packet.duration or 0, True, data))


def _kind(audio: Any) -> str:
    """What a stream of sound holds; empty where there is none."""
    if audio is None:
        return ""
    context = audio.codec_context
    return f"{context.name} at {context.sample_rate} Hz, {context.layout.name}"


def _shape(video: Any) -> Fraction:
    """How wide a sample is for its height, as the data or the container tells it."""
    return video.codec_context.sample_aspect_ratio or video.sample_aspect_ratio or Fraction(1)


def _describe(camera: Connection, picture: Any) -> StreamInfo:
    from vidnoise.io.colour_tags import colour_of
    from vidnoise.io.planes import pixel_format

    return StreamInfo(
        width=picture.width,
        height=picture.height,
        time_base=BASE,
        rate=camera.video.average_rate or camera.video.guessed_rate,
        format=pixel_format(layout_of(picture)),
        colour=colour_of(picture),
    )
