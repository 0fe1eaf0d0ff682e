"""The built-in filters, for `from vidnoise.filters import Fuse`."""

from vidnoise_filters import DCAE as DCAE
from vidnoise_filters import RCAN as RCAN
from vidnoise_filters import Bilateral as Bilateral
from vidnoise_filters import CBDNet as CBDNet
from vidnoise_filters import Deblur as Deblur
from vidnoise_filters import Denoise as Denoise
from vidnoise_filters import DnCNN as DnCNN
from vidnoise_filters import DWNet as DWNet
from vidnoise_filters import FFDNet as FFDNet
from vidnoise_filters import FFmpeg as FFmpeg
from vidnoise_filters import Fuse as Fuse
from vidnoise_filters import Guided as Guided
from vidnoise_filters import Masked as Masked
from vidnoise_filters import Median as Median
from vidnoise_filters import Model as Model
from vidnoise_filters import MPRNet as MPRNet
from vidnoise_filters import NLMeans as NLMeans
from vidnoise_filters import Steady as Steady
from vidnoise_filters import Wavelet as Wavelet
from vidnoise_filters import Wiener as Wiener

__all__ = [
    "DCAE",
    "RCAN",
    "Bilateral",
    "CBDNet",
    "DWNet",
    "Deblur",
    "Denoise",
    "DnCNN",
    "FFDNet",
    "FFmpeg",
    "Fuse",
    "Guided",
    "MPRNet",
    "Masked",
    "Median",
    "Model",
    "NLMeans",
    "Steady",
    "Wavelet",
    "Wiener",
]
