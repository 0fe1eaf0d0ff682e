"""`vidnoise compare`: how near two videos are, frame by frame, and a still of where they differ most."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidnoise.cli.options import Seconds, SectionCommand, debug_option, json_option, section
from vidnoise.cli.record import emit
from vidnoise.errors import InputError, OutputError, UsageError
from vidnoise.plain import plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vidnoise.frame import Frame

    Picture = NDArray[Any]

compared = section("What is compared and said")

CURVE_WIDTH, CURVE_HEIGHT = 72, 8
"""Of the curve, in characters."""

CROP = 8
"""The zoomed crop shows an eighth of the width and of the height."""

BARS = " ▁▂▃▄▅▆▇█"


@dataclass
class Likeness:
    """PSNR in dB and SSIM of every pair of frames, and the pair that differs most.

    `errors` are mean squared differences in units of 1/255 squared; `extra` counts frames that only one video has;
    `damage` says which video has lost some.
    """

    errors: list[float] = field(default_factory=list)
    ssims: list[float] = field(default_factory=list)
    extra: int = 0
    damage: list[str] = field(default_factory=list)
    worst: int = -1
    pair: tuple[Picture, Picture] | None = None

    def add(self, a: Picture, b: Picture) -> None:
        """Compare a pair of pictures (H,W,3) in 0..255."""
        from vidnoise.bench.metrics import mse, ssim

        self.errors.append(mse(a, b))
        self.ssims.append(ssim(a, b))
        if self.worst < 0 or self.errors[-1] > self.errors[self.worst]:
            self.worst, self.pair = len(self.errors) - 1, (a, b)

    @property
    def psnrs(self) -> list[float]:
        """Per frame, in dB; infinite where the pictures are the same."""
        from vidnoise.bench.metrics import psnr

        return [psnr(error) for error in self.errors]

    @property
    def psnr(self) -> float:
        """Of all frames as if they were one picture, in dB."""
        from vidnoise.bench.metrics import psnr

        return psnr(sum(self.errors) / len(self.errors))

    @property
    def ssim(self) -> float:
        """The mean over frames."""
        return sum(self.ssims) / len(self.ssims)


@click.command(
    cls=SectionCommand,
    short_help="Say how near two videos are: PSNR and SSIM, per frame and in all.",
    help="Say how near two videos of the same scene are: PSNR in dB and SSIM, per frame and in all, as RGB. Frames are "
    "paired in order. The curve shows the PSNR over time.",
)
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@compared(
    "--still",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PICTURE",
    help="Write both frames where they differ most, side by side, above a zoomed crop of the place: a .png or .jpg.",
)
@compared("--overwrite", is_flag=True, help="Replace PICTURE where it exists.")
@compared("--start", type=Seconds(), metavar="TIME", help="Leave out what is before this time of both.")
@compared("--duration", type=Seconds(), metavar="TIME", help="How much to compare.")
@json_option("Print one line of JSON in place of the table and the curve.")
@compared("-q", "--quiet", is_flag=True, help="Print the figures in all only, not those per frame.")
@debug_option
def compare(
    first: str,
    second: str,
    still: Path | None,
    overwrite: bool,
    start: float | None,
    duration: float | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Compare two videos."""
    if still is not None:
        _check_still(still, (first, second), overwrite)
    likeness = Likeness()
    reading = {"start": start, "duration": duration}
    for a, b in _pairs(first, second, reading, likeness):
        likeness.add(a, b)
        if not quiet and not as_json:
            _print_frame(likeness)
    if still is not None:
        _write_still(still, likeness, overwrite)
    if as_json:
        emit(_record(first, second, likeness, still))
    else:
        _print_all(likeness, still)


def _pairs(
    first: str, second: str, reading: dict[str, Any], likeness: Likeness
) -> Iterator[tuple[Picture, Picture]]:
    """Frame by frame; frames that only one video has are counted.

    Raises:
        InputError: the videos differ in size.
    """
    import vidnoise
    from vidnoise.bench.metrics import WINDOW
    from vidnoise.chain import Chain

    reading = reading | {"assume_progressive": True, "device": "cpu"}
    with (
        vidnoise.open(first, Chain(), **reading) as one,
        vidnoise.open(second, Chain(), **reading) as other,
    ):
        for a, b in zip_longest(one, other):
            if a is None or b is None:
                likeness.extra += 1
                continue
            if (a.width, a.height) != (b.width, b.height):
                raise InputError(
                    f"{first} is {a.width}x{a.height} and {second} is {b.width}x{b.height}; "
                    f"only videos of one size can be compared"
                )
            if min(a.width, a.height) < WINDOW:
                raise InputError(f"{first} is {a.width}x{a.height}; SSIM needs {WINDOW}x{WINDOW} or more")
            yield _picture(a), _picture(b)
        read = ((first, one), (second, other))
        likeness.damage = [f"{name} is damaged: {frames.damage}" for name, frames in read if frames.damage]


def _picture(frame: Frame) -> Picture:
    return frame.image.permute(1, 2, 0).mul(255).clamp(0, 255).contiguous().numpy()


