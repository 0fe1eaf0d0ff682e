"""Options that the parts of `vidnoise bench` share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vidnoise.cli.options import (
    SEED,
    Within,
    debug_option,
    device_options,
    json_option,
    said,
    section,
    together,
)

measured = section("What is measured")
names_option = measured(
    "-f", "--filter", "names", multiple=True, metavar="FILTER",
    help="A filter or chain to measure; may be repeated. Without it, every filter at its defaults.",
)  # fmt: skip
seconds_option = measured(
    "--seconds",
    type=Within(0, min_open=True),
    default=2.0,
    show_default=True,
    help="About how long each of three rounds lasts; the median counts.",
)
common = together(
    names_option,
    measured(
        "-p", "--peer", "peer_names", multiple=True, metavar="PEER",
        help="A peer such as bm3d or bm3d@PyAV; may be repeated. 'all': wherever each is found; 'none'. "
        "Without it, every peer once.",
    ),
    measured("--seed", type=SEED, default=0, show_default=True, help="Of the noise."),
    device_options,
    said(
        "-o", "--output", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER",
        help="Write the result there: JSON with machine and commit, and for quality the picture against speed.",
    ),
    json_option("Print one line of JSON in place of the tables."),
    debug_option,
)  # fmt: skip
"""The options of `quality` and `speed`."""


class Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers apart by commas: `10,30,50`."""

    name = "numbers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """The numbers, each from 0 to 255."""
        try:
            numbers = tuple(float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of numbers; write for example 10,30,50", param, ctx)
        if not all(0 <= number <= 255 for number in numbers):
            self.fail(f"{value!r} goes beyond 0 to 255", param, ctx)
        return numbers
