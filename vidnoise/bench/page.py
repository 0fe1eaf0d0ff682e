"""The tables of `vidnoise bench models` as a page of Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vidnoise.bench import models
from vidnoise.bench.published import PUBLISHED
from vidnoise.bench.report import Row, markdown
from vidnoise.errors import OutputError

HEAD = """# Denoisers with trained weights

Made by `vidnoise bench models DATA --markdown FILE`; each row is a filter as it is typed after `-f`. White noise is
added to clean pictures, neither rounded nor clipped, and its level is told; results are rounded to 8 bits. PSNR and
SSIM are means over the pictures, and over R, G and B; gray pictures have one noise for all three. `denoise` is made for
video: on single pictures it has no past to average with."""


def write(path: Path, about: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """Write a run as a page.

    Args:
        path: where to; a file that is there is replaced.
        about: the circumstances, see `report.describe`.
        rows: the plain values of `models.Row`.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        path.write_text(page(about, rows), encoding="utf-8")
    except OSError as failure:
        raise OutputError(f"{path} cannot be written: {failure.strerror}; name another file") from failure


def page(about: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """The text."""
    tables = [f"## {title}\n\n{markdown(columns, shown)}" for title, columns, shown in models.parts(rows)]
    failed = [f"- `{row['method']}`: {row['failure']}" for row in rows if row["failure"]]
    failures = ["## What could not be measured\n\n" + "\n".join(failed)] if failed else []
    return "\n\n".join([HEAD, *tables, *failures, _sources(), _circumstances(about)]) + "\n"


def _sources() -> str:
    sources = dict.fromkeys(paper.source for paper in PUBLISHED)
    return "Published figures: " + "; ".join(sources) + "."


def _circumstances(about: Mapping[str, Any]) -> str:
    machine = about["machine"]
    limit = f" At most {about['limit']} pictures of each set." if about["limit"] else ""
    where = ", ".join(filter(None, [machine["cpu"], f"{machine['cores']} cores", machine["gpu"]]))
    return f"Measured on {where} ({about['device']}), commit {about['commit'] or 'unknown'}.{limit}"
