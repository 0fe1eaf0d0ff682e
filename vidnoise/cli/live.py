"""Cameras on the command line: the options of `vidnoise rtsp://... -o OUTPUT`, and the run itself."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import click

from vidnoise.cli.errors import Status
from vidnoise.cli.options import Integer, chosen_chain, section, together
from vidnoise.errors import UsageError
from vidnoise.live.units import box, seconds

live = section("Cameras (rtsp://, rtmp://, udp://, /dev/video0)")

SAME = 1.0
"""Seconds in which several signals are one request: `timeout` sends two, and so does an impatient Ctrl-C."""


class Read(click.ParamType[Any]):
    """What a function of `vidnoise.live.units` reads."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Its value from text."""
        try:
            return self._read(value)
        except UsageError as failure:
            self.fail(str(failure), param, ctx)


SPAN, BOX = Read("span", seconds), Read("box", box)


live_options = together(
    live("--live", is_flag=True,
         help="Take an http:// or https:// input (MJPEG, HLS), or a pipe (-), for a camera."),
    live("--transport", type=click.Choice(("tcp", "udp")), help="How RTSP comes in; tcp if not given."),
    live("--timeout", type=SPAN, metavar="TIME",
         help="How long to wait for a connection, a picture, or progress of an output; 5s if not given."),
    live("--wait", is_flag=True,
         help="Keep trying where the camera cannot be opened at the start; later failures are always tried again."),
    live("--retries", type=Integer(min=0), metavar="N",
         help="Give up after so many failures in a row; without it, never."),
    live("--max-backoff", type=SPAN, metavar="TIME",
         help="The longest wait between two tries; 5s if not given."),
    live("--max-delay", type=SPAN, metavar="TIME",
         help="Beyond this the filters are made cheaper, then left out, then pictures dropped; 1s if not given."),
    live("--segment", metavar="TIME",
         help='Record in pieces of this length; OUTPUT is a name such as "cam/%Y-%m-%d_%H-%M-%S.mp4".'),
    live("--keep", metavar="TIME|SIZE", help="Remove pieces older than 7d, or beyond 50GB."),
    live("--roi", type=BOX, metavar="X,Y,W,H", help="Clean this rectangle alone, in pixels."),
    live("--ignore", type=BOX, multiple=True, metavar="X,Y,W,H",
         help="Leave this rectangle as it is, as a burnt-in clock; may be given several times."),
    live("--metrics", metavar="HOST:PORT",
         help="Serve /metrics (Prometheus) and /healthz; a port alone is on 127.0.0.1."),
    live("--log", type=click.Choice(("text", "json")), help="How events are told; text if not given."),
)  # fmt: skip
"""The options that cameras alone have; None where they are not given, to see whether they were."""
OPTIONS = [
    "live", "transport", "timeout", "wait", "retries", "max_backoff", "max_delay", "segment", "keep", "roi",
    "ignore", "metrics", "log",
]  # fmt: skip
"""Names of the options of cameras."""

FOR_FILES = ["start", "rate", "deinterlace", "compare", "print_latency", "format", "pix_fmt", "tile"]
"""Names of options that a camera has no use for."""


def is_live(source: str, targets: tuple[str, ...], chosen: dict[str, Any]) -> bool:
    """Whether the job is a camera's.

    Raises:
        UsageError: it is a file's, and has options of cameras.
    """
    from vidnoise.live.settings import is_camera

    if chosen["live"] or is_camera(source):
        return True
    given = [name for name in OPTIONS if chosen[name]]
    if given:
        raise UsageError(
            f"--{given[0].replace('_', '-')} is for cameras, and {source} is taken for a file; add --live"
        )
    if len(targets) > 1:
        raise UsageError("a file has one output; several are for cameras")
    return False


def run_camera(source: str, targets: tuple[str, ...], chosen: dict[str, Any]) -> dict[str, Any]:
    """Run one camera until it is told to stop; what it has done."""
    from vidnoise.live import log
    from vidnoise.live.camera import Camera, summary
    from vidnoise.live.destination import prepare

    log.start(chosen["log"] or "text", verbose=chosen["verbose"], quiet=chosen["quiet"])
    unfit = [name for name in FOR_FILES if chosen[name]]
    if unfit:
        raise UsageError(f"--{unfit[0].replace('_', '-')} is for files, not for cameras")
    camera = Camera(_settings(source, targets, chosen))
    for place in camera.places:
        prepare(place)
        if place.kind == "file" and not place.overwrite and os.path.exists(place.url):
            raise UsageError(f"{place.url} exists; add --overwrite to replace it, or give another name")
    began = time.monotonic()
    with serving(chosen["metrics"], lambda: [camera.status]), stopping(camera.stop):
        camera.run()
    return summary(camera.status, time.monotonic() - began)


def _settings(source: str, targets: tuple[str, ...], chosen: dict[str, Any]) -> Any:
    import dataclasses

    from vidnoise.chain import Chain
    from vidnoise.live.settings import Settings

    names = {field.name for field in dataclasses.fields(Settings)}
    given = {name: value for name, value in chosen.items() if name in names and value is not None}
    # A frame's delay is worth more here than what looking ahead gains, and the time than what deblurring does.
    filters = chosen_chain(chosen, Chain.parse("denoise:ahead=0"))
    return Settings(**given | {"source": source, "outputs": targets, "filters": filters})


@contextlib.contextmanager
def serving(address: str | None, cameras: Any) -> Iterator[None]:
    """Metrics and health meanwhile, where an address is given."""
    if address is None:
        yield
        return
    from vidnoise.live.metrics import Server

    server = Server(address, cameras)
    try:
        yield
    finally:
        server.close()


def leave(status: int) -> NoReturn:
    """End the process at once.

    Where a thread cannot be ended, as it waits in FFmpeg or makes filters ready, Python would tear it out of C++ code
    at its end, and abort.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # of a terminal that is gone
            stream.flush()
    os._exit(status)


@contextlib.contextmanager
def stopping(stop: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C, SIGTERM and a terminal that closes end the work in good order; one that comes later ends it at once."""
    from vidnoise.live import log

    asked: list[float] = []

    def ask(*_: object) -> None:
        if not asked:  # one that comes while this one is at work must not wait for its locks
            asked.append(time.monotonic())
            stop()
        elif time.monotonic() - asked[0] > SAME:
            # Outputs are processes of their own, and end their files when this one is gone.
            os.write(2, log.line("ended at once; what was recorded stays"))
            os._exit(Status.INTERRUPTED)

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as under nohup
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield
    finally:
        # Once asked, the process is about to end, and a signal that comes meanwhile must not undo that.
        for number, handler in before.items() if not asked else ():
            signal.signal(number, handler)
