"""Recipes: what to train and how, as TOML."""

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .blur import Exposures
from .degrade import Mixture
from .motion import Moves

FOLDER = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Recipe:
    """One training run.

    Attributes:
        task: the kind of network: "spatial", "temporal", "deblur", or one of `nets.weights.ALONE`.
        tier: "fast" or "balanced"; nothing for kinds without tiers.
        minutes: how long, unless told otherwise; 0 where `steps` decides.
        steps: how many steps; 0 where `minutes` decides. Runs by steps repeat exactly.
        batch, size, frames: samples a step, side of the windows in pixels, frames of a clip.
        rate: the highest learning rate.
        muon: factor on the rate for convolutions, which are then trained by Muon; 0 for AdamW throughout.
        inherited: share of the rate for weights that the run started from.
        warmup: steps with a rising rate.
        decay: weight decay.
        clip: the highest norm of the gradient.
        ema: decay of the averaged weights.
        loss: "charbonnier", "l1", "logarithmic", "squared" or "mixed".
        steady: weight of the temporal consistency.
        target: "clean", or "noisy" for pairs of noisy versions (noise2noise).
        teacher: weights of the package by their name ("rcan"), or a safetensors file; nothing without one.
        taught: share of the teacher's results in the targets, above 0 to 1.
        folded: without batch normalisation, to go on from weights that ship, in which it is folded.
        int8: train with weights and activations rounded to 8 bits, in all layers but those that see pictures.
        synthetic: share of clips that are stills in motion.
        monochrome: share of samples that are gray; their white noise is the same in all channels.
        patience: stop after this many validations without a better one; 0 never.
        seed: of everything random.
        noise, moves, blur: shares of the noises, speeds of the stills in motion, and how they are exposed.
    """

    task: str
    tier: str = ""
    minutes: float = 0
    steps: int = 0
    batch: int = 32
    size: int = 128
    frames: int = 6
    rate: float = 6e-4
    muon: float = 0.0
    inherited: float = 1.0
    warmup: int = 300
    decay: float = 1e-4
    clip: float = 1.0
    ema: float = 0.999
    loss: str = "charbonnier"
    steady: float = 0.0
    target: str = "clean"
    teacher: str = ""
    taught: float = 0.0
    folded: bool = False
    int8: bool = False
    synthetic: float = 0.5
    monochrome: float = 0.0
    patience: int = 0
    seed: int = 1
    noise: Mixture = field(default_factory=Mixture)
    moves: Moves = field(default_factory=Moves)
    blur: Exposures = field(default_factory=Exposures)


def _fill(kind: type[Any], values: dict[str, Any], where: str) -> Any:
    known = {f.name for f in fields(kind)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise UsageError(f"{where} has no setting {unknown[0]!r}; it has {', '.join(sorted(known))}")
    try:
        return kind(**values)
    except TypeError as error:
        raise UsageError(f"{where}: {error}") from error


def parse(text: str, name: str) -> Recipe:
    """The recipe in a TOML text; UsageError names a wrong setting."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the recipe {name} is no valid TOML: {error}") from error
    tables = {"noise": Mixture, "moves": Moves, "blur": Exposures}
    for key, kind in tables.items():
        if key in values:
            values[key] = _fill(kind, values[key], f"[{key}] of the recipe {name}")
    recipe = _fill(Recipe, values, f"the recipe {name}")
    if not isinstance(recipe, Recipe) or (recipe.minutes <= 0) == (recipe.steps <= 0):
        raise UsageError(f"the recipe {name} must set either minutes or steps")
    if not 0 <= recipe.taught <= 1 or bool(recipe.teacher) != (recipe.taught > 0):
        raise UsageError(
            f"the recipe {name} has teacher={recipe.teacher!r} and taught={recipe.taught:g}; set both, taught above 0 up "
            f"to 1, or neither"
        )
    return recipe


def load_recipe(name: str) -> Recipe:
    """A recipe of the package by its name ("spatial-fast"), or a file by its path; UsageError if neither."""
    path = FOLDER / f"{name}.toml"
    path = path if path.is_file() else Path(name)
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in FOLDER.glob("*.toml")))
        raise UsageError(f"no recipe {name!r}: give a TOML file, or one of {names}")
    return parse(path.read_text(encoding="utf-8"), name)
