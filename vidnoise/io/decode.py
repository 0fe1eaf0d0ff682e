"""Packets to pictures, surviving whatever a codec makes of damaged data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av


@dataclass
class Losses:
    """What damage has cost so far; true where anything was lost.

    `packets`: video packets that no picture could be made of. `frames`: pictures that the decoder had to patch.
    `copied`: packets of copied streams (audio, subtitles) left out because their data or times were broken.
    `truncated`: whether the file ended in the middle.
    """

    packets: int = 0
    frames: int = 0
    copied: int = 0
    truncated: bool = False

    def __bool__(self) -> bool:
        return bool(self.packets or self.frames or self.copied or self.truncated)

    def __str__(self) -> str:
        """One sentence for the summary, empty where nothing was lost."""
        parts = [
            (self.packets, "damaged video packet", "skipped"),
            (self.frames, "frame", "with damage patched by the decoder"),
            (self.copied, "broken packet of copied streams", "left out"),
        ]
        words = [f"{n} {what}{'s' if n > 1 else ''} {done}" for n, what, done in parts if n]
        words += ["the input ends too early"] if self.truncated else []
        return ", ".join(words)


class Decoder:
    """A video decoder that counts errors where others raise them.

    `gap` is True when something was lost since the last time it was cleared.
    """

    def __init__(self, context: av.VideoCodecContext, losses: Losses) -> None:
        self._context = context
        self._losses = losses
        self.gap = False

    def decode(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        """The pictures that became ready; None drains the decoder at the end."""
        import av

        if packet is not None and packet.is_corrupt:
            self.gap = True
        try:
            frames = self._context.decode(packet)
        except EOFError:
            return []
        except (av.error.FFmpegError, ValueError):
            self._losses.packets += 1
            self.gap = True
            return []
        damaged = sum(frame.is_corrupt for frame in frames)
        self._losses.frames += damaged
        self.gap |= damaged > 0
        return frames
