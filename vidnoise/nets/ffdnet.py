"""FFDNet: the picture at half its size and a map of its noise level in, twelve convolutions, the clean picture out.

Zhang, Zuo, Zhang, "FFDNet: Toward a Fast and Flexible Solution for CNN-Based Image Denoising", IEEE TIP 2018, for
colour. Here the level is given for each colour, and in place of biases and normalisation over the batch the picture is
added to what the network finds: it learns many times as fast, and scales with its input.
"""

from torch import nn

from .residual import conv3, start_as_identity
from .spatial import Folded, Picture, Present

DEPTH, WIDTH, UNSHUFFLE = 12, 96, 2


class FFDNet(Folded):
    """Noise of a level that may differ from place to place."""

    def __init__(self) -> None:
        present, picture = Present(UNSHUFFLE, WIDTH), Picture(UNSHUFFLE, WIDTH)
        super().__init__(present, nn.Sequential(nn.ReLU(), *_layers(DEPTH - 2)), picture, UNSHUFFLE)


def _layers(count: int) -> list[nn.Module]:
    return [layer for _ in range(count) for layer in (_convolution(), nn.ReLU(inplace=True))]


def _convolution() -> nn.Conv2d:
    convolution = conv3(WIDTH, WIDTH)
    start_as_identity(convolution.weight)
    return convolution
