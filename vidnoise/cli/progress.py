"""What the main job says while it works, on standard error: progress in a terminal, warnings as one line each."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from vidnoise.api import Summary
    from vidnoise.frame import Frame
    from vidnoise.io import Reader


WIDE = 60
"""Columns of a terminal from which on the bar and all figures fit on a line."""


class Talk:
    """The main job's messages; a context manager around the work, for the progress bar's sake.

    Args:
        verbose: also say what was chosen and why.
        quiet: say nothing.
    """

    def __init__(self, verbose: bool, quiet: bool) -> None:
        self._verbose = verbose and not quiet
        self._quiet = quiet
        self._said: set[str] = set()
        self._bar = _bar() if sys.stderr.isatty() and not quiet else None
        self._task: TaskID | None = None

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def opened(self, reader: Reader, summary: Summary) -> None:
        """Input and output are open: say what is known, start the bar."""
        if self._verbose:
            latency = f"{summary.latency} frame{'s' * (summary.latency != 1)} ahead"
            self._say(f"filters: {summary.filters} ({latency})")
            self._say(f"device: {summary.device}")
            self._say(f"decoder: {summary.decoder}")
            self._say(f"encoder: {summary.encoder}")
        self._warn(summary.warnings)
        if self._bar:
            self._task = self._bar.add_task("", total=reader.info.frames, noise="")
            self._bar.start()

    def frame(self, frame: Frame) -> None:
        """One more frame is finished."""
        if self._bar and self._task is not None:
            self._bar.advance(self._task)
            if frame.sigma is not None:
                self._bar.update(self._task, noise=f"noise {255 * float(frame.sigma.sigma.mean()):.1f}")

    def done(self, target: str, summary: Summary) -> None:
        """The output is there: say what is left to say."""
        self._warn(summary.warnings)
        if summary.losses and not self._quiet:
            self._say(f"warning: the input is damaged: {summary.damage}; the rest is saved")
        if self._verbose or self._bar:
            self._say(f"{target}: {in_words(summary)}")

    def _warn(self, warnings: list[str]) -> None:
        for warning in warnings:
            if warning not in self._said and not self._quiet:
                self._say(f"warning: {warning}")
            self._said.add(warning)

    def _say(self, line: str) -> None:
        click.echo(f"vidnoise: {' '.join(line.split())}", err=True)


def in_words(summary: Summary) -> str:
    """A summary as a line: `300 frames in 12.0 s, 25.0 frames/s, noise 14.2`."""
    noise = "" if summary.noise is None else f", noise {sum(summary.noise) / 3:.1f} of 255"
    return f"{summary.frames} frames in {summary.seconds:.1f} s, {summary.fps:.1f} frames/s{noise}"


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    count, left, noise = MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[noise]}")
    wide = (BarColumn(bar_width=None), count, _speed(), TextColumn("left"), left, noise)
    return Progress(
        *(wide if console.width >= WIDE else (count, left)),
        console=console,
        expand=True,
        refresh_per_second=4,
        transient=True,
    )


def _speed() -> Any:
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text("" if task.speed is None else f"{task.speed:.1f} frames/s")

    return Speed()
