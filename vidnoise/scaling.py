"""Pictures made smaller, larger and softer; on a CPU by OpenCV, which does it in a fraction of torch's time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def area_means(picture: Tensor, k: int) -> Tensor:
    """(C,H,W), H and W multiples of k -> (C,H/k,W/k), the means of k x k pixels."""
    import cv2
    import torch.nn.functional as F

    if picture.is_cuda:
        return F.avg_pool2d(picture, k)
    return _resized(picture, picture.shape[1] // k, picture.shape[2] // k, cv2.INTER_AREA)


def enlarged(picture: Tensor, k: int) -> Tensor:
    """(C,H,W) -> (C,kH,kW), linearly between the centres of pixels."""
    import cv2
    import torch.nn.functional as F

    if picture.is_cuda:
        return F.interpolate(picture[None], scale_factor=float(k), mode="bilinear", align_corners=False)[0]
    return _resized(picture, k * picture.shape[1], k * picture.shape[2], cv2.INTER_LINEAR)


def _resized(picture: Tensor, height: int, width: int, interpolation: int) -> Tensor:
    import cv2

    result = picture.new_empty(len(picture), height, width)
    for source, target in zip(picture, result, strict=True):
        cv2.resize(source.numpy(), (width, height), target.numpy(), interpolation=interpolation)
    return result


def means_around(picture: Tensor, reach: int = 1) -> Tensor:
    """(C,H,W) -> (C,H,W), the means of the pixels up to `reach` away in both directions; the outermost go on outside."""
    import cv2
    import torch
    import torch.nn.functional as F

    side = 2 * reach + 1
    if picture.is_cuda:
        return F.avg_pool2d(F.pad(picture[None], (reach,) * 4, mode="replicate"), side, 1)[0]
    soft = torch.empty_like(picture, memory_format=torch.contiguous_format)
    for source, target in zip(picture, soft, strict=True):
        cv2.blur(source.numpy(), (side, side), target.numpy(), borderType=cv2.BORDER_REPLICATE)
    return soft
