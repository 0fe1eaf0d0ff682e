"""Scene cuts in a stream, found on small luma thumbnails.

Two frames belong to one scene when the blocks of one are found again near their place in the other. The
likeness is the normalised cross-correlation (Lewis 1995), which neither a change of exposure nor a steady
pan disturbs, and averaging whole cells into thumbnails leaves little of the noise. A flash brightens and
saturates; it is recognised by matching the histogram of the frame before to its own, and by the frames
after it, which resemble those before.
"""

from __future__ import annotations

from collections import deque
from itertools import product

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from vidnoise.errors import UsageError

Thumbnail = npt.NDArray[np.float32]

_SIZE = 64  # of the longer side of a thumbnail, in cells
_ROWS = 4  # rows of pixels averaged per cell, of those it covers
_BLOCK = (12, 16)  # rows, columns of cells
_REACH = (6, 10)  # how far a block may have moved, in cells: pans of 15 % of the width a frame
_LIKE = 0.645  # mean correlation of the blocks of one scene; measured: cuts up to 0.61, fast motion from 0.67
_STILL = 0.02  # mean difference that needs no comparing of blocks
_FLAT = 0.01  # deviation of a block that noise alone can make
_BRIGHTER = 0.08  # mean brightness that a flash adds at least
_WHITE, _BLOWN = 0.9, 0.8  # brightness of a saturated cell; share of them that leaves nothing to compare
_BACK = 4  # frames to compare with, so that a flash of three can be looked past


class CutDetector:
    """Finds the first frame of each scene while the stream runs.

    Only a thumbnail of at most 64x64 values leaves the image's device. Gradual transitions are not cuts.

    Args:
        ahead: frames that are looked at before a frame is decided. 0 decides at once, for live streams;
            with 3, a flash of up to 3 frames is told from a cut by what follows it, too. A cut to a frame
            that is white nearly all over is found when something else shows, or up to 3 frames late.
    """

    def __init__(self, ahead: int = 0) -> None:
        if ahead < 0:
            raise UsageError(f"cut detection cannot look {ahead} frames ahead: give 0 or more")
        self._ahead = ahead
        self._scene: deque[Thumbnail] = deque(maxlen=_BACK)
        self._waiting: deque[Thumbnail] = deque()
        self.reset()

    def reset(self) -> None:
        """Forget the stream: the next frame is the first of another. Frames not yet decided are dropped."""
        self._scene.clear()
        self._waiting.clear()
        self._blown = 0

    def push(self, image: Tensor) -> list[bool]:
        """Take the next frame (3,H,W), RGB in [0,1], on any device.

        Returns:
            Whether the frame pushed `ahead` frames earlier starts a scene; empty while there is none. The
            first frame of a stream is no cut.

        Raises:
            UsageError: the frame is not of shape (3,H,W) and of a floating type.
        """
        self._waiting.append(_thumbnail(image))
        return [self._decide()] if len(self._waiting) > self._ahead else []

    def flush(self) -> list[bool]:
        """End the stream: return the decisions on the frames still held, and be as new."""
        decisions = [self._decide() for _ in range(len(self._waiting))]
        self.reset()
        return decisions

    def _decide(self) -> bool:
        frame = self._waiting.popleft()
        blown = bool((frame > _WHITE).mean() > _BLOWN)
        cut = bool(self._scene) and not self._belongs(frame, blown)
        if cut:
            self._scene.clear()
        self._blown = self._blown + 1 if blown and not cut else 0
        if not (blown and self._scene) or self._blown >= _BACK:
            self._scene.append(frame)
        return cut

    def _belongs(self, frame: Thumbnail, blown: bool) -> bool:
        if blown and self._blown < _BACK - 1:
            return True
        pairs = product((frame, *self._waiting), reversed(self._scene))
        return any(_alike(before, later) for later, before in pairs)


def _thumbnail(image: Tensor) -> Thumbnail:
    """Average the luma (BT.601 weights) of cells, at most 64 to a side, from some rows of each."""
    if image.ndim != 3 or image.shape[0] != 3 or 0 in image.shape or not image.is_floating_point():
        raise UsageError(
            "cuts are detected on floating images of shape (3,H,W); "
            f"this one is of {tuple(image.shape)} and {image.dtype}"
        )
    height, width = image.shape[1:]
    scale = min(1.0, _SIZE / max(height, width))
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    some = image[:, :: max(1, height // rows // _ROWS)].float()
    small = F.adaptive_avg_pool2d(some, (rows, columns))
    weights = torch.tensor([0.299, 0.587, 0.114], device=image.device)
    thumbnail: Thumbnail = torch.einsum("chw,c->hw", small, weights).cpu().numpy()
    return thumbnail


def _alike(old: Thumbnail, new: Thumbnail) -> bool:
    if old.shape != new.shape:
        return False
    if float(np.abs(new - old).mean()) < _STILL or _likeness(old, new) > _LIKE:
        return True
    return bool(new.mean() - old.mean() > _BRIGHTER) and _likeness(_equalised(old, new), new) > _LIKE


def _equalised(old: Thumbnail, new: Thumbnail) -> Thumbnail:
    """Give `old` the histogram of `new`: what a flash on the same scene would look like."""
    result = np.empty_like(old)
    result.flat[np.argsort(old, axis=None, kind="stable")] = np.sort(new, axis=None)
    return result


def _likeness(old: Thumbnail, new: Thumbnail) -> float:
    """Mean correlation of the blocks of `new` with the best place near theirs in `old`, by their contrast."""
    rows, columns = min(_BLOCK[0], new.shape[0]), min(_BLOCK[1], new.shape[1])
    down, across = _REACH
    around = cv2.copyMakeBorder(old, down, down, across, across, cv2.BORDER_REPLICATE)
    total = weights = 0.0
    for top in _places(new.shape[0], rows):
        for left in _places(new.shape[1], columns):
            block = new[top : top + rows, left : left + columns]
            weight = float(block.std()) - _FLAT
            if weight <= 0:
                continue
            near = around[top : top + rows + 2 * down, left : left + columns + 2 * across]
            found = cv2.matchTemplate(near, block, cv2.TM_CCOEFF_NORMED)
            total += weight * float(np.nan_to_num(found, posinf=0.0).max())
            weights += weight
    return total / weights if weights else 0.0


def _places(length: int, block: int) -> list[int]:
    return [int(place) for place in np.linspace(0, length - block, length // block)]
