"""Along which bent path each part of a picture moved while it was exposed.

The straight motion that `motion_blur` reads from the spectrum is no more than a beginning: a hand turns and slows down, and
a bend of some pixels decides whether undoing the motion sharpens or rings. A path (x,y) t + (u,w) t^2, t from -1/2 to 1/2,
is therefore fitted at half the size by descent on two measures. One is how blurred or rung the picture is once the path is
undone: the mean of its gradients against their root mean square (Krishnan, Tay, Fergus, "Blind Deconvolution Using a
Normalized Sparsity Measure", CVPR 2011). The other is how unlikely its spectrum is, if what was blurred fell off with the
square of the frequency, as natural pictures do. The second tells the length, the first alone to which side the path bends.

Lack of focus blurs too, to all sides alike: points become discs (Cannon, "Blind deconvolution of spatially invariant image
blurs with phase", IEEE TASSP 1976). Which is likelier tells whether there was any path.

All tiles of a picture are first given one path, from several bends; then each has its own, near the others', found at a
quarter of the size and finished at half of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

from vidnoise.areas import HOP
from vidnoise.motion_blur import expected_length, likeliest
from vidnoise.ramps import fade, ramp
from vidnoise.spectra import power_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SIDE = 128
"""Of a tile, in pixels of half the size."""
SMALL = 64
"""Pixels: where a picture is smaller, too little is seen of it to tell a bend."""
MARGIN = 10
"""Pixels at the border of a tile that fade, and of which nothing is asked."""
MOMENTS = 17
"""Of an exposure that are added up."""
BENDS = ((0.0, 0.0), (0.35, 0.0), (-0.35, 0.0), (0.0, 0.35), (0.0, -0.35))
"""That the search begins from, along and across the motion, as a share of its length."""
SEARCH, APART, REFINE = (6, 1.6), (16, 0.8), (4, 0.4)
"""Steps and pixels: for all tiles together and for each, at a quarter of the size, and for each at half of it."""
ALIKE = 8e-4
"""Weight of the squared pixels by which tiles of a picture differ."""
SPECTRAL = 0.3
"""Weight of the spectrum against that of the gradients."""
COARSE = 0.26
"""Cycles a pixel of half the size, up to which the spectrum counts: above are noise and the steps of the exposure."""
DISCS = (4.0, 6.0, 8.0, 11.0, 15.0, 20.0, 26.0)
"""Pixels across, of points that are out of focus."""
MOVED = -0.15, 0.0
"""How much likelier a path is than any disc: below the first it is the focus, above the second motion, ..."""
CRISP = -1.3, -1.1
"""... if there is as much detail across the path: below the first it is the focus all the same."""
STRONGEST = 0.01
"""Share of the frequencies that hold nearly all of the power of stripes and grids, without the natural fall."""
REGULAR = 0.85, 0.95
"""Share of that power: of natural pictures, blurred or not, up to the first; above the second it is a pattern."""
LOW, HIGH = 0.015, 0.1
"""Cycles a pixel, from which on frequencies are low, and high."""
WOVEN = 0.5, 0.7
"""Power of the strongest of the high frequencies against that of the low ones: of natural pictures, sharp ones too, up to
the first; above the second it is a pattern."""
ACROSS = 0.35
"""Cosine of the angle to the path, up to which a frequency is across it."""
UNEXPLAINED, EXPLAINED = 0.05, 0.18
"""How much better a path has to explain an area than no motion does: below the first it explains nothing, ..."""
DARED, SURE = 0.9, 0.95
"""... unless the chance of any motion is above these, the path no worse than none, and nothing looks like a pattern: short
blur shows too little of its path."""
ORDERED = 0.75, 0.85
"""Share of the power in the strongest frequencies, from which on what is seen is too much like a pattern for that."""
WORSE = -0.1, 0.0
"""How much worse than no motion a path may be where it is dared all the same: up to the second."""
SHORT, LONG = 6, 9
"""What is out of focus stays as it was unless the motion is shorter, pixels: that looks alike, and harms as little."""
FINE, PLAIN = (0.13, 0.24), (0.03, 0.08)
"""Cycles a pixel of half the size, of fine detail and of what it is measured by."""
GRAIN = 1.2 / 255
"""Deviation of the noise."""
LEAST, NOISE = 0.003, 0.1
"""Power of the noise against the picture's: at all frequencies, and growing with their square."""


