"""Training of MPRNet: what each stage makes is held against the target, so that the first hands on a picture."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Generator, Tensor, nn

from ..deconvolution import deconvolve
from ..nets.mprnet import MPRNet, MPRNetDeblurrer
from .blur import Picture, Scene
from .deblur import ALONE, DeblurTask, recorded
from .losses import psnr
from .tasks import Batch, SpatialTask


class MPRNetTask(SpatialTask):
    """Single noisy pictures."""

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The recipe's loss of both stages."""
        assert isinstance(model, MPRNet)
        return supervised(self.measure, model.both(batch["noisy"], batch["sigma"]), batch["target"])


class MPRNetDeblurTask(DeblurTask):
    """Single blurred pictures."""

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The recipe's loss of both stages."""
        assert isinstance(model, MPRNetDeblurrer)
        return supervised(self.measure, model.both(batch["blurred"], batch["undone"]), batch["sharp"])

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Mean PSNR of the validation samples, and of the blurred ones."""
        if self.valid is None:
            return {}
        blurred, undone, sharp = self.valid.values()
        parts = zip(torch.split(blurred, 8), torch.split(undone, 8), strict=True)
        done = torch.cat([model(*part) for part in parts])
        figures = {"blurred": float(psnr(blurred, sharp).mean()), "psnr": float(psnr(done, sharp).mean())}
        return figures | {"score": figures["psnr"]}

    def _restored(self, model: nn.Module, batch: Batch) -> Tensor:
        restored: Tensor = model(batch["blurred"], batch["undone"])
        return restored

    def _scene(self, back: Picture, front: Picture, seed: int) -> tuple[Picture, Picture]:
        scene = Scene(back, front, self.recipe.size, self.recipe.blur, np.random.default_rng(seed))
        return scene.blurred(0.0)[None], scene.sharp()

    def _averaged(self, source: Generator) -> tuple[Tensor, Tensor]:
        frames, sharp = super()._averaged(source)
        return frames[:, 1:2], sharp

    def _finish(self, frames: Tensor, sharp: Tensor, source: Generator, alone: float = ALONE) -> Batch:
        blurred = recorded(frames, source)[:, 0]
        return {"blurred": blurred, "undone": self._undone(blurred), "sharp": sharp}

    def _undo(self, gray: Tensor, chances: Tensor) -> Tensor:
        return deconvolve(gray, chances)


def supervised(
    measure: Callable[[Tensor, Tensor], Tensor], pictures: Sequence[Tensor], target: Tensor
) -> Tensor:
    """The sum of a loss over what all stages make."""
    return torch.stack([measure(picture, target) for picture in pictures]).sum()
