"""The packets of an input: those of the video one after another, all others handed on as they pass."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from math import inf
from typing import TYPE_CHECKING, Any

from vidnoise.errors import InputError
from vidnoise.io import pipes, variants
from vidnoise.io.continuity import Continuity, may_jump
from vidnoise.io.cut_off import ends_too_early
from vidnoise.io.decode import Losses
from vidnoise.io.facts import stream_lines
from vidnoise.io.failures import reason
from vidnoise.io.part import MICRO, Part, begin_of
from vidnoise.io.picture_tags import ends_early
from vidnoise.io.seeking import seek
from vidnoise.io.streams import describe, is_cover, is_of_pictures, main_video

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

FAILURES = 100
"""Errors in a row, without a packet between them, after which the rest of the input is given up."""

GEN_PTS = 1
"""FFmpeg's flag for guessing times, AVFMT_FLAG_GENPTS."""

Sink = Callable[["av.Packet[Any]"], None]
"""Takes packets of other streams."""


class Demuxer:
    """Iterate it for the packets of the video, once.

    Args:
        container: the opened input.
        source: its name, for messages.
        part: what is wanted of it.
        seekable: whether one may jump in it.

    Attributes:
        stream: the video that is decoded.
        lines: FFmpeg's description of each stream, by index.
        losses: what damage has cost so far; final after the iteration.
        warnings: sentences for the user.
        covers: the data of cover pictures, by stream index.
        cuts: times of pictures, in ticks of the output's clock, before which the input's clock jumps.
        torn: whether something was lost before the last packet; whoever reads it clears it.
        reached: the time of the input up to which it has been read, in seconds.
        first_number: of numbered pictures; 0 for all other inputs.
    """

    first_number = 0

    def __init__(self, container: InputContainer, source: str, part: Part, *, seekable: bool = False) -> None:
        # PyAV asks FFmpeg to guess missing times from those of later packets, which is a frame off in AVI.
        container.flags &= ~GEN_PTS
        self.container, self.source, self.part = container, source, part
        self.lines = stream_lines(container)
        self.stream = main_video(container, source, self.lines)
        self.losses = Losses()
        self.warnings: list[str] = []
        self.covers: dict[int, bytes] = {}
        self.cuts: set[int] = set()
        self.torn = False
        self.reached = Fraction(0)
        self._continuity = Continuity(container.format.name)
        self._marked: deque[Fraction] = deque()
        self._keyframes: dict[int, float] = {}
        self._read = 0
        self._sink: Sink | None = None
        self._early: deque[av.Packet[Any]] | None = deque()
        if variants.leave_others(container, self.stream):
            context = self.stream.codec_context
            best = f"the best is taken ({context.width}x{context.height})"
            self.warnings.append(f"{source} holds several sizes or qualities, of which {best}")
        sought = seekable and part.shift
        self._entry = seek(container, self.stream, -part.shift, source) if sought else None

    @property
    def of_pictures(self) -> bool:
        """Whether the input is picture files, which have no video codec that an output could keep."""
        return is_of_pictures(self.container)

    @property
    def zero(self) -> Fraction:
        """Which time of the input a clock that counts from zero should begin at, in seconds.

        Zero itself, but for transport streams and their like, whose times are those since the sender was switched on.
        """
        start = self.container.start_time
        if self.part.shift or start is None or not may_jump(self.container.format.name):
            return Fraction(0)
        return (start - 1) * MICRO  # it is rounded, so that what is first may lie before it

    def attach(self, sink: Sink) -> None:
        """Hand every packet of the other streams to `sink`, those already read at once."""
        early, self._early = self._early, None
        for packet in early or ():
            sink(packet)
        self._sink = sink

    def drop_others(self) -> None:
        """Keep no packets of the other streams for a sink that has not come."""
        self._early = None

    def __iter__(self) -> Iterator[av.Packet[Any]]:
        import av
        from av.stream import Discard

        failures = 0
        while failures < FAILURES:
            try:
                for packet in self.container.demux():
                    failures = 0
                    if not packet.size or packet.stream.discard == Discard.all:
                        continue
                    self._read = max(self._read, (packet.pos or 0) + packet.size)
                    self._join(packet)
                    if self._is_past_end(packet):
                        return
                    if packet.stream_index != self.stream.index:
                        self._hand_on(packet)
                    elif not self._precedes_entry(packet):
                        if self.of_pictures and ends_early(bytes(packet)):
                            self.losses.frames += 1
                        yield packet
            except IndexError:
                return  # PyAV at the end of a file in which streams have appeared on the way
            except pipes.Interrupted as stop:
                raise KeyboardInterrupt from stop
            except av.error.ExitError as failure:
                raise InputError(f"{self.source}: {reason(failure)}") from failure
            except av.error.FFmpegError:
                failures += 1
                self.losses.packets += failures == 1
                self.torn = True
            else:
                self._settle_marked(inf)
                self.losses.truncated = ends_too_early(self.container, self.stream, self.reached, self._read)
                return

    def _join(self, packet: av.Packet[Any]) -> None:
        """Make the times go on where the input's clock jumps."""
        jumped = self._continuity.join(packet)
        if jumped and packet.stream_index == self.stream.index:
            moved = round(self.part.shift / packet.time_base)
            self.cuts.add((packet.pts if packet.pts is not None else packet.dts or 0) + moved)
        time = (packet.dts or 0) * packet.time_base
        if packet.is_corrupt:
            self._marked.append(time)
        self._settle_marked(time)
        if jumped and len(self._continuity.jumps) == 1:
            at = float(self._continuity.jumps[0] - begin_of(self.container))
            self.warnings.append(f"the input's clock jumps at {at:.2f} s; what follows is joined on")

    def _settle_marked(self, time: Fraction | float) -> None:
        """Count packets that were incomplete over a second ago; around a jump of the clock, recordings were joined."""
        while self._marked and time > self._marked[0] + 1:
            mark = self._marked.popleft()
            self.losses.marked += all(abs(mark - jump) > 1 for jump in self._continuity.jumps)

    def _is_past_end(self, packet: av.Packet[Any]) -> bool:
        """Note how far the input has been read; True a second after the end of the selected part."""
        times = [time * packet.time_base for time in (packet.dts, packet.pts) if time is not None]
        if not times:
            return False
        # What is decoded early is shown late: at a few frames a second these are a second apart.
        self.reached = max(self.reached, max(times) + (packet.duration or 0) * packet.time_base)
        # Where nobody says when it is decoded, it may be shown after what follows.
        end = self.part.end
        return end is not None and packet.dts is not None and min(times) > end + 1

    def _precedes_entry(self, packet: av.Packet[Any]) -> bool:
        """Whether a packet of the video lies before the keyframe from which it is decoded."""
        time = packet.pts if packet.pts is not None else packet.dts
        if self._entry is None or (packet.is_keyframe and time is not None and time >= self._entry):
            self._entry = None
            return False
        return True

    def _follows_keyframe(self, packet: av.Packet[Any]) -> bool:
        """Whether a packet of another stream can be decoded: of a copied video, its keyframe lies in the part too."""
        if not self.part.shift or packet.stream.type != "video":
            return True
        time = (packet.pts if packet.pts is not None else packet.dts) or 0
        begin = self._keyframes.get(packet.stream_index)
        if packet.is_keyframe and begin in (None, inf):
            begin = time
        elif begin is None:
            begin = inf
            self.warnings.append(
                f"{describe(packet.stream)} has no keyframe where the part begins, so it is copied from its next one on"
            )
        self._keyframes[packet.stream_index] = begin
        return time >= begin

    def _hand_on(self, packet: av.Packet[Any]) -> None:
        if is_cover(packet.stream):
            self.covers.setdefault(packet.stream_index, bytes(packet))
        elif not self.part.move(packet) or not self._follows_keyframe(packet):
            return
        if self._early is not None:
            self._early.append(packet)
        elif self._sink is not None:
            self._sink(packet)
