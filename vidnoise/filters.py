"""The built-in filters, for `from vidnoise.filters import Fuse`."""

from vidnoise_filters import Bilateral as Bilateral
from vidnoise_filters import Deblur as Deblur
from vidnoise_filters import Denoise as Denoise
from vidnoise_filters import FFmpeg as FFmpeg
from vidnoise_filters import Fuse as Fuse
from vidnoise_filters import Guided as Guided
from vidnoise_filters import Median as Median
from vidnoise_filters import Model as Model
from vidnoise_filters import NLMeans as NLMeans
from vidnoise_filters import Wiener as Wiener

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
