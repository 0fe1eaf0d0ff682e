"""Weights that a run starts from: what of other networks fits the one that is trained."""

from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ..errors import InputError, UsageError
from ..nets.weights import read_card


def load_into(model: nn.Module, name: str, paths: Sequence[Path]) -> set[str]:
    """Copy what fits, by name and shape, from safetensors files into a network.

    Args:
        model: what is trained; it is changed in place.
        name: how it is called.
        paths: later ones go before earlier ones.

    Returns:
        The names of the parameters that were found.

    Raises:
        InputError: a file is no safetensors file.
        UsageError: nothing in a file fits.
    """
    own = model.state_dict()
    found: dict[str, Tensor] = {}
    for path in paths:
        fits = {k: v.float() for k, v in _read(path).items() if k in own and own[k].shape == v.shape}
        if not fits:
            raise UsageError(
                f"nothing in {path} can be inherited: it holds {_network(path)}, and the recipe trains {name}; leave it "
                f"out, or give weights of a network that has layers in common with {name}"
            )
        found |= fits
    model.load_state_dict(own | found)
    return set(found)


def origin(path: Path) -> str:
    """Weights by their name, how long they were trained, and from what, as far as a card beside them says."""
    about = path.with_suffix(".json")
    if not about.is_file():
        return path.name
    card = read_card(about)
    return f"{path.name} ({card.minutes:g} minutes{card.inherited and f', from {card.inherited}'})"


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(
            f"{path} cannot be inherited from ({error}); give a .safetensors file that vidnoise train wrote, whole"
        ) from error


def _network(path: Path) -> str:
    about = path.with_suffix(".json")
    if not about.is_file():
        return "the weights of a network that no card beside it names"
    card = read_card(about)
    return f"the weights of {card.name}"
