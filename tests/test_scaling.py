"""Pictures made smaller and larger."""

import pytest
import torch
import torch.nn.functional as F

from vidnoise.scaling import area_means, enlarged


@pytest.mark.parametrize("k", [2, 3, 4, 8])
def test_opencv_scales_as_torch_does(k: int) -> None:
    picture = torch.rand(2, 5 * k, 7 * k, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(area_means(picture, k), F.avg_pool2d(picture, k), atol=1e-6)
    large = F.interpolate(picture[None], scale_factor=float(k), mode="bilinear", align_corners=False)[0]
    assert torch.allclose(enlarged(picture, k), large, atol=1e-6)


def test_parts_of_a_picture_scale_like_copies_of_them() -> None:
    whole = torch.rand(3, 40, 50, generator=torch.Generator().manual_seed(1))
    part = whole[1:, 4:20, 6:30]
    assert torch.equal(area_means(part, 4), area_means(part.contiguous(), 4))
    assert torch.equal(enlarged(part, 2), enlarged(part.contiguous(), 2))
    thin = whole[:, ::2, ::2]
    assert torch.equal(enlarged(thin, 2), enlarged(thin.contiguous(), 2))
