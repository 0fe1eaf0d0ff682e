"""Which way weights are rounded to 8 bits."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidnoise.export.rounding import in_steps, powers
from vidnoise.export.subject import PICTURE, Subject
from vidnoise.nets import Card
from vidnoise.nets.rounded import HALF, steps

CARD = Card("spatial", "fast", "", 0, 0.0, "none", "", 0.0, 0, "", "CC0")


def smooth(channels: int) -> Tensor:
    """Pictures whose neighbouring pixels and channels are alike, (2,C,24,30)."""
    coarse = torch.rand(2, 1, 6, 8, generator=torch.Generator().manual_seed(3))
    fine = F.interpolate(coarse, (24, 30), mode="bicubic")
    return fine * torch.linspace(0.5, 1.5, channels)[:, None, None] + 0.01 * torch.randn(2, channels, 24, 30)


def errors(layer: nn.Conv2d | nn.ConvTranspose2d, given: Tensor) -> tuple[float, float]:
    """Of what a layer gives, with its weights rounded to the nearest, and as they are rounded here."""
    power = powers(Subject("", nn.Sequential(layer), (PICTURE,), 1, CARD), [(given,)])["0.weight"]
    transposed, exact = isinstance(layer, nn.ConvTranspose2d), layer.weight.data.clone()
    step, found = steps(exact, int(transposed), HALF), []
    with torch.no_grad():
        wanted = layer(given)
        for known in (None, power):
            whole = in_steps(exact, step, known, transposed)
            assert whole.dtype == torch.int8
            assert whole.shape == exact.shape
            layer.weight.copy_(whole * step)
            found.append(float((layer(given) - wanted).square().mean()))
        layer.weight.copy_(exact)
    return found[0], found[1]


def test_what_convolutions_give_changes_less_than_with_the_nearest_steps() -> None:
    torch.manual_seed(1)
    for layer in (
        nn.Conv2d(8, 12, 3, padding=1, bias=False),
        nn.Conv2d(8, 12, 2, 2, bias=False),
        nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
        nn.ConvTranspose2d(8, 6, 2, 2, bias=False),
    ):
        nearest, chosen = errors(layer, smooth(8))
        assert chosen < 0.5 * nearest


def test_weights_that_are_whole_already_stay() -> None:
    whole = torch.randint(-63, 64, (12, 8, 3, 3), generator=torch.Generator().manual_seed(1))
    whole[:, 0, 0, 0] = 63
    layer = nn.Conv2d(8, 12, 3, padding=1, bias=False)
    layer.weight.data = whole * 0.01
    assert max(errors(layer, smooth(8))) < 1e-9


def test_what_is_never_given_does_no_harm() -> None:
    assert max(errors(nn.Conv2d(4, 4, 3, padding=1, bias=False), torch.zeros(1, 4, 9, 9))) == 0
    layer = nn.Conv2d(4, 4, 3, padding=1, bias=False)
    layer.weight.data.zero_()
    assert max(errors(layer, smooth(4))) == 0
