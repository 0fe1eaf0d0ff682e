"""`vidnoise bench`: quality and speed of the filters and of their peers."""

from __future__ import annotations

import click

from vidnoise.cli.bench.models import models
from vidnoise.cli.bench.pairs import pairs
from vidnoise.cli.bench.quality import quality
from vidnoise.cli.bench.speed import speed
from vidnoise.cli.options import debug_option


@click.group(short_help="Measure quality and speed of the filters and of their peers.")
@debug_option
def command() -> None:
    """Measure the filters and their peers (FFmpeg's in the ffmpeg program and in PyAV, OpenCV's) on the same input."""


for part in (quality, pairs, models, speed):
    command.add_command(part)
