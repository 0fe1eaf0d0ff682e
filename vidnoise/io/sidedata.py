"""Side data of single pictures, closed captions above all, put on the pictures that take their place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av

KEPT = {"A53_CC", "AFD", "ICC_PROFILE", "S12M_TIMECODE"}
"""What belongs to the moment rather than to the old picture, and what encoders write where they can."""


def has_kept(frame: object) -> bool:
    """Whether a carrier is a picture with side data worth keeping."""
    return any(name in KEPT for name in names(frame))


def names(frame: object) -> list[str]:
    """The kinds of side data on a carrier; none where it is no picture."""
    return [side.type.name for side in side_data(frame)]


def side_data(frame: object) -> list[Any]:
    """The side data of a picture; none where PyAV does not know a kind of it (EXIF): it then gives none."""
    import av
    from av.sidedata.sidedata import SideDataContainer

    if not isinstance(frame, av.VideoFrame):
        return []
    try:
        # Not `frame.side_data`: the picture and that container hold each other, and hundreds of pictures would wait for
        # Python's garbage collector.
        return list(SideDataContainer(frame))  # type: ignore[call-arg]  # not in the stub
    except ValueError:
        return []


class Transplant:
    """Puts new samples into a copy of a decoded picture, which keeps its side data.

    PyAV cannot add side data to a picture. A filter that does nothing gives a second handle on the decoded
    one; made writable, it has samples of its own, which are then replaced.
    """

    def __init__(self) -> None:
        self._graph: Any = None
        self._shape: tuple[int, int, str] | None = None

    def __call__(self, carrier: av.VideoFrame, picture: av.VideoFrame) -> av.VideoFrame:
        """The samples of `picture` with the side data of `carrier`; `picture` itself where their kinds differ."""
        shape = (carrier.width, carrier.height, carrier.format.name)
        if shape != (picture.width, picture.height, picture.format.name):
            return picture
        if shape != self._shape:
            self._open(carrier)
        self._graph.push(carrier)
        copy: av.VideoFrame = self._graph.pull()
        copy.make_writable()
        for target, source in zip(copy.planes, picture.planes, strict=True):
            _copy_lines(source, target)
        copy.pict_type = 0
        return copy

    def _open(self, carrier: av.VideoFrame) -> None:
        import av

        self._shape = (carrier.width, carrier.height, carrier.format.name)
        self._graph = av.filter.Graph()
        source = self._graph.add_buffer(
            width=carrier.width, height=carrier.height, format=carrier.format, time_base=carrier.time_base
        )
        source.link_to(self._graph.add("buffersink"))
        self._graph.configure()


def _copy_lines(source: Any, target: Any) -> None:
    """Copy a plane; lines may be padded to different lengths."""
    import numpy as np

    lines = source.height
    length = min(source.line_size, target.line_size)
    from_ = np.frombuffer(source, np.uint8)[: lines * source.line_size].reshape(lines, source.line_size)
    to = np.frombuffer(target, np.uint8)[: lines * target.line_size].reshape(lines, target.line_size)
    to[:, :length] = from_[:, :length]
