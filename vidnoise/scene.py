"""Scene cuts, found while streaming and without waiting for later frames.

Frames are compared as small luma thumbnails, block by block: within one scene most blocks of a frame are found again
nearby in the frame before, whatever camera and objects do, and whatever the light does, since blocks are matched by
normalised cross-correlation (Lewis, "Fast normalized cross-correlation", 1995). At a cut they are not. A frame that
matches any of the last few is no cut, so the end of a flash is none; a frame without structure, such as a white-out or
black, decides nothing and is not remembered.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from vidnoise.strips import at_once

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Thumbnail = NDArray[np.float32]

WIDTH, HEIGHT = 64, 36
BLOCK_W, BLOCK_H = 16, 12
REACH_X, REACH_Y = 8, 6
"""How far a block is searched for, in pixels of the thumbnail: an eighth of the width."""

ALWAYS, NEVER, USUAL = 0.53, 0.38, 2.5
"""A frame starts a scene where the share of structure not found again is over `USUAL` times what is usual in this
scene, but over `ALWAYS` it does in any case and under `NEVER` it does not."""

AFTER_FLASH = 0.68
"""The same bound for the frame after a flash, in which what moved has moved on unseen."""

GLOBAL_SHARE = 0.3
MEMORY = 4
FLAT = 3.0
"""Mean deviation inside blocks, in units of 1/255, below which a frame has no structure to compare."""

WASHED = 0.4
"""The share of the structure before that a flash may leave for a frame to be compared all the same."""


class CutDetector:
    """Tells for each frame of one stream whether it starts a new scene; the first frame does not.

    Only a thumbnail of 64x36 pixels leaves the frame's device.
    """

    def __init__(self) -> None:
        self._recent: deque[Thumbnail] = deque(maxlen=MEMORY)
        self._usual: deque[float] = deque(maxlen=2 * MEMORY)
        self._structure = 0.0
        self._lit = 0

    def push(self, image: Tensor) -> bool:
        """Take the next frame (3,H,W), RGB in 0..1; True where it belongs to another scene than those before."""
        (frame,) = at_once(image, lambda: thumbnail(image))
        noise = _noise_variance(frame)
        structure = _structure(frame, noise)
        if not self._recent:
            self._remember(frame, structure)
            return False
        if structure < max(FLAT, 1.3 * noise**0.5):
            return False
        lit = self._lit < MEMORY and _is_lit(frame, self._recent)
        if lit and structure < WASHED * self._structure:
            self._lit += 1
            return False
        return self._decide(frame, structure, noise, lit)

    def _decide(self, frame: Thumbnail, structure: float, noise: float, lit: bool) -> bool:
        threshold = self._threshold(lit)
        difference = 1.0
        for past in reversed(self._recent):
            difference = min(difference, _difference(past, frame, noise))
            if difference <= threshold:
                break
        cut = difference > threshold
        self._lit = 0
        if cut:
            self._recent.clear()
            self._usual.clear()
        else:
            self._usual.append(difference)
        self._remember(frame, structure)
        return cut

    def _threshold(self, lit: bool) -> float:
        if self._lit:
            return AFTER_FLASH
        if lit or len(self._usual) < 2:
            return ALWAYS
        return max(NEVER, min(ALWAYS, USUAL * statistics.median(self._usual)))

    def _remember(self, frame: Thumbnail, structure: float) -> None:
        self._recent.append(frame)
        self._structure = structure


def thumbnail(image: Tensor) -> Thumbnail:
    """The luma of an image (3,H,W) in 0..1 as a 64x36 array in 0..255, on the CPU."""
    import torch.nn.functional as nnf

    # Every other pixel is enough for means over blocks of many pixels, and a quarter of the memory is read.
    step = 2 if image.shape[-1] >= 16 * WIDTH and image.shape[-2] >= 16 * HEIGHT else 1
    red, green, blue = image[:, ::step, ::step].float()
    luma = (red * 0.299).add_(green, alpha=0.587).add_(blue, alpha=0.114)
    small = nnf.interpolate(luma[None, None], (HEIGHT, WIDTH), mode="area")[0, 0]
    return (small * 255).clamp(0, 255).cpu().numpy()


def _difference(past: Thumbnail, frame: Thumbnail, noise: float) -> float:
    """From 0, all structure is found again, to 1, none is; the better of both directions in time."""
    blocks = max(_found_in_blocks(past, frame, noise), _found_in_blocks(frame, past, noise))
    whole = max(_found_whole(past, frame), _found_whole(frame, past))
    return (1 - GLOBAL_SHARE) * (1 - blocks) + GLOBAL_SHARE * (1 - whole)


def _found_in_blocks(where: Thumbnail, what: Thumbnail, noise: float) -> float:
    """The share of the structure of `what` that its blocks' best matches in `where` explain."""
    import cv2

    wide = cv2.copyMakeBorder(where, REACH_Y, REACH_Y, REACH_X, REACH_X, cv2.BORDER_REPLICATE)
    found = total = 0.0
    for y in range(0, HEIGHT, BLOCK_H):
        for x in range(0, WIDTH, BLOCK_W):
            block = what[y : y + BLOCK_H, x : x + BLOCK_W]
            variance = float(block.var())
            signal = variance - noise
            if signal <= 0:
                continue
            region = wide[y : y + BLOCK_H + 2 * REACH_Y, x : x + BLOCK_W + 2 * REACH_X]
            # Noise lowers every correlation by the same factor; undo that.
            explained = min(_best_match(region, block) ** 2 * variance / signal, 1.0)
            found += explained * signal**0.5
            total += signal**0.5
    return found / total if total else 1.0


def _found_whole(where: Thumbnail, what: Thumbnail) -> float:
    """The correlation of the blurred pictures as wholes, at the best shift."""
    import cv2

    core = cv2.GaussianBlur(what, (0, 0), 1.5)[4:-4, 8:-8]
    return _best_match(cv2.GaussianBlur(where, (0, 0), 1.5), core) if core.std() >= 0.5 else 0.0


def _best_match(region: Any, block: Any) -> float:
    import cv2
    import numpy as np

    correlation = cv2.matchTemplate(region, block, cv2.TM_CCOEFF_NORMED)
    return float(np.clip(np.nan_to_num(correlation, posinf=0, neginf=0).max(), 0, 1))


def _is_lit(frame: Thumbnail, recent: Iterable[Thumbnail]) -> bool:
    """Whether the frame is brighter than those before and a further tenth of it is nearly white, as in a flash."""
    means, whites = zip(*((past.mean(), (past > 240).mean()) for past in recent), strict=True)
    return bool((frame > 240).mean() - min(whites) > 0.1 and frame.mean() - means[-1] > 15)


def _structure(frame: Thumbnail, noise: float) -> float:
    """The mean deviation inside blocks, less that of the noise."""
    import numpy as np

    blocks = frame.reshape(HEIGHT // BLOCK_H, BLOCK_H, WIDTH // BLOCK_W, BLOCK_W).var(axis=(1, 3))
    return float(np.sqrt(np.maximum(blocks - noise, 0)).mean())


def _noise_variance(frame: Thumbnail) -> float:
    """The variance of the thumbnail's own noise, by Immerkaer's mask (1996) and a median for robustness."""
    import cv2
    import numpy as np

    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    residue = np.abs(cv2.filter2D(frame, -1, mask))
    return float((np.median(residue) / 0.6745) ** 2 / 36)
