"""Training of the network that shrinks what noise an average over time has left."""

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from .. import dct
from ..flow import search, warp
from ..fusion import Look, by_frequency, halved, join, mix, opponent, recall, spectrum
from ..nets.shrinkage import Shrinkage
from ..scaling import area_means
from ..shrinkage import shrunk, sure
from .data import Media, generator
from .losses import LOSSES, psnr
from .recipe import Recipe
from .tasks import LEFT, SPECTRUM, VALIDATION_SEED, Batch, Films, middles

SETTLED = 4
"""The frame of a clip from which on results are measured."""
LEVELS = 10, 30, 50


class ShrinkageTask:
    """Clips: real ones, and stills in motion; each frame is cleaned by what was made of the one before."""

    def __init__(self, recipe: Recipe, media: Media, valid: Media | None, device: torch.device) -> None:
        self.recipe = recipe
        self.model: nn.Module = Shrinkage()
        self.measure = LOSSES[recipe.loss]
        self.films = Films(recipe, media, device)
        self.video = middles(valid, device)

    def batch(self, source: Generator) -> Batch:
        """Averages, what noise they have, the flow from each frame to the one before, and targets."""
        clips = [averaged(*clip) for clip in zip(*self.films(source), strict=True)]
        return {name: torch.stack([clip[name] for clip in clips]) for name in clips[0]}

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The recipe's loss of all frames."""
        output = cleaned(model, batch)
        return self.measure(output.flatten(0, 1), batch["target"].flatten(0, 1))

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Mean PSNR of the validation clips from the 5th frame on, colours at half the size."""
        if not self.video:
            return {}
        figures: dict[str, float] = {}
        for level in LEVELS:
            values = [
                psnr(cleaned(model, clip)[0, SETTLED:], clip["target"][0, SETTLED:]).mean()
                for clip in self._validation[level]
            ]
            figures[f"psnr{level}"] = float(torch.stack(values).mean())
        return figures | {"score": sum(figures.values()) / len(figures)}

    @cached_property
    def _validation(self) -> dict[int, list[Batch]]:
        return {level: [self._noisy(clip, level) for clip in self.video] for level in LEVELS}

    def _noisy(self, clean: Tensor, level: int) -> Batch:
        source = generator(VALIDATION_SEED, level, clean.device)
        noise = torch.randn(clean.shape, generator=source, device=clean.device) * (level / 255)
        with torch.autocast(clean.device.type, enabled=False):
            clip = averaged(clean + noise, torch.full_like(clean, level / 255), clean, ahead=False)
        return {name: value[None] for name, value in clip.items()}

    def picture(self, model: nn.Module) -> Tensor | None:
        """The 5th frame of a validation clip at sigma 50: averaged, cleaned and clean."""
        if not self.video:
            return None
        clip = self._validation[LEVELS[-1]][0]
        before = _whole(clip["luma"][:, SETTLED], clip["chroma"][:, SETTLED])
        shown = [before[0], cleaned(model, clip)[0, SETTLED], clip["target"][0, SETTLED]]
        return mix(torch.cat(shown, 2), opponent(before.device).T).clamp(0, 1)


def averaged(noisy: Tensor, sigma: Tensor, clean: Tensor, ahead: bool) -> Batch:
    """A clip (T,3,H,W) averaged with its past, and with the next frame if `ahead`; see `tasks.fuse`.

    Returns:
        Luma (T,1,H,W) and chroma (T,2,H/2,W/2), the variances of their noise (T,C,64,...), the flow from each frame to the
        one before (T,2,H,W), 0 for the first, and the clean clip (T,3,H,W) in opponent colours, these as fine as chroma is.
    """
    matrix = opponent(noisy.device)
    guides = torch.lerp(clean, noisy, LEFT)
    powers = [area_means(s.square(), dct.BLOCK) for s in sigma]
    told = [spectrum(n - c, p.sqrt(), matrix) for n, c, p in zip(noisy, clean, powers, strict=True)]
    colour = by_frequency(torch.stack(told).mean(0).clamp(*SPECTRUM))
    frames = zip(noisy, powers, strict=True)
    lumas, chromas = zip(
        *(halved(mix(n, matrix), mix(p, matrix.square()), colour) for n, p in frames), strict=True
    )
    back = torch.zeros_like(noisy[:, :2])
    for t in range(1, len(noisy)):
        back[t] = search(noisy[t], guides[t - 1])
    coming = [search(*pair) for pair in pairwise(noisy)] if ahead else []
    luma = _followed(lumas, back, coming)
    chroma = _followed(chromas, _half(back), [_half(flow) for flow in coming])
    target = torch.stack([mix(c, matrix) for c in clean])
    return {
        "luma": torch.stack([sight.picture for sight in luma]),
        "luma_noise": torch.stack([sight.variance for sight in luma]),
        "chroma": torch.stack([sight.picture for sight in chroma]),
        "chroma_noise": torch.stack([sight.variance for sight in chroma]),
        "flow": back,
        "target": _whole(target[:, :1], F.avg_pool2d(target[:, 1:], 2)),
    }


def _followed(looks: Sequence[Look], back: Tensor, coming: Sequence[Tensor]) -> list[Look]:
    """Frames averaged with their past, and with the next one where there is a flow to it."""
    past, found = looks[0], []
    for t, frame in enumerate(looks):
        past = recall(frame, past, back[t], None)[0] if t else frame
        best = past
        if t < len(coming):
            later = looks[t + 1]
            best, _ = join(past, Look(warp(later.picture, coming[t]), later.variance))
        found.append(best)
    return found


def cleaned(network: nn.Module, clips: Batch) -> Tensor:
    """Clips (B,T,3,H,W) in opponent colours, as the network cleans them, each frame with the last result as its model."""
    with torch.autocast(clips["luma"].device.type, enabled=False):
        luma = _planes(network, clips["luma"], clips["luma_noise"], clips["flow"])
        chroma = _planes(network, clips["chroma"], clips["chroma_noise"], _half(clips["flow"]))
    return _whole(luma.flatten(0, 1), chroma.flatten(0, 1)).view(*luma.shape[:2], 3, *luma.shape[3:])


def _planes(network: nn.Module, pictures: Tensor, noise: Tensor, flow: Tensor) -> Tensor:
    """Averages (B,T,C,H,W) cleaned, their noise (B,T,C,64,h,w) and the flow to the frame before (B,T,2,H,W) known."""
    count, times, channels, height, width = pictures.shape
    whole = slice(0, height)
    results: list[Tensor] = []
    for t in range(times):
        sight = Look(pictures[:, t].flatten(0, 1), noise[:, t].flatten(0, 1))
        if t:
            last = results[-1].detach().view(count, channels, height, width)
            model = torch.cat([warp(*pair) for pair in zip(last, flow[:, t], strict=True)])
        else:
            model = shrunk(sure, sight, None, whole)
        results.append(shrunk(network, sight, model, whole))
    return torch.stack(results, 1).view(count, channels, times, height, width).transpose(1, 2)


def _half(flow: Tensor) -> Tensor:
    return flow[..., ::2, ::2].contiguous() / 2


def _whole(luma: Tensor, chroma: Tensor) -> Tensor:
    """Pictures (N,3,H,W) of luma (N,1,H,W) and chroma (N,2,H/2,W/2)."""
    return torch.cat([luma, F.interpolate(chroma, scale_factor=2.0, mode="bilinear", align_corners=False)], 1)
