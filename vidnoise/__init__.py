"""Clean video: noise and motion blur, in files, scripts and live streams.

    import vidnoise as vn
    from vidnoise.filters import Denoise

    vn.run("input.mp4", Denoise(strength=0.8), "out.mp4")

Names are imported when first used, so that `import vidnoise` stays quick.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidnoise.api import Summary as Summary
    from vidnoise.api import open as open
    from vidnoise.api import run as run
    from vidnoise.chain import Chain as Chain
    from vidnoise.errors import VidnoiseError as VidnoiseError
    from vidnoise.filter import Filter as Filter
    from vidnoise.filter import RecurrentFilter as RecurrentFilter
    from vidnoise.filter import SpatialFilter as SpatialFilter
    from vidnoise.filter import WindowFilter as WindowFilter
    from vidnoise.filter import option as option
    from vidnoise.frame import Frame as Frame
    from vidnoise.frame import StreamInfo as StreamInfo
    from vidnoise.registry import register as register

__version__ = "0.1.0"

# Decoder, filters and encoder have threads of their own. OpenMP's would spin while they wait for work and take the
# processors from those: seen to cost a factor of ten. It is read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

_HOMES = {
    "Chain": "vidnoise.chain",
    "Filter": "vidnoise.filter",
    "Frame": "vidnoise.frame",
    "RecurrentFilter": "vidnoise.filter",
    "SpatialFilter": "vidnoise.filter",
    "StreamInfo": "vidnoise.frame",
    "Summary": "vidnoise.api",
    "VidnoiseError": "vidnoise.errors",
    "WindowFilter": "vidnoise.filter",
    "open": "vidnoise.api",
    "option": "vidnoise.filter",
    "register": "vidnoise.registry",
    "run": "vidnoise.api",
}

__all__ = [
    "Chain",
    "Filter",
    "Frame",
    "RecurrentFilter",
    "SpatialFilter",
    "StreamInfo",
    "Summary",
    "VidnoiseError",
    "WindowFilter",
    "__version__",
    "open",
    "option",
    "register",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vidnoise' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
