"""Where tables and messages go: as wide as the terminal, and of a fixed width when piped."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PIPED_WIDTH = 110


def out() -> Console:
    """Standard output."""
    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPED_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False)


def err() -> Console:
    """Standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def table(*headings: str) -> Table:
    """A table without side lines, which reads the same in a terminal, a pipe and a file."""
    from rich import box
    from rich.table import Table

    made = Table(*headings, box=box.SIMPLE_HEAD, pad_edge=False)
    for column in made.columns:
        column.overflow = "fold"
    return made


def emit(record: dict[str, Any], *, to_stderr: bool = False) -> None:
    """One line of JSON."""
    print(json.dumps(record, allow_nan=False), file=sys.stderr if to_stderr else sys.stdout, flush=True)
