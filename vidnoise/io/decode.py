"""Packets to pictures, surviving whatever a codec makes of damaged data."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import dropwhile
from math import inf, nan
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av


DELAY = 64
"""Pictures that a decoder may hold back: reordering and frame threads together."""


LONGEST = 1000
"""Packets that are kept between keyframes, in case they must be decoded again."""


@dataclass
class Losses:
    """What damage has cost so far; true where anything was lost.

    `packets`: video packets that no picture could be made of. `frames`: pictures that the decoder had to
    patch. `marked`: packets that the container itself finds incomplete. `copied`: packets of copied streams
    (audio, subtitles) left out because their times, or a text to be converted, were broken. `truncated`:
    whether the file ended in the middle.
    """

    packets: int = 0
    frames: int = 0
    marked: int = 0
    copied: int = 0
    truncated: bool = False

    def __bool__(self) -> bool:
        return bool(self.packets or self.frames or self.marked or self.copied or self.truncated)

    def __str__(self) -> str:
        """A sentence for the summary, empty where nothing was lost."""
        parts = [
            (self.packets, "damaged packet{} skipped"),
            (self.frames, "damaged frame{} patched by the decoder"),
            (self.marked, "incomplete packet{} where the input has a hole"),
            (self.copied, "broken packet{} of copied streams left out"),
        ]
        words = [f"{n} {text.format('s' if n > 1 else '')}" for n, text in parts if n]
        words += ["the input ends too early"] if self.truncated else []
        return ", ".join(words)


class Decoder:
    """A video decoder that counts errors where others raise them.

    Attributes:
        losses: where errors are counted.
        gap: True when the next picture follows on damage; whoever reads it clears it.
        suspect: pictures that may still come out before the one that follows on the damage, since decoders hold some
            back.
    """

    def __init__(self, context: av.VideoCodecContext, losses: Losses, tail: Tail | None = None) -> None:
        self._context = context
        self.losses = losses
        self.gap = False
        self.suspect = 0
        self._tail = tail
        self._begun = False
        self._invents = context.codec.name == "hevc"

    def decode(self, packet: av.Packet[Any] | None) -> list[av.VideoFrame]:
        """The pictures that became ready; None drains the decoder at the end."""
        import av

        if packet is not None and packet.is_corrupt:
            self.suspect = DELAY
        if self._invents and packet is not None and packet.is_keyframe:
            # Or it leaves out what follows on a loss without a word, and with an open GOP intact pictures as well. Where a
            # stream begins with a gradual refresh it is right to, as the first pictures are not whole.
            self._context.flags |= av.codec.context.Flags.output_corrupt
        frames, failed = decoded(self._context, packet)
        if self._tail is not None and packet is not None:
            self._tail.add(packet, frames, failed)
        if self._tail is not None and packet is None:
            frames, failed = self._tail.whole(frames, failed)
        # For pictures that never came HEVC's decoder has gray ones, which all that refers to them is made of.
        intact = [frame for frame in frames if not (self._invents and frame.is_corrupt)]
        invented = self._begun * (len(frames) - len(intact))  # at the start nothing is lost
        self._begun |= bool(intact)
        damaged = sum(frame.is_corrupt for frame in intact)
        self.losses.packets += failed + invented
        self.losses.frames += damaged
        if failed or invented or damaged:
            self.lost()
        return intact

    @property
    def sample_shape(self) -> Fraction | None:
        """How wide a sample of the last pictures is for its height, where anybody says."""
        return self._context.sample_aspect_ratio or None

    def lost(self) -> None:
        """Note that something of the stream was lost at this point."""
        self.gap, self.suspect = True, DELAY


class Tail:
    """The last packets, for what the threads of a decoder lose when it is drained.

    At the first damaged packet there PyAV drops all that comes after, without a word. Then these are decoded once more,
    one after another.
    """

    def __init__(self, context: Any) -> None:
        self._context = context
        self._older: list[av.Packet[Any]] = []
        self._packets: list[av.Packet[Any]] = []
        self._held = 0
        self._shown: float | None = None

    def add(self, packet: av.Packet[Any], frames: list[av.VideoFrame], failed: int) -> None:
        """Note a packet, and what came out when it went in."""
        if packet.is_keyframe and len(self._packets) >= DELAY:
            self._older, self._packets = self._packets, []
        if len(self._packets) >= DELAY:
            self._older = []
        if len(self._packets) > LONGEST:
            self._packets = []
        if self._packets or packet.is_keyframe:
            self._packets.append(packet)
        self._held += 1 - failed - len(frames)
        self._shown = _time(frames[-1]) if frames else self._shown

    def whole(self, frames: list[av.VideoFrame], failed: int) -> tuple[list[av.VideoFrame], int]:
        """What draining gave, and what it did not; the number of damaged packets among those that had been held."""
        packets = [*self._older, *self._packets]
        last = _time(frames[-1]) if frames else self._shown
        # Of some packets nothing is ever shown, such as what refers to pictures before a cut.
        newest = max((packet.pts for packet in packets if packet.pts is not None), default=inf)
        is_all = len(frames) >= self._held or (last is not None and last >= newest)
        if is_all or len(packets) < self._held:
            return frames, failed
        context, failed = _alone(self._context), 0
        made: list[av.VideoFrame] = []
        for number, packet in enumerate([*packets, None]):
            shown, bad = decoded(context, packet)
            failed += bad if number >= len(packets) - self._held else 0
            made += shown
        rest = made if last is None else list(dropwhile(lambda frame: _time(frame) != last, made))[1:]
        return frames + rest, failed


def decoded(context: Any, packet: av.Packet[Any] | None) -> tuple[list[av.VideoFrame], int]:
    """What a decoder makes of a packet, and 1 where it is damaged, else 0."""
    import av

    try:
        return context.decode(packet), 0
    except EOFError:
        return [], 0
    except (av.error.FFmpegError, ValueError):
        return [], 1


def _alone(context: Any) -> Any:
    """A decoder of the same, without threads."""
    import av

    single: Any = av.CodecContext.create(context.codec, "r")
    single.extradata, single.codec_tag = context.extradata, context.codec_tag
    single.width, single.height = context.width, context.height
    single.thread_count, single.flags = 1, context.flags
    return single


def _time(frame: av.VideoFrame) -> float:
    """When a picture is shown, or else decoded, in ticks; where nobody says, it equals nothing."""
    time = frame.pts if frame.pts is not None else frame.dts
    return nan if time is None else time


def layout_of(frame: av.VideoFrame) -> str:
    """FFmpeg's name of a frame's pixel format, also where it lies on a GPU."""
    return frame.format.name if frame.sw_format is None else frame.sw_format.name


LIBVPX = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


def hides_alpha(stream: Any) -> bool:
    """Whether a stream has alpha that only the decoder of libvpx gives: FFmpeg's own and NVDEC drop it."""
    marked = {k.lower(): v for k, v in stream.metadata.items()}.get("alpha_mode") == "1"
    return marked and stream.codec_context.codec.canonical_name in LIBVPX


def decoder_for(stream: Any, threads: int) -> Any:
    """The decoder of a stream; that of libvpx where it hides alpha."""
    import av

    context: Any = stream.codec_context
    if hides_alpha(stream):
        context = av.CodecContext.create(LIBVPX[context.codec.canonical_name], "r")
    context.thread_count = threads
    context.flags |= av.codec.context.Flags.unaligned  # or less is cropped at the left than the stream says
    # Where each thread decodes a frame, damage is told late, and at the end not at all: see `Tail`.
    # Codecs that reorder frames are too slow otherwise.
    context.thread_type = "AUTO" if context.codec.reorder else "SLICE"
    return context
