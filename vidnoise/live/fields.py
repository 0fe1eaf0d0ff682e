"""Cameras that send interlaced pictures: these are made whole, without waiting to be asked or for more to be known."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vidnoise.io.interlace import Bwdif, FrameScans, Scan, from_field_order

if TYPE_CHECKING:
    from av import VideoFrame


class Fields:
    """Judges each picture of one connection by those before it; see `vidnoise.io.interlace` for how.

    Whole pictures pass at once. From the first interlaced one on, one picture is held back.

    Args:
        field_order: what the stream states, as AVFieldOrder.
        warn: is told once, in a sentence.
    """

    def __init__(self, field_order: int, warn: Callable[[str], None]) -> None:
        self._scans = FrameScans(from_field_order(field_order))
        self._warn = warn
        self._bwdif: Bwdif | None = None

    def push(self, picture: VideoFrame) -> list[VideoFrame]:
        """Take a decoded picture; give those that are finished."""
        self._scans.push(picture)
        scan = self._scans.judge(bool(picture.interlaced_frame))
        if self._bwdif is None and scan is not Scan.PROGRESSIVE:
            self._warn(
                f"the camera sends interlaced pictures ({scan.value}); they are made whole, one picture later. Set to "
                "progressive it gives better ones; --assume-progressive is for a false alarm"
            )
            self._bwdif = Bwdif()
        return [picture] if self._bwdif is None else self._bwdif.push(picture, scan)

    def flush(self) -> list[VideoFrame]:
        """The stream is torn: what is held back."""
        return [] if self._bwdif is None else self._bwdif.flush()
