"""One connection to a camera: from opening it to its first failure."""

from __future__ import annotations

import errno
import io
import math
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vidnoise.errors import InputError
from vidnoise.io import variants
from vidnoise.io.continuity import Continuity
from vidnoise.io.decode import Decoder, Losses
from vidnoise.io.failures import reason
from vidnoise.io.picture_tags import ends_early
from vidnoise.io.protocols import Location, locate, mask
from vidnoise.io.streams import is_cover
from vidnoise.live import hosts, local, sound
from vidnoise.live.secrets import fill

if TYPE_CHECKING:
    import av

SETTLE = 0.05
"""Seconds after opening in which pictures come that had piled up: only the newest of them counts, but in a pipe all."""

PLAYLIST_WAIT = 30.0
"""Seconds for which a playlist (HLS) may have nothing new: its pieces are several seconds long."""

KEYFRAME_WAIT = 30.0
"""Seconds in which something must come to begin with, where packets come: some cameras send a keyframe every ten or so."""

SELDOM = "if it sends so seldom, raise --timeout"
BY_UDP = "if a firewall keeps UDP away, take --transport tcp; " + SELDOM

PIPE = "no video comes through the pipe; look at what writes into it, or raise --timeout"

REPEATED = 60
"""Seconds of pictures that a playlist may give again to who connects again: its last three pieces."""

REPEATING = 15.0
"""Seconds that this may take, as they come at once; what comes later is of a sender that was started again."""

QUICKER = 0.001
"""The share by which a playlist is read quicker than it is dated, so that a camera whose clock is quick is kept up with."""

SKIPPED = 1.0
"""Seconds from one picture to the next beyond which pieces were missed: who waits for that long misses the next ones.

Cameras that send less than one picture a second take as long each time.
"""

NEARER = {"mp1": "mp3", "mp2": "mp3", "mpeg1video": "mpeg2video"}
"""Codecs that a transport stream does not tell apart; which it is shows in the data, when they come."""

UNDATED = ("mpjpeg", "mjpeg", "jpeg_pipe", "h264", "hevc")
"""JPEGs one after another, in parts or not, and bare H.264 and H.265 hold no times; FFmpeg invents 25 a second or so."""

SNAPSHOT = "it gives one picture a connection; look for the path of its stream in the camera's manual"

BROKEN = (errno.EIO, errno.EPIPE, errno.ECONNRESET)
"""What FFmpeg calls a connection that ends without a word."""

BROKE = "the connection broke off"

IN_A_ROW = 3
"""Packets of sound in another form after which it is no damage."""

MICRO = 1_000_000


