"""Training of the network that tells which motion blurred a picture."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from ..device import multiplies_bfloat16
from ..nets import load
from ..nets.blur import SIDE, BlurMotion, chances_of, describe
from .blur import Picture, Scene
from .data import Media, Stills, for_numpy, generator, seeds
from .deblur import recorded
from .degrade import eight_bit, uniform, white
from .recipe import Recipe
from .tasks import VALIDATION_SEED, Batch, Task, relight

ROOM = 64
"""Pixels by which a still is larger than what is seen of it."""
SHARP = 0.25
"""The share of pictures that are not blurred."""
SOFT = 0.3
"""The share that is out of focus, which is no blur of motion, by up to `DEFOCUS` pixels."""
DEFOCUS = 3.0
SHORTEST = 2.0
"""Pixels that blur is long, at least, where there is any."""
CLEANED = 0.4
"""The share that was denoised: what is left at fine detail is then the denoiser's, and hides the stripes of the blur."""
NOISIEST = 14 / 255
"""Deviation of the noise that was there before."""
MISTAKEN = (0.6, 1.2)
"""What the denoiser took for that noise, as a share of it."""
CODED = 0.4
"""The share that went through H.264."""
CLEANER = "wavelet"
"""The denoiser: quick, and its weights are at hand."""
CELL = 16
"""Pixels: the side of squares in which the motion is looked at; those in the middle of an area count most."""
VALIDATED = 96
"""Pictures."""


class BlurMotionTask(Task):
    """Shaken stills, and how what is seen in them moved during the exposure."""

    def __init__(self, recipe: Recipe, media: Media, valid: Media | None, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.model: nn.Module = BlurMotion()
        self.stills = Stills(media, SIDE + ROOM, device)
        self.valid = Stills(valid, SIDE + ROOM, device) if valid else None
        self.pool = ThreadPoolExecutor()

    def batch(self, source: Generator) -> Batch:
        """Descriptions of pictures and the chances of their motions."""
        return self._drawn(self.stills, self.recipe.batch, source)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The cross entropy of the motions."""
        return _surprise(model(batch["profiles"]), batch["chances"])

    def validate(self, model: nn.Module) -> dict[str, float]:
        """The cross entropy, and how likely sharp and blurred areas are taken for the other."""
        if self.valid is None:
            return {}
        told, true = model(self._validation["profiles"]), self._validation["chances"]
        found = told.float().softmax(1)[:, 0]
        sharp = true[:, 0] > 0.5
        wrong = {"sharp": 1 - found[sharp].mean(), "blurred": found[~sharp].mean()}
        surprise = float(_surprise(told, true).detach())
        return {name: float(value.detach()) for name, value in wrong.items()} | {"score": -surprise}

    @cached_property
    def _validation(self) -> Batch:
        assert self.valid is not None
        return self._drawn(self.valid, VALIDATED, generator(VALIDATION_SEED, 0, self.device))

    def _drawn(self, stills: Stills, count: int, source: Generator) -> Batch:
        clean = for_numpy(relight(stills(2 * count, source), source))
        made = list(self.pool.map(self._scene, clean[:count], clean[count:], seeds(count, source)))
        pictures = torch.from_numpy(np.stack([picture for picture, _ in made])).to(self.device)
        pictures = pictures.permute(0, 3, 1, 2)
        cleaned = round(CLEANED * count)
        pictures = torch.cat([self._cleaned(pictures[:cleaned], source), pictures[cleaned:]])
        gray = recorded(pictures[:, None], source, CODED)[:, 0].mean(1)
        motion = torch.from_numpy(np.stack([motion for _, motion in made])).to(self.device)
        chances = chances_of(motion.flatten(0, 2)).view(*motion.shape[:3], -1)
        line = torch.hann_window(SIDE // CELL + 2, periodic=False, device=self.device)[1:-1]
        weights = line * line[:, None] / line.sum() ** 2
        return {"profiles": describe(gray), "chances": torch.einsum("bhwm,hw->bm", chances, weights)}

    def _cleaned(self, pictures: Tensor, source: Generator) -> Tensor:
        """Pictures (B,3,H,W) after noise and a denoiser that did not know it well."""
        sigma = uniform(len(pictures), 0, NOISIEST, source)
        noisy = eight_bit(white(pictures, sigma, source))
        half = multiplies_bfloat16(self.device)
        cleaner = load(CLEANER, self.device, torch.bfloat16 if half else torch.float32)
        with torch.no_grad():
            return eight_bit(cleaner(noisy, sigma * uniform(len(pictures), *MISTAKEN, source)))

    def _scene(self, back: Picture, front: Picture, seed: int) -> tuple[Picture, NDArray[np.float32]]:
        import cv2

        random = np.random.default_rng(seed)
        if random.uniform() < SOFT:
            wide = random.uniform(0.3, DEFOCUS)
            back, front = (np.asarray(cv2.GaussianBlur(x, (0, 0), wide), np.float32) for x in (back, front))
        most = self.recipe.blur.longest
        length = 0.5 if random.uniform() < SHARP else SHORTEST * (most / SHORTEST) ** random.uniform()
        settings = replace(self.recipe.blur, shortest=length, longest=length)
        scene = Scene(back, front, SIDE, settings, random)
        return scene.blurred(0), scene.motion(CELL)


def _surprise(logits: Tensor, chances: Tensor) -> Tensor:
    return -(chances * logits.float().log_softmax(1)).sum(1).mean()