class Paths(NamedTuple):
    """The paths that pictures moved along, by the areas that `areas.split` gives.

    Attributes:
        paths: (B,rows,columns,4), x, y, u, w in pixels, of which the path backwards is the same.
        better: (B,rows,columns), by how much they explain what is seen better than no motion does: 0.2 is well, below 0
            worse.
        moved: (B,rows,columns), by how much likelier the spectrum is than where the picture is out of focus; below 0 it is
            the focus.
        crisp: (B,rows,columns), how much fine detail there is across the path, where motion leaves it: a logarithm, about 0
            for what is sharp and below -1.3 for what is far out of focus.
        regular: (B,rows,columns), the share of the power in few frequencies: stripes look like motion across them.
        fine: (B,rows,columns), the power of few of the high frequencies against that of the low ones: blur leaves less
            than a fifth, halftones and cloth have more than themselves.
    """

    paths: Tensor
    better: Tensor
    moved: Tensor
    crisp: Tensor
    regular: Tensor
    fine: Tensor

    def explain(self, chances: Tensor) -> Tensor:
        """How far motion explains the blur of areas (B,rows,columns), 0 to 1: better than none does, and than the focus.

        Args:
            chances: see `motion_blur.blur_chances`.
        """
        length = expected_length(chances)
        dared = (
            ramp(1 - chances[..., 0], DARED, SURE)
            * ramp(self.better, *WORSE)
            * (1 - ramp(self.regular, *ORDERED))
        )
        known = ramp(self.better, UNEXPLAINED, EXPLAINED).maximum(dared)
        return known * self.focused.maximum(1 - ramp(length, SHORT, LONG)) * self.natural

    @property
    def focused(self) -> Tensor:
        """Whether it was no lack of focus that blurred (B,rows,columns), 0 to 1."""
        return ramp(self.moved, *MOVED).minimum(ramp(self.crisp, *CRISP))

    @property
    def natural(self) -> Tensor:
        """Whether it is no pattern that looks like blur (B,rows,columns), 0 to 1."""
        return 1 - ramp(self.regular, *REGULAR).maximum(ramp(self.fine, *WOVEN))


def find_paths(gray: Tensor, chances: Tensor) -> Paths:
    """The paths that pictures moved along, and how well they explain what is seen.

    Args:
        gray: (B,H,W), brightness, [0,1], any size.
        chances: (B,rows,columns,M), see `motion_blur.blur_chances`.
    """
    import torch

    if min(gray.shape[1:]) < SMALL:
        return Paths(*(gray.new_zeros(*chances.shape[:3], *last) for last in ((4,), (), (), (), (), ())))
    with torch.inference_mode(False), torch.enable_grad():
        gray = gray.clone()
        tiles, middles = _tiles(gray)
        look, rough = (_Look(tiles.flatten(0, 2), coarser) for coarser in (1, 2))
        moving, likely = _moving(chances.clone(), tiles).flatten(1), likeliest(chances.mean((1, 2))).clone()
        paths = _fitted(rough, look, likely, moving)
    better = (look(torch.zeros_like(paths[None])) - look(paths[None]))[0]
    fine = _fine(gray, middles, 2 * tiles.shape[-1])
    measures = torch.stack([better, look.moved(paths), look.crisp(paths), look.regular(), fine], 1)
    found = torch.cat([paths, measures], 1).view(*tiles.shape[:3], -1)
    all_over = _between(found, middles, chances.shape[1:3])
    return Paths(all_over[..., :4], *all_over[..., 4:].unbind(-1))


