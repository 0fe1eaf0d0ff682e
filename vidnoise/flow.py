"""Optical flow between frames, shared by the filters of a chain, and warping along it.

Flow fields are (2,H,W) float32 in pixels, x first: the point (x, y) of one frame lies at (x + flow[0], y + flow[1]) in
the other. The method is dense inverse search (Kroeger, Timofte, Dai, Van Gool, "Fast Optical Flow using Dense Inverse
Search", ECCV 2016) as in OpenCV. It runs on the CPU, on small gray copies of the frames. Of frames on a GPU nothing
crosses but these copies, of one plane, mostly at half the size or less; the small flow goes back and is enlarged there.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from vidnoise.dct import BLOCK
from vidnoise.light import brightening, lines
from vidnoise.scaling import area_means, enlarged, means_around

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from vidnoise.frame import Frame

    Thumbnail = NDArray[np.uint8]
    Key = tuple[str, int]  # of a frame

THUMBNAIL_PIXELS = 360 * 640
"""Frames are shrunk to about this size before their flow is searched."""
SMALLEST_SIDE = 32
"""Thumbnails are padded to this side, since the search needs a few patches in each direction."""
FARTHEST = 3
"""How many times the span of frames whose motion is known it is taken to go on for."""
SLOW = 12
"""Pixels of a thumbnail: motion up to here is found best from nothing, beyond twice as much from where it is expected."""
FEW = 8
"""Of so many pixels of a thumbnail in each direction, one tells what motion is expected."""
KEPT = 16
"""Thumbnails and flow fields that are remembered: more than any look-ahead uses at once."""
CELL = 4
"""Pixels a side of a thumbnail, over which light is averaged."""

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True)
class Search:
    """How flow is searched: patches of 8x8 are matched from small to large, and the whole is then made smooth.

    Attributes:
        stride: pixels between patches.
        steps: of each patch towards its match.
        refinements: steps of the whole towards smooth flow, at each size; pictures move along it by parts of a pixel.
        least: what frames are shrunk by at the least.
    """

    stride: int
    steps: int
    refinements: int
    least: int = 2


QUICK = Search(6, 6, 0)
"""Takes half of the time of the usual; averages along it lose 0.05 dB, and fast motion is found less well. Fewer steps
of each patch follow noise less far."""
USUAL = Search(5, 8, 2)
FINE = Search(5, 8, 5, least=1)
"""Takes half as long again as the usual, for small frames six times as long; averages gain 0.05 to 0.15 dB."""


def warp(image: Tensor, flow: Tensor, *, cubic: bool = False) -> Tensor:
    """Sample an image along a flow: the value at p is that of `image` at p + flow(p).

    Bilinear, or bicubic (a = -0.75), which keeps detail through repeated warping. Points outside take the border's value.

    Args:
        image: (C,H,W) float32.
        flow: (2,H,W) float32 in pixels, on the same device.
        cubic: bicubic in place of bilinear.

    Returns:
        (C,H,W). The CPU (OpenCV's remap) and CUDA (grid_sample) agree to 1e-3 of the image's range.
    """
    return _warp_on_gpu(image, flow, cubic) if image.is_cuda else _warp_on_cpu(image, flow, cubic)


def occlusion(forward: Tensor, backward: Tensor) -> Tensor:
    """Where the flow from a to b finds no counterpart: its end flows back to elsewhere.

    A point is occluded where the two flows differ by more than a hundredth of their squared length plus half a pixel
    (Sundaram, Brox, Keutzer, "Dense Point Trajectories by GPU-accelerated Large Displacement Optical Flow", ECCV 2010).

    Args:
        forward: (2,H,W), from a to b.
        backward: (2,H,W), from b to a.

    Returns:
        (1,H,W) bool, on the grid of a.
    """
    back = warp(backward, forward)
    gap = (forward + back).square().sum(0, keepdim=True)
    length = (forward.square() + back.square()).sum(0, keepdim=True)
    return gap > 0.01 * length + 0.5


def visible(forward: Tensor, backward: Tensor) -> Tensor:
    """How surely each point of a is seen in b, (1,H,W), 0 to 1: the share of 5x5 pixels that `occlusion` does not name."""
    return 1 - means_around(occlusion(forward, backward).float(), 2)


def search(here: Tensor, there: Tensor) -> Tensor:
    """The flow (2,H,W) from one picture (3,H,W) to another, as `SharedFlow` finds it, on the first one's device."""
    height, width = here.shape[1:]
    k = shrinking(height, width)
    found = _searcher(USUAL).calc(thumbnail(here, k), thumbnail(there, k), None)
    return _enlarged(found, here, k)


def coarse(here: Tensor, there: Tensor) -> tuple[Tensor, int]:
    """The same, found quickly, as (2,h,w) vectors in pixels, one for each k x k pixels, and k.

    The vector of a cell is that of its middle; the last cells may lie beyond the picture.
    """
    import torch

    height, width = here.shape[1:]
    k = shrinking(height, width, QUICK)
    found = _searcher(QUICK).calc(thumbnail(here, k), thumbnail(there, k), None)
    return torch.from_numpy(found).to(here.device).permute(2, 0, 1) * k, k


class SharedFlow:
    """The optical flow of one scene: each ordered pair of frames is searched once, whichever filters ask for it.

    What is remembered is small: flow as it was found, enlarged for whoever asks. Frames are known by their pts, and by
    themselves where they have none. Filters may call it from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._thumbnails: OrderedDict[tuple[Key, int], tuple[Thumbnail, list[Frame]]] = OrderedDict()
        self._fields: OrderedDict[tuple[Key, Key, Search], tuple[NDArray[np.float32], list[Frame]]] = (
            OrderedDict()
        )
        self._searchers: dict[Search, Any] = {}

    def guide(self, frame: Frame, picture: Tensor, how: Search = USUAL) -> None:
        """Search with a cleaner picture (3,H,W) of this frame from now on: noise misleads the search."""
        k = shrinking(frame.height, frame.width, how)
        with self._lock:
            self._keep(self._thumbnails, (_key(frame), k), (thumbnail(picture, k), _held(frame)))

    def between(self, a: Frame, b: Frame, how: Search = USUAL) -> Tensor:
        """The flow (2,H,W) from a to b, on a's device: `warp(b.image, flow)` looks like `a.image`.

        Both frames must have one size.
        """
        with self._lock:
            small = self._field(a, b, how)
        return _enlarged(small, a.image, shrinking(a.height, a.width, how))

    def brightening(self, a: Frame, b: Frame, noise: float, how: Search = USUAL) -> Tensor:
        """How many times as bright as in b is what a shows, along the flow of `between`, by rows of blocks of 8x8 (h,1).

        The height is extended to an even number of blocks. See `light.brightening`.
        """
        k = shrinking(a.height, a.width, how)
        with self._lock:
            small = self._field(a, b, how)
            here, there = self._thumbnail(a, k), self._thumbnail(b, k)
        gain = _brightening(here, there, small, noise).to(a.image.device)
        return lines(gain, 2 * -(-a.height // (2 * BLOCK)), CELL * k / BLOCK)

    def occluded(self, a: Frame, b: Frame) -> Tensor:
        """(1,H,W) bool: the points of a that are not seen in b; see `occlusion`."""
        return occlusion(self.between(a, b), self.between(b, a))

    def _field(self, a: Frame, b: Frame, how: Search) -> NDArray[np.float32]:
        pair = _key(a), _key(b), how
        if pair not in self._fields:
            self._keep(self._fields, pair, (self._compute(a, b, how), _held(a, b)))
        return self._fields[pair][0]

    def _compute(self, a: Frame, b: Frame, how: Search) -> NDArray[np.float32]:
        if how not in self._searchers:
            self._searchers[how] = _searcher(how)
        k = shrinking(a.height, a.width, how)
        here, there = self._thumbnail(a, k), self._thumbnail(b, k)
        found: NDArray[np.float32] = self._searchers[how].calc(here, there, self._expected(a, b, here))
        return found

    def _expected(self, a: Frame, b: Frame, like: Thumbnail) -> NDArray[np.float32]:
        """Where to begin: the flow from a to b if fast motion found last, from one of them to some frame, goes on."""
        import numpy as np

        if a.pts is not None and b.pts is not None:
            for (start, end, _), (field, _) in reversed(self._fields.items()):
                if start not in (_key(a), _key(b)) or field.shape[:2] != like.shape or start == end:
                    continue
                times = (b.pts - a.pts) / (end[1] - start[1])
                if abs(times) <= FARTHEST:
                    return _fast(field, times)
        # Where it is told nothing, OpenCV may begin where it began the last time.
        return np.zeros((*like.shape, 2), np.float32)

    def _thumbnail(self, frame: Frame, k: int) -> Thumbnail:
        key = _key(frame), k
        if key not in self._thumbnails:
            self._keep(self._thumbnails, key, (thumbnail(frame.image, k), _held(frame)))
        return self._thumbnails[key][0]

    @staticmethod
    def _keep(store: OrderedDict[K, V], key: K, value: V) -> None:
        store.pop(key, None)
        store[key] = value
        while len(store) > KEPT:
            store.popitem(last=False)


def thumbnail(picture: Tensor, k: int) -> Thumbnail:
    """The gray 8-bit copy (h,w), k times as small, on which flow is searched, from a picture (3,H,W), nominally 0..1."""
    import torch.nn.functional as F

    _, height, width = picture.shape
    if height % k or width % k:
        picture = F.pad(picture[None], (0, -width % k, 0, -height % k), mode="replicate")[0]
    gray = area_means(picture, k).mean(0)
    more = max(0, SMALLEST_SIDE - gray.shape[1]), max(0, SMALLEST_SIDE - gray.shape[0])
    if any(more):
        gray = F.pad(gray[None, None], (0, more[0], 0, more[1]), mode="replicate")[0, 0]
    small: Thumbnail = gray.mul_(255).round_().clamp_(0, 255).byte().cpu().numpy()
    return small


def shrinking(height: int, width: int, how: Search = USUAL) -> int:
    """By how much a frame of this size is shrunk in each direction before the search."""
    return max(how.least, round(math.sqrt(height * width / THUMBNAIL_PIXELS)))


def _searcher(how: Search) -> Any:
    import cv2

    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    search.setFinestScale(0)
    search.setPatchSize(8)
    search.setPatchStride(how.stride)
    search.setGradientDescentIterations(how.steps)
    search.setVariationalRefinementIterations(how.refinements)
    return search


def _fast(field: NDArray[np.float32], times: float) -> NDArray[Any]:
    """So many times a flow (h,w,2) where that is fast, 0 elsewhere; roughly, as the search begins with few pixels."""
    import cv2

    few = field[::FEW, ::FEW] * times
    few *= (abs(few).max(2, keepdims=True) / SLOW - 1).clip(0, 1)
    return cv2.resize(few, field.shape[1::-1])


def _brightening(here: Thumbnail, there: Thumbnail, flow: NDArray[np.float32], noise: float) -> Tensor:
    import torch

    one, other = (torch.from_numpy(t)[None].float().div_(255) for t in (here, there))
    brought = warp(other, torch.from_numpy(flow).permute(2, 0, 1))
    return brightening(area_means(one, CELL)[0], area_means(brought, CELL)[0], noise)


def _enlarged(found: NDArray[np.float32], image: Tensor, k: int) -> Tensor:
    """The flow (h,w,2) of a thumbnail, k times as small, for the whole picture (2,H,W), vectors scaled along."""
    import torch

    height, width = image.shape[1:]
    small = torch.from_numpy(found).to(image.device).permute(2, 0, 1)
    small = small[:, : -(-height // k), : -(-width // k)] * k
    return enlarged(small.contiguous(), k)[:, :height, :width]


def _key(frame: Frame) -> Key:
    return ("pts", frame.pts) if frame.pts is not None else ("frame", id(frame))


def _held(*frames: Frame) -> list[Frame]:
    """Those that are known by themselves: they must live on, or another might pass for one of them."""
    return [frame for frame in frames if frame.pts is None]


def _points(flow: Tensor) -> tuple[Tensor, Tensor]:
    import torch

    _, height, width = flow.shape
    xs = torch.arange(width, device=flow.device, dtype=torch.float32)
    ys = torch.arange(height, device=flow.device, dtype=torch.float32)[:, None]
    return flow[0] + xs, flow[1] + ys


def _warp_on_cpu(image: Tensor, flow: Tensor, cubic: bool) -> Tensor:
    import cv2
    import torch

    xs, ys = (points.numpy() for points in _points(flow))
    how = cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR
    moved = torch.empty_like(image, memory_format=torch.contiguous_format)
    for source, target in zip(image, moved, strict=True):  # several channels at once take longer
        cv2.remap(source.numpy(), xs, ys, how, target.numpy(), borderMode=cv2.BORDER_REPLICATE)
    return moved


def _warp_on_gpu(image: Tensor, flow: Tensor, cubic: bool) -> Tensor:
    import torch
    import torch.nn.functional as F

    _, height, width = image.shape
    xs, ys = _points(flow)
    grid = torch.stack(((2 * xs + 1) / width - 1, (2 * ys + 1) / height - 1), -1)
    how = "bicubic" if cubic else "bilinear"
    moved = F.grid_sample(image[None], grid[None], mode=how, padding_mode="border", align_corners=False)
    return moved[0]
