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
from vidnoise.live.status import Status

STATES = ("connecting", "running", "waiting", "ended")
SHARES = (0.5, 0.9, 0.99)
HEALTHY = 15.0
"""Seconds since the last picture after which a camera is not well, unless its timeout is longer."""

Cameras = Callable[[], Sequence[Status]]


class Numbers(Collector):
    """Reads the cameras' counts when it is asked; nothing is counted twice."""

    def __init__(self, cameras: Cameras) -> None:
        self._cameras = cameras

    def collect(self) -> Iterator[Metric]:
        """All numbers of all cameras."""
        cameras = self._cameras()
        yield _family(
            "state",
            "1 for the state that the camera is in",
            "gauge",
            ["state"],
            (((c.name, state), float(c.state == state)) for c in cameras for state in STATES),
        )
        yield _family(
            "fps",
            "Pictures a second of late",
            "gauge",
            ["side"],
            (item for c in cameras for item in (((c.name, "in"), c.fps_in), ((c.name, "out"), c.fps_out))),
        )
        yield _family(
            "delay_seconds",
            "Arrival to going out, of the last pictures",
            "gauge",
            ["quantile"],
            (
                ((c.name, str(share)), value)
                for c in cameras
                for share, value in zip(SHARES, c.delays(SHARES), strict=True)
            ),
        )
        for name, help, read in COUNTS:
            yield _family(name, help, "counter", [], (((c.name,), float(read(c))) for c in cameras))
        for name, help, read in LEVELS:
            yield _family(name, help, "gauge", [], (((c.name,), float(read(c))) for c in cameras))
        outputs = [(c.name, str(number), o) for c in cameras for number, o in enumerate(c.outputs)]
        for name, help, kind, field in OUTPUTS:
            yield _family(name, help, kind, ["output"], (
                ((camera, number), float(getattr(o, field))) for camera, number, o in outputs
            ))  # fmt: skip


COUNTS: Sequence[tuple[str, str, Callable[[Status], float]]] = (
    ("frames_in", "Pictures that came from the camera", lambda c: c.taken),
    ("frames_out", "Pictures that went to the outputs", lambda c: c.given),
    ("frames_passed", "Pictures that went out unfiltered for want of time", lambda c: c.passed),
    ("frames_dropped", "Pictures left out for want of time", lambda c: c.dropped),
    ("frames_damaged", "Pictures and packets that arrived damaged", lambda c: c.damaged),
    ("reconnects", "Times that the camera came back", lambda c: c.reconnects),
)
LEVELS: Sequence[tuple[str, str, Callable[[Status], float]]] = (
    ("tier", "Steps by which the filters have been made cheaper", lambda c: c.tier),
    ("noise_sigma", "Deviation of the noise, of 255; 0 where no filter asks for it", lambda c: c.sigma),
    ("queue_length", "Pictures that wait for the filters", lambda c: c.waiting),
)
OUTPUTS = (
    ("output_connected", "Whether the output is open", "gauge", "connected"),
    ("output_reconnects", "Times that the output had to be opened again", "counter", "reconnects"),
    ("output_frames_dropped", "Pictures that the output could not take", "counter", "dropped"),
    ("output_bytes", "Bytes handed to the output", "counter", "bytes"),
)


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


def _family(
    name: str, help: str, kind: str, labels: list[str], values: Iterable[tuple[tuple[str, ...], float]]
) -> Metric:
    make = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
    family = make(f"vidnoise_{name}", help, labels=["camera", *labels])
    for names, value in values:
        family.add_metric(names, value)
    return family