def transfer(paths: Tensor, side: int, scale: float = 1) -> Tensor:
    """What moving along paths (N,4) leaves of each frequency of a square picture: complex, (N,side,side//2+1).

    Args:
        paths: in pixels, see `find_paths`.
        side: of the picture, pixels.
        scale: pixels of the paths to one of the picture.
    """
    import torch

    time = (torch.arange(MOMENTS, device=paths.device) + 0.5) / MOMENTS - 0.5
    places = (paths[:, None, :2] * time[:, None] + paths[:, None, 2:] * time[:, None].square()) / scale
    right = torch.fft.rfftfreq(side, device=paths.device)
    down = torch.fft.fftfreq(side, device=paths.device)
    turns = [-2 * math.pi * places[..., i, None] * f for i, f in enumerate((right, down))]
    across, along = (torch.complex(turn.cos(), turn.sin()) for turn in turns)
    return along.mT @ across / MOMENTS


class _Look:
    """How badly paths explain tiles.

    Args:
        tiles: (N,S,S), brightness at half the size.
        coarser: by what to divide the size once more.
    """

    def __init__(self, tiles: Tensor, coarser: int = 1) -> None:
        import torch

        whole = tiles.shape[-1]
        self.side, self.scale = whole // coarser, 2 * coarser
        self.margin = MARGIN // coarser
        window, edge = _windows(whole, tiles.device)
        flat = tiles - tiles.mean((1, 2), keepdim=True)
        self.spectrum = _low(torch.fft.rfft2(flat * edge), self.side) / coarser**2
        self.squares, self.low = _frequencies(self.side, self.scale, tiles.device)
        self.seen = power_of(torch.fft.rfft2(flat * window)) / window.square().sum()
        self.power = _corner(self.seen, self.low)
        self.natural = _corner(self.squares, self.low)
        self.inside = ((self.natural < COARSE**2) & (self.natural > (2 / whole) ** 2)).float()

    def __call__(self, paths: Tensor) -> Tensor:
        """Paths (S,N,4) -> (S,N)."""
        import torch

        blur = transfer(paths.flatten(0, 1), self.side, self.scale).view(len(paths), *self.spectrum.shape)
        kept = power_of(blur)
        gain = blur.conj() * (kept + LEAST + 4 * NOISE * self.squares).reciprocal()
        sharp = torch.fft.irfft2(self.spectrum * gain, (self.side, self.side))
        return _dense(sharp, self.margin).log() + SPECTRAL * self._unlikely(_corner(kept, self.low))

    def moved(self, paths: Tensor) -> Tensor:
        """By how much likelier the spectra (N,) are by the paths (N,4) than by any lack of focus."""
        kept = power_of(_corner(transfer(paths, self.side, self.scale), self.low))
        discs = _discs(self.side, self.scale, self.power.device)
        return self._unlikely(discs[:, None]).amin(0) - self._unlikely(kept)

    def crisp(self, paths: Tensor) -> Tensor:
        """How much fine detail there is across the paths (N,K) of spectra without their natural fall, (N,): a logarithm.

        Of edges out of focus motion along them would look as they do; but across it nothing fine is left of them.
        """
        import torch

        right, down = _ways(self.side, self.scale, paths.device)
        far = _corner((right.square() + down.square()).sqrt(), self.low)
        x, y = paths[:, :2, None, None].unbind(1)
        along = _corner((x * right + y * down).abs(), self.low)
        beside = along < ACROSS * far * torch.hypot(x, y)
        seen = self.power * far.square()
        parts = [(beside & (far > low) & (far < high)).float() for low, high in (FINE, PLAIN)]
        fine, plain = ((seen * part).sum((1, 2)) / part.sum((1, 2)).clamp(min=1) + 1e-9 for part in parts)
        left: Tensor = (fine / plain).log10()
        return left

    def regular(self) -> Tensor:
        """The share of the tiles' power in the strongest frequencies, without the natural fall, (N,); 0 of even ones."""
        side = self.seen.shape[-2]
        squares, _ = _frequencies(side, 2, self.seen.device)
        rough = (self.seen * squares * (squares > (2 / side) ** 2)).flatten(1)
        strongest = rough.topk(round(STRONGEST * rough.shape[1]), 1).values.sum(1)
        return strongest / rough.sum(1).clamp(min=1e-9)

    def _unlikely(self, kept: Tensor) -> Tensor:
        """Minus the likelihood's logarithm of the spectra, a frequency, if blur has kept so much of their power."""
        import torch

        shape = (kept / self.natural).expand(*kept.shape[:-3], *self.power.shape)
        noise, count = GRAIN**2, self.inside.sum()
        with torch.no_grad():
            level = torch.full_like(shape[..., :1, :1], 1e-4)
            for _ in range(5):
                expected = level * shape + noise
                share = level * shape / expected * self.inside
                level = (self.power / expected * level * share).sum((-2, -1), keepdim=True)
                level = level / share.sum((-2, -1), keepdim=True).clamp(min=1e-12)  # 0 in a tile that is even
        expected = level * shape + noise
        surprise: Tensor = ((self.power / expected + expected.log()) * self.inside).sum((-2, -1))
        return surprise / count


