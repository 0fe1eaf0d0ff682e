"""Interlaced video: found by flags and by content, then refused or cleaned; never silently blended.

What the content says goes before what the flags say, because flags are often wrong both ways: capture
programs lose them, and whole pictures are stored as "segmented" fields (PsF). The flags decide where nothing
moves enough to tell.

The content is judged by the order of fields in time. Of two frames following each other, take the bottom
field of the first and the top field of the second, and the other way round, and compare how badly the lines
of one are predicted from the lines of the other between which they lie, beyond the same error within each
frame:

    near = E(bottom 1, top 2) - E(within),   far = E(top 1, bottom 2) - E(within)

In whole pictures both pairs are one frame apart, so near = far. With the top field first the pairs are half
a frame and one and a half frames apart: near is about 0 and far is large; with the bottom field first the
reverse. White noise adds the same to every E, so it cancels instead of raising an alarm, and so do flashes
and cuts, which change both alike.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vidnoise.errors import InputError, UsageError

if TYPE_CHECKING:
    from av import VideoFrame
    from av.filter import Graph

COLUMNS = 128
"""Columns of a picture that are looked at, evenly spread; all lines of them are."""

LINES, LEAST = 200, 32
"""Lines and columns of a picture that says something: of smaller ones, whole, some pass for combed, as FFmpeg's moving test
pattern of 180 lines does.

Nothing is lost: the smallest interlaced video has 480 lines.
"""

AHEAD = 12
"""Frames before and after a frame that are heard about it."""

PATIENCE = 25
"""Frames held back at the start of a stream before what has been seen must do."""

HELD_BYTES = 128 << 20
"""Memory for the frames held back; large pictures wait for fewer of them."""

CERTAIN = 6.0
"""How many standard errors a change between frames must rise above the noise to say anything."""

ENOUGH = 5
"""Pairs of frames that must say something before their majority counts."""

PLENTY = 8
"""Pairs of frames that said something after which the start of a stream is not waited for any longer."""

COUNT = Fraction(1, 25)
"""The time base that filters see; the frames' own times are put back afterwards."""


class Scan(Enum):
    """How a frame was scanned: whole, or as two fields, of which the top or the bottom one is earlier."""

    PROGRESSIVE = "progressive"
    TOP_FIRST = "top field first"
    BOTTOM_FIRST = "bottom field first"
    FLAGGED = "by the flags of its frames"


SETFIELD = {Scan.PROGRESSIVE: "prog", Scan.TOP_FIRST: "tff", Scan.BOTTOM_FIRST: "bff", Scan.FLAGGED: "auto"}
"""What FFmpeg's setfield calls it; `auto` leaves the frame's own flags."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a pair of frames says: `near` and `far` as above and their standard error, in codes squared."""

    near: float
    far: float
    error: float

    @property
    def order(self) -> float | None:
        """1 top field first, -1 bottom field first, 0 whole pictures; None where the noise hides it."""
        size = abs(self.near) + abs(self.far)
        return (self.far - self.near) / size if size > 2 * CERTAIN * self.error else None


