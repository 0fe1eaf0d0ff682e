"""Area means: pictures, flows and noise levels on coarser grids."""

import torch
import torch.nn.functional as F
from torch import Tensor


def shrink(x: Tensor, size: tuple[int, int]) -> Tensor:
    """The area means (B,C,h,w) of (B,C,H,W).

    On a CPU without gradients OpenCV does the work, which is several times faster.
    """
    if x.shape[-2:] == size:
        return x
    if x.device.type == "cpu" and not torch.is_grad_enabled() and x.dtype == torch.float32:
        return _shrink_opencv(x, size)
    rows, columns = x.shape[-2] // size[0], x.shape[-1] // size[1]
    if (rows * size[0], columns * size[1]) == x.shape[-2:]:
        return F.avg_pool2d(x, (rows, columns))
    return F.interpolate(x, size, mode="area")


def _shrink_opencv(x: Tensor, size: tuple[int, int]) -> Tensor:
    import cv2

    planes = x.contiguous().flatten(0, 1).numpy()
    small = [torch.from_numpy(cv2.resize(p, size[::-1], interpolation=cv2.INTER_AREA)) for p in planes]
    return torch.stack(small).view(*x.shape[:2], *size)