def _fitted(rough: _Look, look: _Look, start: Tensor, weights: Tensor) -> Tensor:
    """The paths (B T,4) of tiles that count by weights (B,T), from straight motions (B,2)."""
    import torch

    tiles, each = weights.shape[1], weights.flatten()

    across = torch.stack([-start[:, 1], start[:, 0]], 1)
    begun = torch.stack([torch.cat([start, a * start + b * across], 1) for a, b in BENDS])
    one = _descend(lambda p: each * rough(p.repeat_interleave(tiles, 1)), begun, *SEARCH)
    with torch.no_grad():
        errors = (each * rough(one.repeat_interleave(tiles, 1))).view(len(BENDS), -1, tiles).sum(2)
    best = one[errors.argmin(0), torch.arange(len(start), device=start.device)]

    def error(seen: _Look, paths: Tensor) -> Tensor:
        picture = paths.view(-1, tiles, 4)
        apart = (picture - picture.mean(1, keepdim=True)).square().sum()
        return (each * seen(paths)).sum() + ALIKE * apart

    found = best.repeat_interleave(tiles, 0)[None]
    for seen, steps in ((rough, APART), (look, REFINE)):
        found = _descend(partial(error, seen), found, *steps)
    return found[0]


def _descend(error: Callable[[Tensor], Tensor], paths: Tensor, steps: int, pixels: float) -> Tensor:
    import torch

    moved = paths.detach().clone().requires_grad_()
    adam = torch.optim.Adam([moved])
    for step in range(steps):
        adam.param_groups[0]["lr"] = pixels * (1 - step / (steps + 1))
        adam.zero_grad()
        torch.autograd.backward(error(moved).sum())
        adam.step()
    return moved.detach()


def _dense(sharp: Tensor, margin: int) -> Tensor:
    """The mean gradient of pictures (...,S,S) against the root of its mean square: low where few are strong."""
    inside = sharp[..., margin:-margin, margin:-margin]
    right, down = inside[..., 1:, 1:] - inside[..., 1:, :-1], inside[..., 1:, 1:] - inside[..., :-1, 1:]
    squared = right.square() + down.square() + 1e-8
    return squared.sqrt().mean((-2, -1)) / squared.mean((-2, -1)).sqrt()