def luma(frame: VideoFrame) -> NDArray[np.float32]:
    """(H, at most COLUMNS) luma, or gray made of it, of evenly spread columns, in the frame's own codes."""
    step = -(-frame.width // COLUMNS)
    if frame.sw_format is not None:  # only these columns leave the GPU
        from vidnoise.io.planes import planes_of

        return planes_of(frame)[0][0][:, ::step].float().cpu().numpy()
    kind = frame.format
    if (
        kind.is_rgb
        or kind.has_palette
        or kind.is_bit_stream
        or not (kind.is_planar or len(kind.components) == 1)
    ):
        frame = frame.reformat(format="gray")
        kind = frame.format
    wide = kind.components[0].bits > 8
    dtype = np.dtype((">u2" if kind.is_big_endian else "<u2") if wide else "u1")
    plane = frame.planes[0]
    lines = np.frombuffer(memoryview(plane), dtype).reshape(-1, abs(plane.line_size) // dtype.itemsize)
    if plane.line_size < 0:  # upside down
        lines = lines[::-1]
    return lines[: frame.height, : frame.width : step].astype(np.float32)


def misfit(top: NDArray[np.float32], bottom: NDArray[np.float32]) -> float:
    """Mean squared error of each field's lines against the mean of the other's lines around them."""
    below = bottom[:-1] - (top[:-1] + top[1:]) * 0.5
    above = top[1:] - (bottom[:-1] + bottom[1:]) * 0.5
    return float(np.vdot(below, below) + np.vdot(above, above)) / (2 * below.size)


class FieldOrder:
    """Evidence from frames as they come; keeps the fields of the last one."""

    def __init__(self) -> None:
        self._last: tuple[NDArray[np.float32], NDArray[np.float32], float] | None = None

    def push(self, frame: VideoFrame) -> Evidence | None:
        """What the frame says together with the one before; None for the first, small ones and after a change of size."""
        picture = luma(frame)
        if picture.shape[0] < LINES or picture.shape[1] < LEAST:
            return None
        even = picture[: len(picture) // 2 * 2]
        top, bottom = even[0::2], even[1::2]
        within = misfit(top, bottom)
        last, self._last = self._last, (top, bottom, within)
        if last is None or last[0].shape != top.shape:
            return None
        base = (last[2] + within) / 2
        near, far = misfit(top, last[1]) - base, misfit(last[0], bottom) - base
        return Evidence(near, far, base * math.sqrt(1 / top.size) + 1e-6)


def verdict(evidence: list[Evidence]) -> Scan | None:
    """What pairs of frames say together, or None where too little moves.

    Not all frames of interlaced video are combed: film carried at another rate (telecine) has two combed
    ones in five, and is interlaced for our purpose.
    """
    orders = [order for pair in evidence if (order := pair.order) is not None]
    if len(orders) >= ENOUGH:
        top, bottom = sum(o > 0.4 for o in orders), sum(o < -0.4 for o in orders)
        if max(top, bottom) >= 0.3 * len(orders) and max(top, bottom) > 3 * min(top, bottom):
            return Scan.TOP_FIRST if top > bottom else Scan.BOTTOM_FIRST
        return Scan.PROGRESSIVE
    if len(evidence) < ENOUGH:
        return None
    # Slow motion under heavy noise: no pair is certain, but all together may be.
    together = Evidence(
        sum(pair.near for pair in evidence),
        sum(pair.far for pair in evidence),
        math.sqrt(sum(pair.error**2 for pair in evidence)),
    ).order
    if together is None or 0.3 < abs(together) < 0.6:
        return None
    if abs(together) <= 0.3:
        return Scan.PROGRESSIVE
    return Scan.TOP_FIRST if together > 0 else Scan.BOTTOM_FIRST


def from_field_order(field_order: int) -> Scan:
    """What FFmpeg's AVFieldOrder states: 2 and 4 top first, 3 and 5 bottom first, others whole or unknown."""
    return {2: Scan.TOP_FIRST, 4: Scan.TOP_FIRST, 3: Scan.BOTTOM_FIRST, 5: Scan.BOTTOM_FIRST}.get(
        field_order, Scan.PROGRESSIVE
    )


class FrameScans:
    """Says of every frame how it was scanned, `AHEAD` frames later, from the pairs of frames around it."""

    def __init__(self, stated: Scan) -> None:
        self._stated = stated
        self._order = FieldOrder()
        self._evidence: deque[Evidence | None] = deque(maxlen=2 * AHEAD + 1)
        self._waiting: deque[bool] = deque()
        self._heard: tuple[Scan, bool] | None = None

    @property
    def heard(self) -> bool:
        """The content has said something, now or before."""
        return self._heard is not None

    @property
    def certain(self) -> bool:
        """The content has said plenty."""
        return sum(pair is not None and pair.order is not None for pair in self._evidence) >= PLENTY

    def push(self, frame: VideoFrame) -> list[Scan]:
        """Take a frame; the answer on the frame `AHEAD` before it, if there is one."""
        self._evidence.append(self._order.push(frame))
        self._waiting.append(bool(frame.interlaced_frame))
        return [self._answer()] if len(self._waiting) > AHEAD else []

    def flush(self) -> list[Scan]:
        """The stream has ended: the answers on the rest."""
        answers = []
        while self._waiting:
            answers.append(self._answer())
            if len(self._evidence) > AHEAD:
                self._evidence.popleft()
        return answers

    def judge(self, flagged: bool) -> Scan:
        """How frames with this flag were scanned: by the pairs heard last, or else before, or by the flag."""
        now = verdict([pair for pair in self._evidence if pair is not None])
        if now is not None:
            self._heard = (now, flagged)
        # A still moment is scanned as the stream was before, unless its flag has changed since.
        if self._heard is not None and self._heard[1] == flagged:
            return self._heard[0]
        if flagged:
            return Scan.FLAGGED
        return Scan.PROGRESSIVE if self._heard else self._stated

    def _answer(self) -> Scan:
        return self.judge(self._waiting.popleft())


class Bwdif:
    """Makes whole pictures of interlaced ones with FFmpeg's bwdif: one for each that comes, at its own time.

    Frames said to be whole pass with their samples untouched. One frame is held back: bwdif needs the next.
    """

    def __init__(self, threads: int = 0) -> None:
        self._threads = threads
        self._layout: tuple[int, int, str] | None = None
        self._marks: dict[Scan, Graph] = {}
        self._graph: Graph | None = None
        self._times: deque[tuple[int | None, Fraction, int]] = deque()
        self._count = 0

    def push(self, frame: VideoFrame, scan: Scan) -> list[VideoFrame]:
        """Take a frame scanned so; the frames that are finished, with the timestamps they came with."""
        done: list[VideoFrame] = []
        layout = (frame.width, frame.height, frame.format.name)
        if layout != self._layout:
            done, self._layout = self.flush(), layout
        if self._graph is None:
            bwdif = "bwdif", "mode=send_frame:parity=auto:deint=interlaced"
            self._graph = self._make(frame, bwdif, ("format", f"pix_fmts={frame.format.name}"))
        self._times.append((frame.pts, frame.time_base or Fraction(1, 1000), frame.duration))
        marked = self._mark(frame, scan)
        # The filter sees a plain count: missing or wild timestamps must not make it stumble.
        marked.time_base, marked.pts = COUNT, self._count
        self._count += 1
        self._graph.vpush(marked)
        return done + self._pull(self._graph)

    def flush(self) -> list[VideoFrame]:
        """No more frames of this kind: the last one."""
        if self._graph is None:
            return []
        self._graph.vpush(None)
        done = self._pull(self._graph)
        self._graph = None
        self._marks.clear()
        return done

    def _mark(self, frame: VideoFrame, scan: Scan) -> VideoFrame:
        """The frame with flags that say so: PyAV cannot set them, a filter can."""
        if scan not in self._marks:
            self._marks[scan] = self._make(frame, ("setfield", f"mode={SETFIELD[scan]}"))
        self._marks[scan].vpush(frame)
        return self._marks[scan].vpull()

    def _make(self, frame: VideoFrame, *filters: tuple[str, str]) -> Graph:
        from av.filter import Graph

        graph = Graph()
        graph.threads = self._threads
        width, height = frame.width, frame.height
        nodes = [graph.add_buffer(width=width, height=height, format=frame.format, time_base=COUNT)]
        nodes += [graph.add(name, options) for name, options in filters]
        graph.link_nodes(*nodes, graph.add("buffersink")).configure()
        return graph

    def _pull(self, graph: Graph) -> list[VideoFrame]:
        done: list[VideoFrame] = []
        while True:
            try:
                frame = graph.vpull()
            except (BlockingIOError, EOFError):
                return done
            frame.pts, frame.time_base, frame.duration = self._times.popleft()
            done.append(frame)


class InterlaceGate:
    """Stands between the decoder and everything else: refuses interlaced video, or cleans it.

    Every frame that goes in comes out, in order, once. Nothing needs to be seekable: frames are held back
    until enough is known, at the start (at most `PATIENCE`), and with `deinterlace` by `AHEAD` + 1 all along.

    Args:
        field_order: what the stream states, as AVFieldOrder (`stream.codec_context.field_order`).
        deinterlace: clean with bwdif what is interlaced; whole pictures pass untouched.
        assume_progressive: look at nothing, pass everything.
        warn: is given what the user should know, in sentences.
        name: the input, for messages.
        threads: of bwdif; 0 leaves it to FFmpeg.
        begun: the time in seconds after which warnings count.

    Raises:
        UsageError: `deinterlace` and `assume_progressive` together.
        InputError: from `push` or `flush`, where the stream starts interlaced and neither was asked.
    """

    def __init__(
        self,
        *,
        field_order: int = 0,
        deinterlace: bool = False,
        assume_progressive: bool = False,
        warn: Callable[[str], None],
        name: str = "the input",
        threads: int = 0,
        begun: Fraction | int = 0,
    ) -> None:
        if deinterlace and assume_progressive:
            raise UsageError("--deinterlace and --assume-progressive contradict each other; give one of them")
        self._begun = begun
        self.interlaced = 0
        """Frames found interlaced so far: cleaned with `deinterlace`, passed with a warning without."""
        self._open = assume_progressive
        self._warn, self._name = warn, name
        self._scans = FrameScans(from_field_order(field_order))
        self._bwdif = Bwdif(threads) if deinterlace else None
        self._held: deque[VideoFrame] = deque()
        self._decided = False
        self._flagged = 0
        self._seen: deque[float | None] = deque()

    @property
    def holding(self) -> bool:
        """Frames have gone in that have not come out."""
        return bool(self._held)

    def push(self, frame: VideoFrame) -> list[VideoFrame]:
        """Take a decoded frame; give those that are judged, cleaned where that was asked."""
        if self._open:
            return [frame]
        scans = self._scans.push(frame)
        self._held.append(frame)
        if self._bwdif is not None:
            return [done for scan in scans for done in self._clean(scan)]
        self._seen.append(frame.time)
        self._flagged += bool(frame.interlaced_frame)
        for scan in scans:
            self._count(scan)
        if not self._decided:
            if not (self._scans.certain or len(self._held) >= PATIENCE or self._full()):
                return []
            self._decide()
        return self._release()

    def flush(self) -> list[VideoFrame]:
        """The stream has ended: the rest."""
        if self._open:
            return []
        if self._bwdif is not None:
            cleaned = [done for scan in self._scans.flush() for done in self._clean(scan)]
            return cleaned + self._bwdif.flush()
        if not self._decided and self._held:
            self._decide()
        for scan in self._scans.flush():
            self._count(scan)
        if self.interlaced:
            self._warn(
                f"{self.interlaced} frames of {self._name} are interlaced and were taken as whole pictures: "
                "type --deinterlace to clean them, or --assume-progressive if this is a false alarm"
            )
        return self._release()

    def _clean(self, scan: Scan) -> list[VideoFrame]:
        assert self._bwdif is not None
        self.interlaced += scan is not Scan.PROGRESSIVE
        return self._bwdif.push(self._held.popleft(), scan)

    def _decide(self) -> None:
        """The stream has shown enough of its start: refuse it or let it pass."""
        self._decided = True
        self.interlaced = 0
        scan = self._scans.judge(self._flagged > 0)
        if scan is not Scan.PROGRESSIVE:
            how = (
                scan.value if self._scans.heard or scan is Scan.FLAGGED else f"{scan.value}, says its header"
            )
            raise InputError(
                f"{self._name} is interlaced ({how}); cleaning it as it is would blend its fields. "
                "Type --deinterlace to make whole pictures first, or --assume-progressive for a false alarm"
            )
        if self._flagged:
            self._warn(
                f"{self._name} is marked as interlaced, but its pictures are whole: they stay so "
                "(type --assume-progressive to say so)"
            )

    def _count(self, scan: Scan) -> None:
        time = self._seen.popleft()
        if scan is Scan.PROGRESSIVE:
            return
        if not self.interlaced and self._decided:
            at = "" if time is None else f" from {time - self._begun:.1f} s on"
            self._warn(f"{self._name} has interlaced frames{at}; type --deinterlace to clean them")
        self.interlaced += 1

    def _full(self) -> bool:
        held = sum(plane.buffer_size for plane in self._held[-1].planes) * len(self._held)
        return held > HELD_BYTES and len(self._held) > ENOUGH

    def _release(self) -> list[VideoFrame]:
        frames = list(self._held)
        self._held.clear()
        return frames
