"""Frames too large for the memory, in overlapping tiles: every tile is a small stream with a stage of its own."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidnoise.device import Device, working_memory
from vidnoise.errors import UsageError
from vidnoise.filter import BaseStage, Filter, Stage
from vidnoise.flow import SharedFlow
from vidnoise.frame import Frame, StreamInfo

if TYPE_CHECKING:
    from torch import Tensor


def open_tiled(filter: Filter, info: StreamInfo, device: Device) -> Stage:
    """Open a filter, in tiles where its working memory for a whole frame does not fit or tiles are asked for.

    Raises:
        UsageError: the tiles asked for are too small for the filter.
        FilterError: the filter cannot work on such a stream.
    """
    side = device.tile or _largest_side(filter, info, device)
    if not filter.tileable or side == 0 or (side >= info.width and side >= info.height):
        return filter.open(info, device)
    least = 4 * filter.halo
    if side < least:
        raise UsageError(
            f"tiles of {side} pixels are too small for {filter.name}; use --tile {least} or more"
        )
    return TiledStage(filter, info, device, side)


def _largest_side(filter: Filter, info: StreamInfo, device: Device) -> int:
    pixels = working_memory(device) / filter.bytes_per_pixel
    if info.width * info.height <= pixels:
        return 0
    return max(int(math.sqrt(pixels)), 4 * filter.halo)


@dataclass(frozen=True)
class Span:
    """One tile's place along one axis."""

    start: int
    stop: int

    @property
    def slice(self) -> slice:
        """For indexing."""
        return slice(self.start, self.stop)


def spans(length: int, side: int, halo: int) -> list[Span]:
    """Cover `length` pixels by equal tiles of at most `side` that overlap by at least three halos."""
    if length <= side:
        return [Span(0, length)]
    overlap = 3 * halo
    count = math.ceil((length - overlap) / (side - overlap))
    starts = [round(i * (length - side) / (count - 1)) for i in range(count)]
    return [Span(start, start + side) for start in starts]


class TiledStage(BaseStage):
    """One stage a tile; where tiles overlap, their results are faded into one another away from the tiles' edges."""

    def __init__(self, filter: Filter, info: StreamInfo, device: Device, side: int) -> None:
        super().__init__()
        self._halo = filter.halo
        self._rows, self._columns = (spans(n, side, filter.halo) for n in (info.height, info.width))
        self._tiles = [(row, column) for row in self._rows for column in self._columns]
        self._stages = [
            filter.open(
                dataclasses.replace(info, height=row.stop - row.start, width=column.stop - column.start),
                device,
            )
            for row, column in self._tiles
        ]
        self._flows = [SharedFlow() for _ in self._tiles]
        self._frames: deque[Frame] = deque()
        self.latency = self._stages[0].latency

    def accept(self, frames: Sequence[Frame]) -> list[Frame]:
        """Filter tile by tile."""
        self._frames.extend(frames)
        done = [
            stage.push(*(_crop(frame, row, column, flow) for frame in frames))
            for stage, flow, (row, column) in zip(self._stages, self._flows, self._tiles, strict=True)
        ]
        return self._join(done)

    def drain(self) -> list[Frame]:
        """Flush every tile."""
        return self._join([stage.flush() for stage in self._stages])

    def restart(self) -> None:
        """Reset every tile."""
        self._frames.clear()
        self._flows = [SharedFlow() for _ in self._tiles]
        for stage in self._stages:
            stage.reset()

    def _join(self, tiles: Sequence[Sequence[Frame]]) -> list[Frame]:
        return [self._blend(self._frames.popleft(), parts) for parts in zip(*tiles, strict=True)]

    def _blend(self, frame: Frame, parts: Sequence[Frame]) -> Frame:
        if not any(part.touched for part in parts):
            return frame
        image = self._sum([part.image for part in parts])
        maps = [part.confidence for part in parts]
        known = [m for m in maps if m is not None]
        return frame.with_image(image, self._sum(known) if len(known) == len(maps) else None)

    def _sum(self, parts: Sequence[Tensor]) -> Tensor:
        import torch

        size = (parts[0].shape[0], self._rows[-1].stop, self._columns[-1].stop)
        whole = torch.zeros(size, dtype=parts[0].dtype, device=parts[0].device)
        weights = itertools.product(fades(self._rows, self._halo), fades(self._columns, self._halo))
        for part, (row, column), (down, across) in zip(parts, self._tiles, weights, strict=True):
            whole[:, row.slice, column.slice] += part * (down[:, None] * across[None, :]).to(part)
        return whole


def _crop(frame: Frame, row: Span, column: Span, flow: SharedFlow) -> Frame:
    confidence = None if frame.confidence is None else frame.confidence[:, row.slice, column.slice]
    image = frame.image[:, row.slice, column.slice].contiguous()
    cut = Frame(image=image, pts=frame.pts, time_base=frame.time_base, duration=frame.duration, cut=frame.cut)
    return cut.replace(sigma=frame.sigma, confidence=confidence, flow=frame.flow and flow, touched=False)


def fades(spans: Sequence[Span], halo: int) -> list[Tensor]:
    """Weights along every tile: 0 within a halo of an edge that has a neighbour, adding up to 1 at every pixel."""
    import torch

    total = torch.zeros(spans[-1].stop)
    weights = []
    for span in spans:
        inside = torch.arange(span.stop - span.start) + 0.5
        weight = torch.ones(span.stop - span.start)
        if span.start > 0:
            weight *= ((inside - halo) / halo).clamp(0, 1)
        if span.stop < spans[-1].stop:
            weight *= ((inside.flip(0) - halo) / halo).clamp(0, 1)
        total[span.slice] += weight
        weights.append(weight)
    return [weight / total[span.slice] for weight, span in zip(weights, spans, strict=True)]
