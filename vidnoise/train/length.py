"""Training of the network that tells how long the blur of a picture is."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from torch import Generator, Tensor, nn

from ..nets.length import CELL, BlurLength, describe
from .blur import Picture, Scene
from .data import Media, Stills, for_numpy, generator, seeds
from .deblur import recorded
from .recipe import Recipe
from .tasks import VALIDATION_SEED, Batch, relight

ROOM = 64
"""Pixels by which a still is larger than what is seen of it."""
SHARP = 0.3
"""The share of pictures that are not blurred."""
SOFT = 0.4
"""The share that is out of focus, which is no blur of motion, by up to `DEFOCUS` pixels."""
DEFOCUS = 3.0
VALIDATED = 192
"""Pictures."""


class LengthTask:
    """Shaken stills, and how far they moved during the exposure."""

    def __init__(self, recipe: Recipe, media: Media, valid: Media | None, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.model: nn.Module = BlurLength()
        self.stills = Stills(media, CELL + ROOM, device)
        self.valid = Stills(valid, CELL + ROOM, device) if valid and valid.stills else None
        self.pool = ThreadPoolExecutor()

    def batch(self, source: Generator) -> Batch:
        """Descriptions of pictures and the logarithms of their blur's length."""
        return self._drawn(self.stills, self.recipe.batch, source)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The mean absolute difference: where a picture does not tell, the median is learned."""
        error: Tensor = model(batch["features"]) - batch["target"]
        return error.abs().mean()

    def validate(self, model: nn.Module) -> dict[str, float]:
        """The mean error of the logarithms where there is blur, and where there is none."""
        if self.valid is None:
            return {}
        error = (model(self._validation["features"]) - self._validation["target"]).abs().detach()
        sharp = self._validation["target"] < 1
        figures = {"blurred": float(error[~sharp].mean()), "sharp": float(error[sharp].mean())}
        return figures | {"score": -figures["blurred"] - figures["sharp"]}

    def picture(self, model: nn.Module) -> Tensor | None:
        """There is nothing to look at."""
        return None

    @cached_property
    def _validation(self) -> Batch:
        assert self.valid is not None
        return self._drawn(self.valid, VALIDATED, generator(VALIDATION_SEED, 0, self.device))

    def _drawn(self, stills: Stills, count: int, source: Generator) -> Batch:
        clean = for_numpy(relight(stills(count, source), source))
        made = list(self.pool.map(self._scene, clean, seeds(count, source)))
        pictures = torch.from_numpy(np.stack([picture for picture, _ in made])).to(self.device)
        gray = recorded(pictures.permute(0, 3, 1, 2)[:, None], source)[:, 0].mean(1)
        length = torch.tensor([length for _, length in made], device=self.device)
        return {"features": describe(gray), "target": (1 + length).log2()}

    def _scene(self, still: Picture, seed: int) -> tuple[Picture, float]:
        import cv2

        random = np.random.default_rng(seed)
        if random.uniform() < SOFT:
            still = np.asarray(cv2.GaussianBlur(still, (0, 0), random.uniform(0.3, DEFOCUS)), np.float32)
        longest = 0.5 if random.uniform() < SHARP else self.recipe.blur.longest * random.uniform()
        scene = Scene(still, still, CELL, replace(self.recipe.blur, longest=longest, layers=0), random)
        return scene.blurred(0), scene.length