class Connection:
    """An opened camera. Iterate it once: decoded pictures (`av.VideoFrame`) and packets of its sound, as they come.

    All carry the camera's own times, in which a jump of its clock is mended. The iteration never ends well: it
    raises when the camera stalls, ends or fails.

    Args:
        source: a URL, a device, or `-`.
        transport: "tcp" or "udp", for RTSP.
        timeout: seconds to wait for an answer or a picture.
        shown: as the connection before has left it, so that a playlist shows nothing twice.

    Attributes:
        video: the stream that is decoded.
        audio: the stream of sound, or None.
        mute: whether sound is announced and none has come, so that nobody knows what it is.
        torn: whether the last picture follows on a loss; whoever reads it clears it.
        shown: the camera's time of the last picture in seconds, None before the first.
        jumped: whether the camera's clock has jumped before the last picture; whoever reads it clears it.

    Raises:
        InputError: it cannot be opened; the text says why in words, without passwords.
        UsageError: the protocol is not allowed, or a password is not where it should be.
    """

    def __init__(self, source: str, *, transport: str, timeout: float, shown: Fraction | None = None) -> None:
        import av

        self._before = self.shown = shown

        place = locate(fill(source))
        self._is_pipe = place.kind == "stdin"
        self.name = place.name if self._is_pipe else mask(source)
        self._settle = 0.0 if self._is_pipe else SETTLE
        playlist = place.url.split("?")[0].endswith(".m3u8")
        self._patience = max(timeout, PLAYLIST_WAIT) if playlist else timeout
        self._advice = BY_UDP if place.url.startswith("rtsp") and transport == "udp" else SELDOM
        began = time.monotonic()
        try:
            self._container: Any = av.open(
                place.url,
                format=place.format,
                options=place.options | _options(place, transport, timeout),
                timeout=(timeout, self._patience),
                metadata_errors="replace",
            )
        except (av.error.FFmpegError, OSError, ValueError) as failure:
            late = time.monotonic() - began >= timeout
            raise InputError(f"{self.name}: {_why_closed(failure, place, timeout, late)}") from failure
        try:
            self._choose()
            self._begin()
        except BaseException:
            self.close()
            raise

    def _choose(self) -> None:
        videos = [s for s in self._container.streams.video if not is_cover(s) and s.codec_context]
        if not videos:
            raise InputError(f"{self.name}: it sends no video that can be decoded")
        self.video: Any = variants.best(videos)
        beside = self._container.streams.best("audio", related=self.video)
        sounds = [s for s in (beside, *self._container.streams.audio) if s and s.codec_context]
        self.audio: Any = next((s for s in sounds if _is_known(s.codec_context)), None)
        self.mute = bool(sounds) and self.audio is None
        self._streams = [stream for stream in (self.video, self.audio) if stream is not None]
        self._paced = "hls" in self._container.format.name
        if self._paced:
            variants.leave_out(self._container, self.video, self.audio)
        # A playlist whose length is known would give its last pieces again and again.
        if self._paced and self._container.duration is not None:
            raise InputError(
                f"{self.name}: the playlist is at its end, and goes on when its sender does; to clean a recording, "
                "leave out --live"
            )

    def _begin(self) -> None:
        context = self.video.codec_context
        context.thread_type = "SLICE"  # threads by frames would hold back a frame each
        self._decoder = Decoder(context, Losses())
        self._is_jpeg = context.name == "mjpeg"
        self._continuity = Continuity(self._container.format.name)
        self._undated = self._container.format.name in UNDATED
        self._dated: tuple[int, Fraction | None] | None = None
        self._repeats_until = time.monotonic() + REPEATING
        self._kinds = {stream.index: _kind(stream) for stream in self._streams}
        self._form, self._others = "", 0
        self._count = 0
        self.torn = self.jumped = False

    @property
    def losses(self) -> Losses:
        """What damage has cost in this connection so far."""
        return self._decoder.losses

    def __iter__(self) -> Iterator[Any]:
        import av

        held: av.VideoFrame | None = None
        settled = time.monotonic() + self._settle
        try:
            for item in self._items():
                if held is not None and time.monotonic() >= settled:
                    yield held
                    held = None
                if isinstance(item, av.VideoFrame) and time.monotonic() < settled:
                    held = item
                    continue
                yield item
        except InputError:
            if held is not None:
                yield held
            raise

    def close(self) -> None:
        """Hang up."""
        self._container.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _items(self) -> Iterator[Any]:
        import av

        try:
            yield from self._read()
        except (av.error.FFmpegError, OSError) as failure:
            silence = f"nothing came for {self._patience:g} s; the camera hangs, or the network between; {self._advice}"
            raise InputError(f"{self.name}: {_why(failure, silence)}") from failure
        except IndexError:
            pass  # PyAV at the end of a stream in which others have appeared on the way
        alone = self._count == 1 and self._is_jpeg and not self._is_pipe
        raise InputError(f"{self.name}: {SNAPSHOT if alone else 'the camera has ended the stream'}")

    def _read(self) -> Iterator[Any]:
        seen, patience = time.monotonic(), max(self._patience, KEYFRAME_WAIT)
        pace = _Pace() if self._paced else None
        for packet in self._container.demux(self._streams):
            if time.monotonic() - seen > patience:
                raise InputError(
                    f"{self.name}: no picture for {patience:g} s; the camera hangs, or the network loses too much; "
                    f"{self._advice}"
                )
            is_video = packet.stream_index == self.video.index
            # At the end the video has an empty one, for which the decoder gives what it holds.
            if not packet.size and not is_video:
                continue
            self._refuse_other(packet.stream)
            self.jumped |= self._continuity.join(packet)
            if is_video:
                for frame in self._pictures(packet):
                    if pace:
                        pace.wait(frame)
                    seen, patience = time.monotonic(), self._patience
                    yield frame
            elif not self._is_other_sound(packet):
                yield packet

    def _pictures(self, packet: Any) -> Iterator[av.VideoFrame]:
        """Those that are to be shown, with their times."""
        if self._is_jpeg and ends_early(bytes(packet)):
            self.losses.frames += 1
        for frame in self._decoder.decode(packet):
            self._count += 1
            self._date(frame, time.monotonic())
            if self._is_old(frame):
                continue
            self.torn, self._decoder.gap = self.torn or self._decoder.gap, False
            yield frame

    def _date(self, frame: av.VideoFrame, now: float) -> None:
        """Where a loss has taken a picture's time along, it repeats that of the one before."""
        if frame.pts is None and self._dated is not None:
            frame.pts, frame.time_base = self._dated
        elif frame.pts is None or self._undated:
            frame.pts, frame.time_base = round(now * MICRO), Fraction(1, MICRO)
        self._dated = frame.pts, frame.time_base

    def _is_old(self, frame: av.VideoFrame) -> bool:
        """Whether a playlist gives what it gave before; one whose sender is gone would do so without end."""
        assert frame.pts is not None
        assert frame.time_base is not None
        at = frame.pts * frame.time_base - self._continuity.offset
        repeats = self._paced and time.monotonic() < self._repeats_until
        if repeats and self._before is not None and 0 <= self._before - at < REPEATED:
            return True
        self._before, self.shown = None, at
        return False

    def _refuse_other(self, stream: Any) -> None:
        """Transport streams may change the codec on the way; the decoder would make noise of it."""
        known, kind = self._kinds[stream.index], _kind(stream)
        if kind != known:
            raise InputError(f"{self.name}: it sends {kind} in place of {known} now")

    def _is_other_sound(self, packet: Any) -> bool:
        """Whether a packet of sound is not of the first one's form: the sender was started again, or it is damage.

        Raises:
            InputError: it was started again; a pipe goes on without sound, since there is no connecting again.
        """
        form = sound.form(packet)
        self._form = self._form or form
        if not form:
            return False
        self._others = 0 if form == self._form else self._others + 1
        if self._others >= IN_A_ROW and not self._is_pipe:
            raise InputError(f"{self.name}: it sends {form} in place of {self._form} now")
        return self._others > 0


