"""The built-in filters, for `from vidnoise.filters import Fuse`."""

from vidnoise_filters import *  # noqa: F403 - all of them, and by `__all__` type checkers see them too
from vidnoise_filters import __all__ as __all__
