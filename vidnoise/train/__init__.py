"""Training: data, degradations, losses, recipes and the loop."""

from .data import Media, read_folder
from .degrade import Mixture
from .loop import Options, Result, train
from .motion import Moves, animate
from .recipe import Recipe, load_recipe

__all__ = [
    "Media",
    "Mixture",
    "Moves",
    "Options",
    "Recipe",
    "Result",
    "animate",
    "load_recipe",
    "read_folder",
    "train",
]
