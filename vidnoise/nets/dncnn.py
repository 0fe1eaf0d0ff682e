"""DnCNN: twenty convolutions in a row find the noise, whatever its level.

Zhang, Zuo, Chen, Meng, Zhang, "Beyond a Gaussian Denoiser: Residual Learning of Deep CNN for Image Denoising", IEEE TIP
2017; depth and width are those of its blind network for colour.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .folding import Normalised
from .residual import start_as_identity
from .spatial import PictureDenoiser

DEPTH, WIDTH = 20, 64


class DnCNN(PictureDenoiser):
    """Residual learning: the network finds the noise, which is taken away.

    Args:
        normalised: with batch normalisation, for training; `folding.folded` takes it out again.
    """

    blind: ClassVar[bool] = True

    def __init__(self, *, normalised: bool = False) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, WIDTH, 3, 1, 1)
        self.inner = nn.Sequential(*(_inner(normalised) for _ in range(DEPTH - 2)))
        self.last = nn.Conv2d(WIDTH, 3, 3, 1, 1)
        nn.init.kaiming_normal_(self.first.weight, nonlinearity="relu")
        for layer in self.inner.modules():
            if isinstance(layer, nn.Conv2d):
                start_as_identity(layer.weight)
        with torch.no_grad():
            self.last.weight.mul_(0.1)  # untrained, it takes next to nothing away

    def forward(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        """See `PictureDenoiser`; sigma is not read."""
        x = noisy.to(self.first.weight.dtype).contiguous(memory_format=torch.channels_last)
        noise: Tensor = self.last(self.inner(F.relu(self.first(x), inplace=True)))
        return noisy.float() - noise.float()


def _inner(normalised: bool) -> nn.Sequential:
    layer = Normalised(WIDTH, WIDTH) if normalised else nn.Conv2d(WIDTH, WIDTH, 3, 1, 1)
    return nn.Sequential(layer, nn.ReLU(inplace=True))
