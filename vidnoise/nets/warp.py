"""Warping by a flow, and how far the warped picture can be trusted."""

import torch
import torch.nn.functional as F
from torch import Tensor


def positions(height: int, width: int, device: torch.device) -> Tensor:
    """(1,2,H,W): the column and the row of each pixel, float32."""
    rows = torch.arange(height, device=device, dtype=torch.float32).view(-1, 1).expand(height, width)
    columns = torch.arange(width, device=device, dtype=torch.float32).view(1, -1).expand(height, width)
    return torch.stack([columns, rows]).unsqueeze(0)


def sample(x: Tensor, where: Tensor) -> Tensor:
    """Bilinear samples of (B,C,h,w) at the pixel positions `where` (B,2,H,W); the edge goes on outside."""
    height, width = x.shape[-2:]
    columns, rows = where.float().unbind(1)
    grid = torch.stack([columns * (2 / max(width - 1, 1)) - 1, rows * (2 / max(height - 1, 1)) - 1], -1)
    return F.grid_sample(x.float(), grid, "bilinear", "border", align_corners=True)


def warp(x: Tensor, flow: Tensor) -> Tensor:
    """Take each pixel of (B,C,H,W) from where the flow (B,2,H,W; columns, rows, in pixels) points; float32.

    On a CPU without gradients OpenCV does the work, which is several times faster and has the same result up
    to its 1/32 pixel steps.
    """
    if x.device.type == "cpu" and not torch.is_grad_enabled() and x.shape[1] <= 4:
        return _warp_opencv(x, flow)
    return sample(x, positions(x.shape[-2], x.shape[-1], x.device) + flow.float())


def _warp_opencv(x: Tensor, flow: Tensor) -> Tensor:
    import cv2

    where = positions(x.shape[-2], x.shape[-1], x.device) + flow.float()
    planes = []
    for picture, place in zip(x.float(), where, strict=True):
        columns, rows = place[0].contiguous().numpy(), place[1].contiguous().numpy()
        planes += [
            torch.from_numpy(
                cv2.remap(p.contiguous().numpy(), columns, rows, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)
            )
            for p in picture
        ]
    return torch.stack(planes).view(x.shape)


def inside(flow: Tensor) -> Tensor:
    """(B,1,H,W), 1 where the flow (B,2,H,W) points into the picture and 0 outside."""
    height, width = flow.shape[-2:]
    where = positions(height, width, flow.device) + flow
    x, y = where[:, :1], where[:, 1:]
    return ((x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)).to(flow.dtype)


def trust(current: Tensor, warped: Tensor, level: Tensor, flow: Tensor, noisy: int) -> Tensor:
    """How far a warped picture can be trusted, 0 to 1, (B,1,h,w).

    The squared difference to the current noisy frame, averaged over a neighbourhood, is compared with what
    the noise explains; 1 where it explains all, falling exponentially with the excess; 0 where the flow
    leaves the picture.

    Args:
        current, warped: (B,3,H,W), [0,1].
        level: (B,3,h,w), the current frame's noise level in cells of pixels.
        flow: (B,2,h,w), in cells.
        noisy: how many of the two pictures carry noise, 1 or 2.
    """
    cell = current.shape[-1] // level.shape[-1]
    excess = F.avg_pool2d((current - warped).square(), cell).mean(1, keepdim=True)
    noise = level.square().mean(1, keepdim=True) * noisy
    excess, noise = (F.avg_pool2d(v, 3, 1, 1, count_include_pad=False) for v in (excess, noise))
    floor = (2 / 255) ** 2
    return torch.exp(-0.5 * F.relu((excess + floor) / (noise + floor) - 1)) * inside(flow)
