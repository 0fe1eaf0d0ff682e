"""Metrics and health over HTTP: where they are served, what clients may do, what Prometheus reads."""

from __future__ import annotations

import json
import logging
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from cameras import free_port, sender, wait
from prometheus_client.parser import text_string_to_metric_families

from vidnoise.errors import OutputError
from vidnoise.live import metrics
from vidnoise.live.camera import Camera
from vidnoise.live.destination import resolve
from vidnoise.live.fleet import Fleet
from vidnoise.live.metrics import Server
from vidnoise.live.output import Output
from vidnoise.live.settings import Settings
from vidnoise.live.status import OutputStatus, Status


@contextmanager
def serving(address: str, *cameras: Status) -> Iterator[Server]:
    server = Server(address, lambda: cameras)
    try:
        yield server
    finally:
        server.close()


def fetched(server: Server, host: str = "127.0.0.1") -> str:
    with urlopen(f"http://{host}:{server.port}/metrics", timeout=10) as answer:
        return answer.read().decode()


def test_cameras_of_any_name_are_told_apart():
    names = ['yard "1"', "back\\slash", "zwei\nZeilen", "Tür/1", ""]
    cameras = [Status(name, outputs=[OutputStatus("a.ts")]) for name in names]
    with serving("127.0.0.1:0", *cameras) as server:
        families = list(text_string_to_metric_families(fetched(server)))
    for family in families:
        assert {sample.labels["camera"] for sample in family.samples} == set(names)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_an_address_of_ipv6_is_served():
    with serving("[::1]:0", Status("a")) as server:
        assert "vidnoise_state" in fetched(server, "[::1]")


def test_other_pages_name_those_that_there_are():
    with serving("127.0.0.1:0", Status("a")) as server, pytest.raises(HTTPError) as told:
        urlopen(f"http://127.0.0.1:{server.port}/", timeout=10)
    assert (told.value.code, told.value.read()) == (404, b"there are /metrics and /healthz\n")
    told.value.close()


def test_a_port_that_is_taken_is_named():
    with (
        serving("127.0.0.1:0") as server,
        pytest.raises(OutputError, match=f"{server.port} cannot be served"),
    ):
        Server(str(server.port), list)


def test_clients_that_hang_up_or_never_ask_hold_nothing(monkeypatch, capfd):
    monkeypatch.setattr(metrics._Silent, "timeout", 0.2)
    before = threading.active_count()
    with serving("127.0.0.1:0", Status("a")) as server:
        clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(8)]
        clients[0].sendall(b"GET /metr")
        clients[1].sendall(b"\x16\x03\x01 of TLS\r\n\r\n")
        clients[2].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        clients[2].close()  # by a reset
        assert "vidnoise_state" in fetched(server)
        until = time.monotonic() + 60
        while threading.active_count() > before + 1 and time.monotonic() < until:
            time.sleep(0.05)
        assert threading.active_count() == before + 1
        assert "vidnoise_state" in fetched(server)
        for client in clients:
            client.close()
    assert capfd.readouterr().err == ""


def test_a_camera_is_well_for_as_long_as_it_may_send_nothing(tmp_path):
    patient = Camera(Settings("udp://127.0.0.1:9", (f"{tmp_path}/a.ts",), name="patient", timeout=90)).status
    usual = Camera(Settings("udp://127.0.0.1:9", (f"{tmp_path}/b.ts",), name="usual")).status
    for status in (patient, usual):
        status.last = time.monotonic() - 60
    with serving("127.0.0.1:0", patient, usual) as server, pytest.raises(HTTPError) as answer:
        urlopen(f"http://127.0.0.1:{server.port}/healthz", timeout=10)
    assert json.load(answer.value)["cameras"] == {"patient": True, "usual": False}


def test_a_camera_that_ends_as_it_should_is_well_and_one_that_is_given_up_is_not(tmp_path):
    fleet = Fleet()
    with sender() as url:
        dead = f"tcp://127.0.0.1:{free_port()}"
        cameras = {
            "short": Settings(url, (f"{tmp_path}/a.ts",), duration=0.5),
            "lost": Settings(dead, (f"{tmp_path}/b.ts",), wait=True, retries=1, max_backoff=0.1),
        }
        fleet.become(cameras)
        wait(lambda: all(status.state == "ended" for status in fleet.statuses()))
        time.sleep(0.5)
        assert [status.state for status in fleet.statuses()] == ["ended", "ended"]
        short, lost = fleet.statuses()
        assert (short.healthy(0.0), lost.healthy(0.0)) == (True, False)
        fleet.become(cameras)  # as SIGHUP does: what was given up is tried again
        assert fleet.statuses()[0] is short
        assert fleet.statuses()[1] is not lost
    fleet.close()


def test_a_camera_of_which_nothing_arrives_anywhere_is_not_well(monkeypatch):
    monkeypatch.setattr(metrics, "HEALTHY", 0.5)
    refused = OutputStatus("tcp://127.0.0.1:9")
    lost, half = (Status(name, outputs=[refused]) for name in ("lost", "half"))
    half.outputs.append(OutputStatus("a.ts"))
    output = Output(
        resolve(refused.name),
        b"",
        patience=1.0,
        most=0.1,
        status=refused,
        want_key=bool,
        log=logging.LoggerAdapter(logging.getLogger("a")),
    )
    with serving("127.0.0.1:0", lost, half) as server:

        def well() -> dict[str, bool]:
            lost.gave(0.0, cleaned=False)
            half.gave(0.0, cleaned=False)
            try:
                with urlopen(f"http://127.0.0.1:{server.port}/healthz", timeout=10) as answer:
                    return json.load(answer)["cameras"]
            except HTTPError as answer:
                return json.load(answer)["cameras"]

        assert well() == {"lost": True, "half": True}
        wait(lambda: not well()["lost"])
        assert well() == {"lost": False, "half": True}
    output.close()