class _Pace:
    """Gives the pictures of a playlist, which come in bursts of seconds, at their own pace."""

    def __init__(self) -> None:
        self._lead = -math.inf
        self._due = self._step = 0.0

    def wait(self, frame: av.VideoFrame) -> None:
        """Sleep until the frame is due."""
        due = float(frame.pts * frame.time_base) if frame.pts is not None and frame.time_base else 0.0
        now, step, usual = time.monotonic(), due - self._due, self._step
        self._due, self._step = due, step
        self._lead -= QUICKER * max(0.0, step)
        if step > max(SKIPPED, 1.5 * usual) or now - due > self._lead:
            self._lead = now - due  # the first, or late: all that follows is late as well
        time.sleep(max(0.0, due + self._lead - now))


def _kind(stream: Any) -> str:
    """The codec as the container tells it now; `stream.codec_context` is that of the opening."""
    import av
    from av.bitstream import BitStreamFilterContext

    with av.open(io.BytesIO(), "w", format="nut") as container:
        copy = container.add_data_stream()
        BitStreamFilterContext("null", in_stream=stream, out_stream=copy)
        return NEARER.get(str(copy.name), str(copy.name))


def _is_known(sound: Any) -> bool:
    """Whether it is known what a stream of sound holds; transport streams tell in its packets alone."""
    return bool(sound.sample_rate and sound.layout.nb_channels)


def _options(place: Location, transport: str, timeout: float) -> dict[str, str]:
    """What FFmpeg is told so that it neither waits nor collects more than it needs."""
    scheme = place.url.partition(":")[0].lower()
    # A transport stream whose parts come under other numbers, as after a restart of the sender, is the same one.
    again = {"merge_pmt_versions": "1", "seg_format_options": "merge_pmt_versions=1"}
    options = {"analyzeduration": str(MICRO), "fpsprobesize": "0", **again}
    if scheme.startswith("rtsp"):
        # Packets that overtake each other over UDP are waited for during max_delay.
        options |= {"rtsp_transport": transport, "max_delay": "200000"}
    elif scheme.startswith("http"):
        options |= {"rw_timeout": str(round(timeout * MICRO))}
    elif scheme.startswith("rtmp"):
        options |= {"rtmp_live": "live"}
    elif scheme == "udp":
        options |= {"overrun_nonfatal": "1", "fifo_size": "50000"}
    return options


def _why_closed(failure: BaseException, place: Location, timeout: float, late: bool) -> str:
    """A failure to open in words; `late` says whether the wait for an answer was over."""
    if place.kind == "stdin":
        return PIPE
    known = local.why(failure, place.url) if place.kind == "camera" else hosts.unknown(failure, place.url)
    if known:
        return known
    silence = f"no answer within {timeout:g} s; check the host and the port, or raise --timeout"
    # Where the wait was broken off, FFmpeg may call what it has got so far invalid.
    why = silence if late else _why(failure, silence)
    return f"{why} before a picture came; check the path, the protocol and the port" if why == BROKE else why


def _why(failure: BaseException, silence: str) -> str:
    """A failure to connect or to read in words, with what to do about it; `silence` where nothing came in time."""
    import av

    words = {
        "HTTPUnauthorizedError": "the user name or the password is wrong (401); write them before "
        "the host, as USER:PASSWORD@HOST, with % and two digits for special characters",
        "HTTPForbiddenError": "this user may not see the stream (403); try another, or look at the camera's rights",
        "HTTPNotFoundError": "the server knows no such path (404); look for the stream's path in the camera's manual",
        "HTTPClientError": "the server refuses (4XX); often it serves only so many at a time: close other viewers",
        "HTTPServerError": "the server failed, or serves no more viewers (5XX); close others, or restart it",
        "InvalidDataError": "what answers there sends no video stream; check the protocol and the port",
        "ConnectionRefusedError": "nothing listens there; check the host and the port",
        "ExitError": silence,
        "TimeoutError": silence,
    }
    names = [kind.__name__ for kind in type(failure).__mro__]
    known = next((words[name] for name in names if name in words), None)
    number = getattr(failure, "errno", None)
    if known is None and (number in BROKEN or isinstance(failure, EOFError)):
        return BROKE
    if known is None and number == errno.EPROTONOSUPPORT:
        return "the camera does not send this way; try the other --transport, tcp or udp"
    if known is None:
        return "the connection failed: " + mask(reason(failure))
    log = failure.log[-1] if isinstance(failure, av.error.FFmpegError) and failure.log else None
    return known if log is None else f"{known} ({mask(str(log[2]).strip())})"
