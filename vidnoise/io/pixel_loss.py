"""What a pixel format cannot hold of another one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any


@dataclass(frozen=True)
class Traits:
    """What a pixel format can hold; `chroma` is how many pixels across and down share a colour."""

    rgb: bool
    gray: bool
    alpha: bool
    depth: int
    chroma: tuple[int, int]


@lru_cache
def traits(name: str) -> Traits | None:
    """What a pixel format can hold; None for those of hardware and palettes."""
    import av

    form: Any = av.VideoFormat(name, 64, 64)
    parts = form.components
    if not parts or form.has_palette or form.is_bit_stream or form.is_bayer:
        return None
    colours = [part for part in parts if not part.is_alpha]
    chroma = (64 // colours[1].width, 64 // colours[1].height) if len(colours) == 3 else (1, 1)
    gray = len(colours) == 1
    return Traits(form.is_rgb and not gray, gray, len(colours) < len(parts), colours[0].bits, chroma)


def losses(source: str, target: str) -> list[tuple[int, str]]:
    """What `target` cannot hold of `source`: how much it matters, and words."""
    a, b = traits(source), traits(target)
    assert a is not None
    assert b is not None
    found = []
    if b.gray and not a.gray:
        found.append((16, "colour is lost"))
    if a.alpha and not b.alpha:
        found.append((8, "any transparency is lost (--codec ffv1 in .mkv keeps it)"))
    if not a.gray and (b.chroma[0] > a.chroma[0] or b.chroma[1] > a.chroma[1]):
        found.append((4, "colour is stored at a lower resolution"))
    if not a.gray and a.rgb != b.rgb:
        found.append((2, "RGB is stored as YUV" if a.rgb else "YUV is stored as RGB"))
    if b.depth < a.depth:
        found.append((1 if b.depth >= 10 else 3, f"{a.depth} bits a sample become {b.depth}"))
    return found


def cost(source: str, target: str) -> tuple[int, int, bool, bool]:
    """For sorting: what is lost, then what is wasted, then odd ways of storing the same."""
    a, b = traits(source), traits(target)
    assert a is not None
    assert b is not None
    extra_chroma = a.chroma[0] * a.chroma[1] // max(1, b.chroma[0] * b.chroma[1]) - 1
    waste = 8 * (b.alpha and not a.alpha) + (b.depth - a.depth) + 4 * max(0, extra_chroma)
    waste += 2 * (a.gray and not b.gray)
    severity = sum(weight for weight, _ in losses(source, target))
    return severity, waste, target.startswith("yuvj"), target != source
