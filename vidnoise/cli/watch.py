"""`vidnoise watch cameras.toml`: several cameras in one process."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vidnoise.cli.errors import Status
from vidnoise.cli.live import leave, serving, stopping
from vidnoise.cli.options import SectionCommand, debug_option, said
from vidnoise.errors import UsageError

if TYPE_CHECKING:
    from vidnoise.live.fleet import Fleet


WAKE = 0.1
"""Seconds between two looks at what signals have asked for."""


@click.command(cls=SectionCommand, short_help="Clean several cameras, for weeks, as a file says.")
@click.argument("cameras", type=click.Path(dir_okay=False, path_type=Path), metavar="CAMERAS.TOML")
@said(
    "--metrics",
    metavar="HOST:PORT",
    help="Serve /metrics (Prometheus) and /healthz; a port alone is on 127.0.0.1.",
)
@said(
    "--log",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="How events are told.",
)
@said("-v", "--verbose", is_flag=True, help="Tell each failure of those that recur, too.")
@debug_option
def watch(cameras: Path, metrics: str | None, log: str, verbose: bool) -> None:
    """Clean all cameras of a file; one that fails disturbs no other. SIGHUP reads the file again, SIGTERM ends it.

    The file has a [cameras.NAME] for each camera, with source, outputs and what else differs from [defaults]:
    examples/cameras.toml is one.
    """
    from vidnoise.live import log as logs
    from vidnoise.live.cameras_file import load
    from vidnoise.live.fleet import Fleet

    logs.start(log, verbose=verbose)
    fleet = Fleet()
    ending = threading.Event()
    asked: list[int] = []
    with stopping(ending.set), _reloading(asked), serving(metrics, fleet.statuses):
        fleet.become(load(cameras))
        try:
            # No lock is held here that a signal's handler, which runs in this thread, would have to wait for.
            while not ending.is_set():
                time.sleep(WAKE)
                if asked:
                    asked.clear()
                    _reload(fleet, cameras)
        finally:
            fleet.close()
    leave(Status.WHOLE)


def _reload(fleet: Fleet, cameras: Path) -> None:
    """Read the file again; one with a mistake changes nothing."""
    from vidnoise.live.cameras_file import load
    from vidnoise.live.log import NAME

    logger = logging.getLogger(NAME)
    try:
        wanted = load(cameras)
    except UsageError as failure:
        logger.warning("%s; all goes on as before", failure)
        return
    fleet.become(wanted)
    logger.info("%s is read: %s", cameras, ", ".join(wanted))


@contextlib.contextmanager
def _reloading(asked: list[int]) -> Iterator[None]:
    """SIGHUP asks for it."""
    before = signal.signal(signal.SIGHUP, lambda number, _: asked.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
