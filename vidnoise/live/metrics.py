"""How cameras are, over HTTP: `/metrics` for Prometheus and `/healthz` for a supervisor."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from vidnoise.errors import OutputError, UsageError
from vidnoise.live.status import OutputStatus, Status

STATES = ("connecting", "running", "waiting", "ended")
SHARES = (0.5, 0.9, 0.99)
HEALTHY = 15.0
"""Seconds since the last picture after which a camera is not well, unless its timeout is longer."""

Cameras = Callable[[], Sequence[Status]]
Samples = Iterable[tuple[tuple[str, ...], float]]
"""Values of labels beside the camera's name, and the number that goes with them."""


def _count(read: Callable[[Status], float]) -> Callable[[Status], Samples]:
    """One number a camera."""
    return lambda camera: [((), read(camera))]


def _outputs(read: Callable[[OutputStatus], float]) -> Callable[[Status], Samples]:
    """One number for each output of a camera."""
    return lambda camera: [((str(number),), read(output)) for number, output in enumerate(camera.outputs)]


def _delays(camera: Status) -> Samples:
    return [((str(share),), delay) for share, delay in zip(SHARES, camera.delays(SHARES), strict=True)]


GAUGES: Sequence[tuple[str, str, tuple[str, ...], Callable[[Status], Samples]]] = (
    (
        "state",
        "1 for the state that the camera is in",
        ("state",),
        lambda c: [((state,), c.state == state) for state in STATES],
    ),
    ("fps", "Pictures a second of late", ("side",), lambda c: [(("in",), c.fps_in), (("out",), c.fps_out)]),
    ("delay_seconds", "Arrival to going out, of the last pictures", ("quantile",), _delays),
    ("tier", "Steps by which the filters have been made cheaper", (), _count(lambda c: c.tier)),
    (
        "noise_sigma",
        "Deviation of the noise, of 255; 0 where no filter asks for it",
        (),
        _count(lambda c: c.sigma),
    ),
    ("queue_length", "Pictures that wait for the filters", (), _count(lambda c: c.waiting)),
    ("output_connected", "Whether the output is open", ("output",), _outputs(lambda o: o.connected)),
)
COUNTERS: Sequence[tuple[str, str, tuple[str, ...], Callable[[Status], Samples]]] = (
    ("frames_in", "Pictures that came from the camera", (), _count(lambda c: c.taken)),
    ("frames_out", "Pictures that went to the outputs", (), _count(lambda c: c.given)),
    ("frames_passed", "Pictures that went out unfiltered for want of time", (), _count(lambda c: c.passed)),
    ("frames_dropped", "Pictures left out for want of time", (), _count(lambda c: c.dropped)),
    ("frames_damaged", "Pictures and packets that arrived damaged", (), _count(lambda c: c.damaged)),
    ("reconnects", "Times that the camera came back", (), _count(lambda c: c.reconnects)),
    (
        "output_reconnects",
        "Times that the output had to be opened again",
        ("output",),
        _outputs(lambda o: o.reconnects),
    ),
    (
        "output_frames_dropped",
        "Pictures that the output could not take",
        ("output",),
        _outputs(lambda o: o.dropped),
    ),
    ("output_bytes", "Bytes handed to the output", ("output",), _outputs(lambda o: o.bytes)),
)
"""Name, help, labels and how to read them."""


class Numbers(Collector):
    """Reads the cameras' counts when it is asked; nothing is counted twice."""

    def __init__(self, cameras: Cameras) -> None:
        self._cameras = cameras

    def collect(self) -> Iterator[Metric]:
        """All numbers of all cameras."""
        cameras = self._cameras()
        for make, families in ((GaugeMetricFamily, GAUGES), (CounterMetricFamily, COUNTERS)):
            for name, help, labels, read in families:
                family = make(f"vidnoise_{name}", help, labels=["camera", *labels])
                for camera in cameras:
                    for values, number in read(camera):
                        family.add_metric((camera.name, *values), float(number))
                yield family


class Server:
    """Serves until closed.

    Args:
        address: `HOST:PORT`, or a port alone, which means on loopback.
        cameras: gives the cameras of the moment.

    Raises:
        UsageError: no such address.
        OutputError: the port is taken or may not be used.
    """

    def __init__(self, address: str, cameras: Cameras) -> None:
        found = re.fullmatch(r"(?:(?P<host>[^:\s]+|\[[^\]]+\]):)?(?P<port>\d{1,5})", address)
        if found is None or int(found["port"]) > 65535:
            raise UsageError(f"--metrics {address}: write HOST:PORT, such as 127.0.0.1:9300")
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Numbers(cameras))
        pages = {"/metrics": make_wsgi_app(registry), "/healthz": _health(cameras)}

        def serve(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
            page = pages.get(environ.get("PATH_INFO", ""))
            if page is None:
                start("404 Not Found", [("Content-Type", "text/plain")])
                return [b"there are /metrics and /healthz\n"]
            return page(environ, start)

        try:
            host = (found["host"] or "127.0.0.1").strip("[]")
            self._server = make_server(host, int(found["port"]), serve, _Threading, _Silent)
        except OSError as failure:
            raise OutputError(f"--metrics {address} cannot be served: {failure.strerror}") from failure
        self.port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="vidnoise-metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Threading(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], *rest: Any) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, *rest)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who hangs up or never asks is nothing to tell of."""


class _Silent(WSGIRequestHandler):
    timeout = 10.0  # or each client that is gone without a word would hold a thread and a handle

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are nothing to tell of."""


def _health(cameras: Cameras) -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
    def page(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        well = {status.name: status.healthy(HEALTHY) for status in cameras()}
        sound = bool(well) and all(well.values())
        start("200 OK" if sound else "503 Service Unavailable", [("Content-Type", "application/json")])
        return [json.dumps({"healthy": sound, "cameras": well}).encode() + b"\n"]

    return page
