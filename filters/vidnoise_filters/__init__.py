"""The built-in filters, one to a file, on the same public interface as anyone's plugin."""

from vidnoise_filters.bilateral import Bilateral
from vidnoise_filters.deblur import Deblur
from vidnoise_filters.denoise import Denoise
from vidnoise_filters.ffmpeg import FFmpeg
from vidnoise_filters.fuse import Fuse
from vidnoise_filters.guided import Guided
from vidnoise_filters.median import Median
from vidnoise_filters.model import Model
from vidnoise_filters.nlmeans import NLMeans
from vidnoise_filters.wiener import Wiener

__all__ = [
    "Bilateral",
    "Deblur",
    "Denoise",
    "FFmpeg",
    "Fuse",
    "Guided",
    "Median",
    "Model",
    "NLMeans",
    "Wiener",
]
