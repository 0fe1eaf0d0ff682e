"""Stills set in motion: a camera path over one picture, a second layer that covers it, and the true flow."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ..options import option
from .settings import share


@dataclass(frozen=True)
class Moves:
    """How fast things move, a frame."""

    speed: float = option(
        20,
        help="the highest speed; speeds are drawn evenly on a logarithmic scale from 0.2",
        low=0,
        unit="pixels",
    )
    turn: float = option(1.5, help="the highest turn", low=0, unit="degrees")
    zoom: float = share(0.015, help="the highest change of scale")
    shake: float = option(0.7, help="standard deviation of the camera's shake", low=0, unit="pixels")
    tilt: float = option(15, help="the first frame is rotated by up to this", low=0, unit="degrees")
    shrink: float = option(1.5, help="the first frame is shrunk by up to this factor", low=1, high=2)
    elastic: float = option(4, help="highest elastic deformation of the still", low=0, unit="pixels")
    layers: float = share(0.6, help="share of clips with a second layer in front")


def paths(count: int, frames: int, moves: Moves, spread: float, generator: Generator) -> Tensor:
    """Camera paths (count, frames, 2, 3): from a pixel to the still's, both counted from the centre.

    `spread` is how far from the still's centre a path begins, in pixels.
    """

    def draw(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator, device=generator.device) * 2 - 1

    time = torch.arange(frames, device=generator.device, dtype=torch.float32).view(1, frames)
    speed = 0.2 * (moves.speed / 0.2) ** draw(1).abs()
    heading = draw(1) * math.pi
    swerve = 1 + draw(1) * 0.5 * (time / max(frames - 1, 1))
    jitter = (
        torch.randn(count, frames, 2, generator=generator, device=generator.device)
        * moves.shake
        * draw(1, 1).abs()
    )
    direction = torch.stack([heading.cos(), heading.sin()], -1)
    place = draw(1, 2) * spread + direction * (speed * time * swerve).unsqueeze(-1) + jitter
    angle = (draw(1) * moves.tilt + draw(1) ** 3 * moves.turn * time) * (math.pi / 180)
    scale = 1 + (moves.shrink - 1) * draw(1).abs()
    scale = (scale * (1 + draw(1) ** 3 * moves.zoom) ** time).clamp(0.95, 2)
    cos, sin = angle.cos() * scale, angle.sin() * scale
    rows = [torch.stack([cos, -sin, place[..., 0]], -1), torch.stack([sin, cos, place[..., 1]], -1)]
    return torch.stack(rows, -2)


def grid(size: int, device: torch.device) -> Tensor:
    """(2, size * size): columns and rows of the pixels of a square frame, counted from its centre."""
    line = torch.arange(size, device=device, dtype=torch.float32) - (size - 1) / 2
    return torch.stack([line.repeat(size), line.repeat_interleave(size)])


def follow(path: Tensor, points: Tensor) -> Tensor:
    """Apply affine maps (B,2,3) to points (B,2,N) or (2,N)."""
    return path[..., :2] @ points + path[..., 2:]


def unfollow(path: Tensor, points: Tensor) -> Tensor:
    """Apply the inverse of affine maps (B,2,3) to points (B,2,N)."""
    turn = path[..., :2]  # a rotation times a scale: the inverse is the transpose over the determinant
    scale = turn[..., 0, 0] ** 2 + turn[..., 1, 0] ** 2
    return turn.mT @ (points - path[..., 2:]) / scale[..., None, None]


def _look(
    stills: Tensor, points: Tensor, size: int, extent: tuple[int, int], bend: Tensor | None, mode: str
) -> Tensor:
    # Colours of stills (B,C,h,w), stretched to `extent`, at centre-based points (B,2,N), as (B,C,size,size).
    height, width = extent
    half = points.new_tensor([(width - 1) / 2, (height - 1) / 2]).view(1, 2, 1)
    where = (points / half).view(-1, 2, size, size).permute(0, 2, 3, 1)
    if bend is not None:
        offsets = F.grid_sample(bend, where, "bilinear", "reflection", align_corners=True)
        where = where + offsets.permute(0, 2, 3, 1) / half.view(1, 1, 1, 2)
    return F.grid_sample(stills, where, mode, "reflection", align_corners=True)


def _smooth(count: int, channels: int, cells: tuple[int, int], generator: Generator) -> Tensor:
    coarse = torch.randn(count, channels, *cells, generator=generator, device=generator.device)
    return F.interpolate(coarse, scale_factor=16, mode="bicubic", align_corners=True)


def animate(
    stills: Tensor, others: Tensor, size: int, frames: int, moves: Moves, generator: Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Clips from stills.

    Args:
        stills, others: (B,3,H,W), what is behind and what may pass in front.
        size: side of the frames, pixels.
        frames: frames of a clip.
        moves: how they move.
        generator: of the same device.

    Returns:
        Clips (B,T,3,size,size); flows (B,T,2,size,size) from each frame to the one before (zero for the
        first), in pixels; and (B,T,1,size,size), 1 where a pixel was hidden in the frame before.
    """
    count, _, height, width = stills.shape
    extent = height, width
    spread = max((min(height, width) - size) / 2, 0)
    back = paths(count, frames, moves, spread, generator)
    front = paths(count, frames, moves, spread, generator)
    bend = _smooth(count, 2, (6, 9), generator)
    bend = bend * (
        moves.elastic / 2.5 * torch.rand(count, 1, 1, 1, generator=generator, device=stills.device) ** 3
    )
    shape = _smooth(count, 1, (5, 7), generator)
    present = torch.rand(count, 1, 1, 1, generator=generator, device=stills.device) < moves.layers
    shape = torch.where(present, (shape - 0.4) * 60, -30.0)
    points = grid(size, stills.device)
    clips, flows, hidden = [], [], []
    for t in range(frames):
        behind, before = follow(back[:, t], points), follow(front[:, t], points)
        cover = torch.sigmoid(_look(shape, before, size, extent, None, "bilinear"))
        picture = torch.lerp(
            _look(stills, behind, size, extent, bend, "bicubic"),
            _look(others, before, size, extent, None, "bicubic"),
            cover,
        )
        clips.append(picture.clamp(0, 1))
        earlier = max(t - 1, 0)
        came = unfollow(back[:, earlier], behind), unfollow(front[:, earlier], before)
        solid = (cover > 0.5).to(cover.dtype)
        move = torch.lerp(_frame(came[0] - points, size), _frame(came[1] - points, size), solid)
        flows.append(move)
        covered = torch.sigmoid(
            _look(shape, follow(front[:, earlier], came[0]), size, extent, None, "bilinear")
        )
        hidden.append((1 - solid) * (covered > 0.5) if t else torch.zeros_like(solid))
    return torch.stack(clips, 1), torch.stack(flows, 1), torch.stack(hidden, 1)


def _frame(points: Tensor, size: int) -> Tensor:
    return points.view(-1, 2, size, size)
