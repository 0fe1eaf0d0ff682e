"""Recipes: what to train and how, as TOML."""

import tomllib
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from ..errors import UsageError
from ..nets.tiers import TIERS
from ..nets.weights import ALONE, TIERED
from ..options import option
from .blur import Exposures
from .degrade import Mixture
from .losses import LOSSES
from .motion import Moves
from .settings import fill, hold, share

FOLDER = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Recipe:
    """One training run. `held` holds it against the types, ranges and choices of these fields."""

    task: str = option(help="the kind of network", choices=(*TIERED, *ALONE))
    tier: str = option("", help="nothing for kinds without tiers", choices=tuple(TIERS))
    minutes: float = option(0, help="how long, unless told otherwise; 0 where `steps` decides", low=0)
    steps: int = option(0, help="0 where `minutes` decides; runs by steps repeat exactly", low=0)
    batch: int = option(32, help="samples a step", low=1, high=4096)
    size: int = option(128, help="side of the windows", low=16, unit="pixels", step=16)
    frames: int = option(6, help="frames of a clip", low=2)
    rate: float = option(6e-4, help="the highest learning rate", low=1e-9, high=1)
    muon: float = option(
        0.0,
        help="factor on the rate for convolutions, which are then trained by Muon; 0 for AdamW throughout",
        low=0,
    )
    inherited: float = share(1.0, help="share of the rate for weights that the run started from")
    warmup: int = option(300, help="steps with a rising rate", low=0)
    decay: float = share(1e-4, help="weight decay")
    clip: float = option(1.0, help="the highest norm of the gradient", low=1e-6)
    ema: float = share(0.999, help="decay of the averaged weights")
    loss: str = option("charbonnier", help="what is made small", choices=tuple(LOSSES))
    steady: float = option(0.0, help="weight of the temporal consistency", low=0)
    target: str = option(
        "clean", help='"noisy" for pairs of noisy versions (noise2noise)', choices=("clean", "noisy")
    )
    teacher: str = option(
        "", help='weights of the package by their name ("rcan"), or a safetensors file; nothing without one'
    )
    taught: float = share(
        0.0, help="share of the teacher's results in the targets, above 0 where there is one"
    )
    folded: bool = option(
        False,
        help="without batch normalisation, to go on from weights that ship, in which it is folded",
    )
    int8: bool = option(
        False,
        help="weights and activations rounded to 8 bits, in all layers but those that see pictures",
    )
    synthetic: float = share(0.5, help="share of clips that are stills in motion")
    monochrome: float = share(
        0.0, help="share of samples that are gray; their white noise is the same in all channels"
    )
    again: int = option(
        0,
        help="steps after which the same samples come again, kept, where they take long to make; 0 never",
        low=0,
    )
    patience: int = option(0, help="stop after this many validations without a better one; 0 never", low=0)
    seed: int = option(1, help="of everything random", low=0, high=2**32 - 1)
    noise: Mixture = field(default_factory=Mixture)
    moves: Moves = field(default_factory=Moves)
    blur: Exposures = field(default_factory=Exposures)


def parse(text: str, name: str) -> Recipe:
    """The recipe in a TOML text; UsageError names a wrong setting."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the recipe {name} is no valid TOML: {error}") from error
    return held(fill(Recipe, values, f"the recipe {name}"), f"the recipe {name}")


def held(recipe: Recipe, where: str) -> Recipe:
    """The recipe, if it can be trained; UsageError, which `where` begins, names a wrong setting."""
    hold(recipe, where)
    if (recipe.minutes == 0) == (recipe.steps == 0):
        raise UsageError(f"{where} must set either minutes or steps")
    if bool(recipe.tier) != (recipe.task in TIERED):
        raise UsageError(
            f"{where} has task={recipe.task!r} and tier={recipe.tier!r}; a tier ({', '.join(TIERS)}) is set for "
            f"{', '.join(TIERED)}, and for them alone"
        )
    if bool(recipe.teacher) != (recipe.taught > 0):
        raise UsageError(
            f"{where} has teacher={recipe.teacher!r} and taught={recipe.taught:g}; set both, taught above 0 up to 1, "
            f"or neither"
        )
    if recipe.blur.shortest > recipe.blur.longest:
        raise UsageError(
            f"[blur] of {where} has shortest={recipe.blur.shortest:g} above longest={recipe.blur.longest:g}"
        )
    return recipe


def load_recipe(name: PathLike[str] | str) -> Recipe:
    """A recipe of the package by its name ("spatial-fast"), or a file by its path; UsageError if neither."""
    path = FOLDER / f"{name}.toml"
    path = path if path.is_file() else Path(name)
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in FOLDER.glob("*.toml")))
        raise UsageError(f"no recipe {str(name)!r}: give a TOML file, or one of {names}")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the recipe {name} cannot be read as text: {error}") from error
    return parse(text, str(name))
