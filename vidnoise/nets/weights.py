"""Trained weights: float16 safetensors with a model card beside each, checked when loaded."""

import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load as parse
from safetensors.torch import save as serialise
from torch import nn

from ..errors import VidnoiseError
from .blur import BlurMotion
from .cbdnet import CBDNet
from .dcae import DCAE
from .deblur import Deblurrer
from .dncnn import DnCNN
from .dwnet import DWNet
from .ffdnet import FFDNet
from .level import NoiseChange, NoiseLevel
from .masked import Masked
from .mprnet import MPRNet, MPRNetDeblurrer
from .rcan import RCAN
from .rounded import round_groups
from .shrinkage import Shrinkage
from .spatial import PictureDenoiser, SpatialDenoiser
from .temporal import TemporalDenoiser
from .tiers import Tier, tier
from .wavelet import Wavelet

TIERED: dict[str, Callable[[Tier], nn.Module]] = {
    "spatial": SpatialDenoiser,
    "temporal": TemporalDenoiser,
    "deblur": Deblurrer,
}
LITERATURE: dict[str, Callable[[], PictureDenoiser]] = {
    "cbdnet": CBDNet,
    "dcae": DCAE,
    "dncnn": DnCNN,
    "dwnet": DWNet,
    "ffdnet": FFDNet,
    "masked": Masked,
    "mprnet": MPRNet,
    "rcan": RCAN,
    "wavelet": Wavelet,
}
"""Denoisers for single pictures."""
ALONE: dict[str, Callable[[], nn.Module]] = {
    "blur": BlurMotion,
    "change": NoiseChange,
    "level": NoiseLevel,
    "mprnet-deblur": MPRNetDeblurrer,
    "shrinkage": Shrinkage,
    **LITERATURE,
}
FOLDER = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Card:
    """What is known about a set of weights; kept as JSON beside it.

    Attributes:
        kind: one of `TIERED` ("spatial", "temporal", "deblur") or `ALONE` ("level", "dncnn", ...).
        tier: "fast" or "balanced"; nothing for kinds that are `ALONE`.
        sha256: of the safetensors file.
        parameters: how many learned values.
        kflop: thousands of operations a pixel and frame.
        data: the sets it was trained on, with their licences.
        recipe, minutes, steps, hardware: how it was trained.
        inherited: the weights that it was trained from, and for how long those were; nothing for a start at random.
        figures: what it reached, by name of the measurement.
        reach: what computing in 8 bits needs, see `rounded.observed`; nothing where it was not seen.
        licence: of the weights.
    """

    kind: str
    tier: str
    sha256: str
    parameters: int
    kflop: float
    data: str
    recipe: str
    minutes: float
    steps: int
    hardware: str
    licence: str = "the terms of the data it was trained on"
    inherited: str = ""
    figures: dict[str, float] = field(default_factory=dict)
    reach: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Kind and tier, as weights are called: "spatial-fast", "dncnn"."""
        return called(self.kind, self.tier)


def called(kind: str, tier: str) -> str:
    """What the weights of a kind and tier, or of a kind without one, are called."""
    return f"{kind}-{tier}" if tier else kind


def channels_last(network: nn.Module) -> nn.Module:
    """The network with its convolutions in the memory format that is fastest; changes it in place."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


def build(kind: str, name: str) -> nn.Module:
    """An untrained network of a kind ("spatial", "temporal", "deblur") and tier, or of a kind without one."""
    if kind in ALONE:
        return ALONE[kind]()
    if kind not in TIERED:
        raise VidnoiseError(f"no network is called {kind!r}: choose one of {', '.join([*TIERED, *ALONE])}")
    return TIERED[kind](tier(name))


def save(module: nn.Module, path: Path) -> str:
    """Write a network's weights as float16 safetensors and return the file's sha256."""
    state = {k: v.detach().to("cpu", torch.float16).contiguous() for k, v in module.state_dict().items()}
    content = serialise(state)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def read_card(path: Path) -> Card:
    """The card at `path`; VidnoiseError if it is missing or not a card."""
    try:
        return Card(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise VidnoiseError(
            f"{path} cannot be read as a model card ({_reason(error)}); {_remedy(path)}"
        ) from error


def write_card(card: Card, path: Path) -> None:
    """Write the card as JSON."""
    path.write_text(json.dumps(asdict(card), indent=2) + "\n", encoding="utf-8")


def read(path: Path) -> tuple[nn.Module, Card]:
    """The network and the card of the safetensors file at `path`, checked against each other.

    Raises:
        VidnoiseError: a file is missing, was changed, or does not fit the network that its card names.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise VidnoiseError(
            f"the weights {path} cannot be read ({_reason(error)}); {_remedy(path)}"
        ) from error
    card = read_card(path.with_suffix(".json"))
    if hashlib.sha256(content).hexdigest() != card.sha256:
        raise VidnoiseError(f"{path} is not the file its model card names (sha256 differs); {_remedy(path)}")
    # What a network begins with is replaced; the program's own numbers go on.
    with torch.random.fork_rng(devices=[]):
        network = build(card.kind, card.tier)
    try:
        network.load_state_dict({k: v.float() for k, v in parse(content).items()})
    except RuntimeError as error:
        raise VidnoiseError(
            f"{path} does not fit a {card.kind} network of tier {card.tier}: {error}"
        ) from error
    return network, card


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _remedy(path: Path) -> str:
    """What to do about weights or a card at `path` that are missing or wrong."""
    if path.parent == FOLDER:
        return "reinstall vidnoise"
    return f"{path.stem}.safetensors and its card, {path.stem}.json, must lie side by side, as vidnoise train wrote them"


def load(name: str, device: torch.device, dtype: torch.dtype, int8: bool = False) -> nn.Module:
    """The shipped network `name` ("temporal-balanced", "level", ...), ready to use, one copy for all.

    Args:
        name: kind and tier.
        device: where it shall be.
        dtype: of the convolutions; pictures stay float32 outside.
        int8: have its groups of residual blocks compute in 8 bits, on a CPU, where the card knows their reach.

    Raises:
        VidnoiseError: see `read`.
    """
    return loaded(name, device, dtype, int8)


@functools.lru_cache(maxsize=8)
def loaded(name: str, device: torch.device, dtype: torch.dtype, int8: bool) -> nn.Module:
    """As `load`, which gives the arguments that are left out: they are the key."""
    network, card = read(FOLDER / f"{name}.safetensors")
    if int8 and card.reach:
        round_groups(network, card.reach)
    return channels_last(network.requires_grad_(False).eval().to(device=device, dtype=dtype))