def _print_frame(likeness: Likeness) -> None:
    from vidnoise.bench.metrics import psnr

    if len(likeness.errors) == 1:
        click.echo("frame   PSNR dB    SSIM")
    last = len(likeness.errors) - 1
    click.echo(f"{last:5d}  {psnr(likeness.errors[last]):8.2f}  {likeness.ssims[last]:.4f}")


def _print_all(likeness: Likeness, still: Path | None) -> None:
    click.echo(
        f"in all: PSNR {likeness.psnr:.2f} dB, SSIM {likeness.ssim:.4f}, {len(likeness.errors)} frames"
    )
    extra = [f"{likeness.extra} more frames are in one of the two only"] if likeness.extra else []
    for warning in (*extra, *likeness.damage):
        click.echo(f"vidnoise: warning: {warning}", err=True)
    for line in curve(likeness.psnrs):
        click.echo(line)
    if still is not None:
        where = "where they differ most" if math.isfinite(likeness.psnr) else "as in all, they do not differ"
        click.echo(f"{still}: frame {likeness.worst}, {where}")


def _record(first: str, second: str, likeness: Likeness, still: Path | None) -> dict[str, Any]:
    return {
        "a": first,
        "b": second,
        "frames": len(likeness.errors),
        "frames_in_one_only": likeness.extra,
        "damage": likeness.damage,
        "psnr": plain(likeness.psnr, 4),
        "ssim": round(likeness.ssim, 5),
        "worst_frame": likeness.worst,
        "still": None if still is None else str(still),
        "psnr_per_frame": plain(likeness.psnrs, 4),
        "ssim_per_frame": plain(likeness.ssims, 4),
    }


def curve(values: Sequence[float]) -> list[str]:
    """A curve of dB in text, with its highest and lowest value beside it; nothing where there is nothing to draw."""
    known = [value for value in values if math.isfinite(value)]
    if len(values) < 2 or not known:
        return []
    low, high = min(known), max(known)
    span = max(high - low, 1e-9)
    columns = [_mean(part, high) for part in _split(values, min(CURVE_WIDTH, len(values)))]
    levels = [1 + round((8 * CURVE_HEIGHT - 1) * (value - low) / span) for value in columns]
    lines = []
    for row in reversed(range(CURVE_HEIGHT)):
        label = f"{high:.2f} dB" if row == CURVE_HEIGHT - 1 else f"{low:.2f} dB" if row == 0 else ""
        lines.append(f"{label:>10} ┤" + "".join(BARS[min(max(level - 8 * row, 0), 8)] for level in levels))
    return [*lines, f"{'frame 0':>10} └{'─' * (len(columns) - 1)} {len(values) - 1}"]


def _split(values: Sequence[float], parts: int) -> list[Sequence[float]]:
    ends = [round(i * len(values) / parts) for i in range(parts + 1)]
    return [values[a:b] for a, b in pairwise(ends)]


def _mean(values: Sequence[float], most: float) -> float:
    """The mean; identical pictures count as the best of the rest."""
    return sum(min(value, most) for value in values) / len(values)


def _check_still(path: Path, sources: Sequence[str], overwrite: bool) -> None:
    """Before all frames are compared for nothing."""
    from vidnoise.io.target import Target

    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise UsageError(f"{path} is no picture that can be written; use a name that ends in .png or .jpg")
    for source in sources:
        Target(path, source, overwrite=overwrite).discard()


def _write_still(path: Path, likeness: Likeness, overwrite: bool) -> None:
    import cv2

    from vidnoise.io.target import Target

    assert likeness.pair is not None
    place = Target(path, overwrite=overwrite)
    try:
        if not cv2.imwrite(str(place.temporary), still_picture(*likeness.pair)[..., ::-1]):
            raise OutputError(f"{path} cannot be written; is there room on its disk?")
        place.commit()
    finally:
        place.discard()


def still_picture(a: Picture, b: Picture) -> Picture:
    """Both pictures side by side, and below each the zoomed place where they differ most; (H',W',3) uint8 RGB."""
    import cv2
    import numpy as np

    height, width = a.shape[:2]
    h, w = max(height // CROP, 8), max(width // CROP, 8)
    difference = cv2.boxFilter(np.abs(a - b).mean(2), -1, (w, h), borderType=cv2.BORDER_REFLECT)
    y, x = np.unravel_index(int(difference.argmax()), difference.shape)
    top, left = (int(np.clip(c - s // 2, 0, n - s)) for c, s, n in ((y, h, height), (x, w, width)))
    columns = []
    for picture in (a, b):
        whole = np.ascontiguousarray(np.rint(picture).clip(0, 255).astype(np.uint8))
        crop = whole[top : top + h, left : left + w]
        zoomed = cv2.resize(crop, (width, round(h * width / w)), interpolation=cv2.INTER_NEAREST)
        cv2.rectangle(whole, (left, top), (left + w - 1, top + h - 1), (255, 255, 0), max(1, width // 640))
        columns.append(np.vstack([whole, zoomed]))
    return np.hstack(columns)
