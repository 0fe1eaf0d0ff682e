"""Picture files by their names: the kinds of them, and numbered ones such as `frames/%05d.png`."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from vidnoise.errors import UsageError

ENCODERS = {
    ".png": ("png", {"pred": "paeth", "compression_level": "3"}),
    ".jpg": ("mjpeg", {}),
    ".jpeg": ("mjpeg", {}),
    ".tif": ("tiff", {}),
    ".tiff": ("tiff", {}),
    ".bmp": ("bmp", {}),
    ".webp": ("libwebp", {"lossless": "1"}),
    ".ppm": ("ppm", {}),
    ".pgm": ("pgm", {}),
}
"""Picture files that can be written, by extension: encoder and settings. All but JPEG are without loss."""

PICTURES = {*ENCODERS, ".avif", ".dpx", ".exr", ".jp2", ".tga"}
"""Those that come as numbered pictures."""

_NUMBER = re.compile(r"%(0?)(\d*)d")


@dataclass(frozen=True)
class Pattern:
    """A path with one number in its name, `folder/name%05d.png`."""

    folder: Path
    before: str
    width: int
    after: str

    @staticmethod
    def parse(text: str | Path) -> Pattern | None:
        """None where the name holds no `%d`.

        Raises:
            UsageError: it holds several, or the folder does.
        """
        path = Path(text)
        found = list(_NUMBER.finditer(path.name))
        if not found:
            return None
        if len(found) > 1 or _NUMBER.search(str(path.parent)):
            raise UsageError(f"{text}: one number is allowed, in the file's name, as in frames/%05d.png")
        (mark,) = found
        before, after = (
            path.name[: mark.start()].replace("%%", "%"),
            path.name[mark.end() :].replace("%%", "%"),
        )
        return Pattern(path.parent, before, int(mark[2] or 0) if mark[1] else 0, after)

    def path(self, number: int) -> Path:
        """The file of a number."""
        return self.folder / f"{self.before}{number:0{self.width}d}{self.after}"

    def numbers(self) -> list[int]:
        """The numbers whose files exist, sorted."""
        name = re.compile(re.escape(self.before) + r"(\d+)" + re.escape(self.after))
        found = {int(match[1]) for entry in os.listdir(self.folder) if (match := name.fullmatch(entry))}
        return sorted(number for number in found if self.path(number).exists())

    def __str__(self) -> str:
        number = f"%0{self.width}d" if self.width else "%d"
        return str(self.folder / f"{self.before}{number}{self.after}")


def pattern_in(folder: str) -> str:
    """What to type for the numbered pictures of a folder: a pattern after the shortest of their names, or an example."""
    names = os.listdir(folder or ".") if os.path.isdir(folder or ".") else []
    for name in sorted(names, key=lambda name: (len(name), name)):
        before, digits, after = re.fullmatch(r"(.*?)(\d*)(\D*)", name, re.DOTALL).groups()  # type: ignore[union-attr]
        if digits and os.path.splitext(name)[1].lower() in PICTURES:
            return os.path.join(folder, f"{before.replace('%', '%%')}%0{len(digits)}d{after}")
    return os.path.join(folder, "%05d.png")
