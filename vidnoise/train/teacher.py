"""Distillation: a small network learns from what a larger one makes of the same pictures, beside the clean ones.

Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", 2015: what a trained network answers is an easier
target than the truth, as it leaves out what cannot be known from the input.
"""

from pathlib import Path

import torch
from torch import Generator, Tensor, nn

from ..device import multiplies_bfloat16
from ..errors import UsageError
from ..nets.weights import FOLDER, channels_last, read
from .recipe import Recipe
from .tasks import Batch, Task

OTHERS = {"temporal", "deblur", "mprnet-deblur", "blur", "change", "level", "shrinkage"}
"""Kinds of networks that do not take a noisy picture and its noise level alone."""


class Taught:
    """A task for single pictures whose targets are mixed with the results of a teacher, which never learns.

    Args:
        task: what is trained; its batches have `noisy`, `sigma` and `target`.
        recipe: names the teacher and its share of the targets.
        device: where the batches are.

    Raises:
        UsageError: there is no such teacher, or teacher or student are no networks for single pictures.
    """

    def __init__(self, task: Task, recipe: Recipe, device: torch.device) -> None:
        if recipe.task in OTHERS:
            raise UsageError(
                f"the task {recipe.task!r} takes no teacher; only networks for single pictures do"
            )
        self.task, self.share = task, recipe.taught
        self.model = task.model
        self.teacher = _teacher(recipe.teacher).to(device)

    def batch(self, source: Generator) -> Batch:
        """The task's samples, the teacher's results mixed into their targets."""
        batch = self.task.batch(source)
        noisy, sigma = batch["noisy"], batch["sigma"]
        half = multiplies_bfloat16(noisy.device)
        with torch.no_grad(), torch.autocast(noisy.device.type, torch.bfloat16, enabled=half):
            told = self.teacher(noisy, sigma).float()
        return batch | {"target": torch.lerp(batch["target"], told, self.share)}

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The task's."""
        return self.task.loss(model, batch)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """The task's: against clean pictures alone."""
        return self.task.validate(model)

    def picture(self, model: nn.Module) -> Tensor | None:
        """The task's."""
        return self.task.picture(model)


def _teacher(name: str) -> nn.Module:
    path = FOLDER / f"{name}.safetensors"
    path = path if path.is_file() else Path(name)
    if not path.is_file():
        shipped = ", ".join(sorted(p.stem for p in FOLDER.glob("*.safetensors")))
        raise UsageError(
            f"the recipe's teacher {name!r} is no file and no weights of the package ({shipped}); give the path of a "
            f".safetensors file that vidnoise train wrote, its card beside it"
        )
    network, card = read(path)
    if card.kind in OTHERS:
        raise UsageError(
            f"the recipe's teacher {name!r} is of kind {card.kind!r}; give weights for single pictures"
        )
    return channels_last(network.requires_grad_(False).eval())
