"""Where tables and messages go: as wide as the terminal, and of a fixed width when piped."""

from __future__ import annotations

import os
import sys
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

PIPED_WIDTH = 110


class Plain(Console):
    """A console that prints text as it is, and leaves it to the command what a closed pipe means."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **settings)

    def on_broken_pipe(self) -> None:
        """Rich would end the process here."""
        raise BrokenPipeError


def out() -> Console:
    """Standard output."""
    return Plain(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPED_WIDTH)


def err() -> Console:
    """Standard error."""
    return Plain(stderr=True)


def table(*headings: str) -> Table:
    """A table without side lines, which reads the same in a terminal, a pipe and a file."""
    made = Table(*headings, box=box.SIMPLE_HEAD, pad_edge=False)
    for column in made.columns:
        column.overflow = "fold"
    return made