def _tiles(gray: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Pictures (B,H,W) as tiles (B,R,C,S,S) of half the size, and where their middles are, down and to the right."""
    import torch
    import torch.nn.functional as F

    half = F.avg_pool2d(gray[:, None], 2, ceil_mode=True)[:, 0]
    side = min(SIDE, *half.shape[1:]) // 4 * 4
    corners = [torch.linspace(0, n - side, -(-n // side)).round().long().tolist() for n in half.shape[1:]]
    rows = [torch.stack([half[:, y : y + side, x : x + side] for x in corners[1]], 1) for y in corners[0]]
    down, right = (torch.tensor(c, device=gray.device) * 2.0 + side for c in corners)
    return torch.stack(rows, 1), (down, right)


def _fine(gray: Tensor, middles: tuple[Tensor, Tensor], side: int) -> Tensor:
    """The power of few of the high frequencies of whole tiles, of `side` pixels, against that of the low ones (B T,)."""
    import torch
    import torch.nn.functional as F

    window, _ = _windows(side, gray.device)
    whole = F.pad(gray[:, None], (0, 1, 0, 1), mode="replicate")[:, 0]
    rows, columns = ((middle.long() - side // 2).tolist() for middle in middles)
    cut = torch.stack([whole[:, y : y + side, x : x + side] for y in rows for x in columns], 1)
    tiles = cut.flatten(0, 1)
    power = power_of(torch.fft.rfft2((tiles - tiles.mean((1, 2), keepdim=True)) * window))
    squares, _ = _frequencies(side, 1, gray.device)
    high = (power * (squares > (2 * HIGH) ** 2)).flatten(1)
    low = (power * ((squares > (2 * LOW) ** 2) & (squares < (2 * HIGH) ** 2))).sum((1, 2))
    return high.topk(round(STRONGEST * high.shape[1]), 1).values.sum(1) / low.clamp(min=1e-9)


def _moving(chances: Tensor, tiles: Tensor) -> Tensor:
    """The chance of any motion in each tile (B,R,C)."""
    import torch.nn.functional as F

    _, rows, columns, *_ = tiles.shape
    return F.adaptive_avg_pool2d(1 - chances[..., 0], (rows, columns))


def _between(paths: Tensor, middles: tuple[Tensor, Tensor], areas: Sequence[int]) -> Tensor:
    """The paths (B,R,C,4) of tiles at the middles of areas (B,rows,columns,4), on lines between those of tiles."""
    import torch

    for axis, (known, count) in enumerate(zip(middles, areas, strict=True), 1):
        wanted = torch.arange(count, device=paths.device) * float(HOP)
        after = torch.bucketize(wanted, known).clamp(min(1, len(known) - 1), len(known) - 1)
        before = (after - 1).clamp(min=0)
        share = (wanted - known[before]) / (known[after] - known[before]).clamp(min=1)
        shape = [-1 if n == axis else 1 for n in range(4)]
        paths = torch.lerp(
            paths.index_select(axis, before),
            paths.index_select(axis, after),
            share.clamp(0, 1).view(shape),
        )
    return paths


def _low(spectra: Tensor, side: int) -> Tensor:
    """The frequencies of spectra (...,S,S//2+1) that a picture of a smaller side has too."""
    import torch

    half = side // 2
    return torch.cat([spectra[..., :half, : half + 1], spectra[..., -half:, : half + 1]], -2)


def _corner(spectra: Tensor, count: int) -> Tensor:
    """The `count` lowest frequencies to the right, and as many up and down: (...,2 count,count)."""
    return _low(spectra, 2 * count)[..., :count]


@cache
def _discs(side: int, scale: int, device: torch.device) -> Tensor:
    """What the discs that points become out of focus keep of the power of the lowest frequencies, (len(DISCS),...)."""
    import torch

    with torch.inference_mode(False):
        squares, low = _frequencies(side, scale, device)
        turn = _corner(squares, low).sqrt() * math.pi * torch.tensor(DISCS, device=device)[:, None, None] / 2
        kept: Tensor = (2 * torch.special.bessel_j1(turn) / turn).square()
        return kept


@cache
def _ways(side: int, scale: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Frequencies to the right (S//2+1,) and down (S,1), in cycles a pixel of half the size."""
    import torch

    with torch.inference_mode(False):
        right, down = torch.fft.rfftfreq(side, device=device), torch.fft.fftfreq(side, device=device)
        return right * 2 / scale, down[:, None] * 2 / scale


@cache
def _windows(side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """A window (S,S), and one that fades at the border alone."""
    import torch

    with torch.inference_mode(False):
        line = torch.hann_window(side + 2, periodic=False, device=device)[1:-1]
        return line * line[:, None], fade(side, MARGIN, device)


@cache
def _frequencies(side: int, scale: int, device: torch.device) -> tuple[Tensor, int]:
    """Squared frequencies (S,S//2+1) in cycles a pixel of half the size, and how many of a row the likelihood asks."""
    import torch

    with torch.inference_mode(False):
        right, down = _ways(side, scale, device)
        squares = right.square() + down.square()
        least = (1.5 / side * 2 / scale) ** 2
        return squares.clamp(min=least), min(int((right < COARSE).sum()), side // 2)
