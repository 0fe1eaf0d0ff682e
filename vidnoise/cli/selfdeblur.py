"""`vidnoise selfdeblur`: one picture with an unknown blur, sharpened by what it tells itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vidnoise.cli.errors import Status
from vidnoise.cli.options import SEED, Integer, SectionCommand, Within, debug_option, section
from vidnoise.device import DEVICES
from vidnoise.errors import UsageError
from vidnoise.filter import SpatialFilter

if TYPE_CHECKING:
    from torch import Tensor

    from vidnoise.api import Summary
    from vidnoise.io import Reader

result, how = section("The result"), section("How")

Tell = Callable[[float, float], None]


@click.command(
    cls=SectionCommand, short_help="Sharpen one picture that a motion has blurred the same everywhere."
)
@click.argument("source", metavar="PICTURE")
@result("-o", "--output", "target", required=True, metavar="OUTPUT", help="The sharp picture.")
@result("--overwrite", is_flag=True, help="Replace OUTPUT where it exists.")
@how(
    "--size",
    type=Integer(5, 99),
    help="Pixels that the blur spreads over at most, 5 to 99; by default what a first guess of it needs, if any shows.",
)
@how(
    "--minutes",
    type=Within(0, 600),
    default=0.0,
    show_default=True,
    help="How long a network is fitted to the picture, 0 to 600; 0 leaves it at the first guess, in seconds. One that had "
    "too little time gives a soft picture.",
)
@how("--seed", type=SEED, default=0, show_default=True, help="Of the network.")
@how("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where.")
@debug_option
def selfdeblur(
    source: str, target: str, overwrite: bool, size: int | None, minutes: float, seed: int, device: str
) -> int:
    """Take the blur of a motion, such as that of a shaken camera, from PICTURE, if it is the same everywhere.

    Kernel and sharp picture are found from the picture alone; with --minutes a small network is fitted to it as well. For
    video, and for blur that differs from place to place, see -f deblur.
    """
    from vidnoise.api import run
    from vidnoise.cli.progress import Talk
    from vidnoise.io.picture_names import ENCODERS

    if target != "-" and Path(target).suffix.lower() not in (*ENCODERS, ".avif"):
        raise UsageError(
            f"{target} is no picture that can be written; give one of {', '.join(ENCODERS)}, .avif"
        )
    with _progress() as tell:
        filter = _filter(size // 2 * 2 + 1 if size else 0, 60 * minutes, seed, tell)
        summary = run(source, filter, target, device=device, overwrite=overwrite, opened=_single)
    Talk(verbose=False, quiet=False).done(target, summary)
    return Status.LOSSES if summary.losses else Status.WHOLE


def _filter(side: int, seconds: float, seed: int, tell: Tell) -> SpatialFilter:
    """`vidnoise.selfdeblur` as a filter, so that the picture is read and written as all are."""
    from vidnoise.selfdeblur import restore

    class SelfDeblur(SpatialFilter):
        name = "selfdeblur"
        tileable = False  # the blur is found in the whole picture

        def apply(self, x: Tensor) -> Tensor:
            return restore(x[0].clamp(0, 1), side, seconds, seed=seed, tell=tell).picture[None]

    return SelfDeblur()


def _single(reader: Reader, _: Summary) -> None:
    if not reader.of_pictures or (reader.info.frames or 1) > 1:
        raise UsageError(
            "selfdeblur takes one picture; for video and sequences: vidnoise INPUT -o OUTPUT -f deblur"
        )


@contextmanager
def _progress() -> Iterator[Tell]:
    """A bar in a terminal, nothing elsewhere."""
    from rich.progress import Progress

    from vidnoise.cli.console import err

    console = err()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("finding the blur", total=1.0)

        def tell(share: float, loss: float) -> None:
            bar.update(task, completed=share, description=f"fitting, loss {loss:.2e}")

        yield tell
