"""What `vidnoise bench` says: while it measures, as tables or a line of JSON, and where files go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidnoise.cli.record import emit
from vidnoise.errors import OutputError

if TYPE_CHECKING:
    from vidnoise.bench.report import Row


def say(
    about: dict[str, Any],
    rows: Sequence[Row],
    tables: Callable[[dict[str, Any], Sequence[Row]], Iterator[Any]],
    as_json: bool,
) -> None:
    """Print a result: as tables, and on which machine it was measured, or as JSON."""
    from vidnoise.bench.report import record
    from vidnoise.cli.console import out

    if as_json:
        emit(record(about, rows))
        return
    console = out()
    for part in tables(about, rows):
        console.print(part)
    machine = about["machine"]
    gpu = f", {machine['gpu']}" if machine["gpu"] else ""
    console.print(f"{machine['cpu']}, {machine['cores']} cores{gpu}; commit {about['commit'] or 'unknown'}")


def folder_for(path: Path) -> Path:
    """A folder for results, made where there is none; OutputError where that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise OutputError(f"the folder {path} cannot be made: {failure.strerror}") from failure
    return path


@contextmanager
def telling() -> Iterator[Callable[[str], None]]:
    """Shows what is being measured in a terminal's last line; says nothing elsewhere."""
    from vidnoise.cli.console import err

    with err().status("measuring") as status:
        yield status.update
