"""What a run of the bench leaves: the machine it ran on, its rows as JSON and as a table."""

from __future__ import annotations

import json
import math
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidnoise.device import cpu_name
from vidnoise.plain import plain

if TYPE_CHECKING:
    from rich.table import Table

PACKAGES = ("vidnoise", "torch", "av", "opencv-python", "opencv-python-headless", "numpy")

Row = Mapping[str, Any]


def describe(**more: Any) -> dict[str, Any]:
    """The circumstances of a run: command line, time, commit, machine and versions; `more` is added as it is."""
    return {
        "command": f"vidnoise {shlex.join(sys.argv[1:])}",
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": commit(),
        "machine": machine(),
        **more,
    }


def commit() -> str | None:
    """The git commit of the code that runs, `-dirty` where it was changed; None outside a repository."""
    folder = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            check=False,
        )
        tracked = subprocess.run(
            ["git", "-C", str(folder), "ls-files", "--error-unmatch", Path(__file__).name],
            capture_output=True,
            check=False,
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 and tracked.returncode == 0 else None


def machine() -> dict[str, Any]:
    """Processor, cores that may be used, GPU, memory in GiB, system and the versions of what computes."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "cpu": cpu_name(),
        "cores": cores,
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "memory": round(memory, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": _versions(),
    }


def save(path: Path, circumstances: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """Write the run as JSON."""
    text = json.dumps(record(circumstances, rows), indent=1, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def record(circumstances: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """The run in plain values; what is not a number or infinite becomes None."""
    found: dict[str, Any] = plain({**circumstances, "rows": list(rows)}, 5)
    return found


def table(title: str, columns: Mapping[str, tuple[str, str]], rows: Sequence[Row]) -> Table:
    """Rows as a table.

    Args:
        title: what is above it.
        columns: for each key of the rows, the heading and the format of its values (`.2f`).
        rows: what is shown; a row with a `failure` shows it below.
    """
    from rich import box
    from rich.table import Table

    shown = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for key, (heading, form) in columns.items():
        # Where there is no room for all, figures would lose digits.
        whole = key not in ("method", "settings")
        shown.add_column(heading, justify="right" if form else "left", no_wrap=whole, overflow="fold")
    failures = []
    for row in rows:
        shown.add_row(*(_cell(row.get(key), form) for key, (_, form) in columns.items()))
        if row.get("failure"):
            failures.append(f"{row['method']} {row['home']}: {row['failure']}")
    shown.caption = "\n".join(failures) or None
    shown.caption_justify = "left"
    return shown


def markdown(columns: Mapping[str, tuple[str, str]], rows: Sequence[Row]) -> str:
    """Rows as a table of Markdown; columns as for `table`."""
    head = [heading for heading, _ in columns.values()]
    line = ["---:" if form else "---" for _, form in columns.values()]
    body = [[_cell(row.get(key), form) for key, (_, form) in columns.items()] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, line, *body])


def _cell(value: Any, form: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return format(value, form) if form else str(value)


def _versions() -> dict[str, str]:
    import av

    found = {"FFmpeg in PyAV": str(av.ffmpeg_version_info)}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    if program := _ffmpeg_program():
        found["ffmpeg program"] = program
    return found


def _ffmpeg_program() -> str | None:
    try:
        done = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    words = done.stdout.split()
    return words[2] if len(words) > 2 else None
