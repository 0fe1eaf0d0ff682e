"""The built-in filters, one to a file, on the same public interface as anyone's plugin."""

from vidnoise_filters.bilateral import Bilateral
from vidnoise_filters.cbdnet import CBDNet
from vidnoise_filters.dcae import DCAE
from vidnoise_filters.deblur import Deblur
from vidnoise_filters.denoise import Denoise
from vidnoise_filters.dncnn import DnCNN
from vidnoise_filters.dwnet import DWNet
from vidnoise_filters.ffdnet import FFDNet
from vidnoise_filters.ffmpeg import FFmpeg
from vidnoise_filters.fuse import Fuse
from vidnoise_filters.guided import Guided
from vidnoise_filters.masked import Masked
from vidnoise_filters.median import Median
from vidnoise_filters.model import Model
from vidnoise_filters.mprnet import MPRNet
from vidnoise_filters.nlmeans import NLMeans
from vidnoise_filters.rcan import RCAN
from vidnoise_filters.steady import Steady
from vidnoise_filters.wavelet import Wavelet
from vidnoise_filters.wiener import Wiener

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
