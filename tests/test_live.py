"""Cameras end to end: a real RTSP server, vidnoise as a process, real receivers, all on loopback."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from fractions import Fraction
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import av
import pytest
from cameras import Server, camera, frames, free_port, receiver, vidnoise, wait

pytestmark = pytest.mark.live

BACK = ("--max-backoff", "0.5s")
RAW = ("-f", "none")


def test_a_killed_camera_is_back_within_three_seconds_of_its_return_and_the_output_never_ends():
    chance = random.Random(5)
    with receiver() as sink, camera() as server, vidnoise(server.url, *RAW, *BACK, "-o", sink.url) as job:
        sink.wait_for(5)
        for _ in range(2):
            server.kill()
            time.sleep(chance.uniform(0.2, 1.2))
            before = len(sink.came)
            server.start()
            wait(lambda n=before: len(sink.came) > n + 1, 3, job.told)
            time.sleep(chance.uniform(0.0, 1.0))
        assert job.stop() == 0
    assert all(a < b for a, b in pairwise(sink.times))


def test_a_stall_is_noticed_within_the_timeout_and_the_picture_comes_back():
    words = (*RAW, *BACK, "--timeout", "1.5s")
    with receiver() as sink, camera() as server, vidnoise(server.url, *words, "-o", sink.url) as job:
        sink.wait_for(5)
        server.freeze()
        frozen = time.monotonic()
        job.hears("1.5 s", timeout=4)
        assert time.monotonic() - frozen < 2.5
        server.thaw()
        sink.wait_for(len(sink.came) + 5)
        assert job.stop() == 0


def test_a_camera_that_comes_back_with_another_size_rate_and_codec_is_brought_to_the_first(tmp_path):
    target = tmp_path / "out.mkv"
    with camera("--fps", "10") as server, vidnoise(server.url, *RAW, *BACK, "-o", str(target)) as job:
        job.hears("connected: 320x180 h264")
        time.sleep(1)
        for options, words in (
            (("--width", "640", "--height", "360", "--fps", "15"), "connected: 640x360 h264"),
            (("--codec", "h265"), "connected: 320x180 hevc"),
            (("--codec", "jpeg"), "connected: 320x184 mjpeg"),
        ):
            server.kill()
            server.start(*options)
            job.hears(words)
            time.sleep(1)
        assert job.stop() == 0
    times = frames(target)
    assert len(times) > 25
    assert all(a < b for a, b in pairwise(times))


def test_hls_that_is_written_can_be_read_again_as_a_camera(tmp_path):
    written = ("-o", f"{tmp_path}/hls/")
    with (
        camera("--audio") as server,
        serving(tmp_path) as address,
        vidnoise(server.url, *RAW, *written) as first,
    ):
        wait(lambda: len(list((tmp_path / "hls").glob("*.ts"))) >= 2, 20, first.told)
        words = ("--live", *RAW, "--duration", "6", "-o", f"{tmp_path}/a.mkv")
        with vidnoise(f"{address}/hls/index.m3u8", *words) as second:
            assert second.end(30) == 0
        assert first.stop() == 0
    assert len(frames(tmp_path / "a.mkv")) > 10


def test_pictures_over_http_are_a_camera(tmp_path):
    with serving(tmp_path, MotionJpeg) as address:
        words = (f"{address}/cam", "--live", *RAW, "--duration", "5", "-o", f"{tmp_path}/a.mkv")
        with vidnoise(*words) as job:
            assert job.end(20) == 0
    times = frames(tmp_path / "a.mkv")
    assert 7 < (len(times) - 1) / (times[-1] - times[0]) < 13  # ten a second, whatever FFmpeg guesses


class MotionJpeg(BaseHTTPRequestHandler):
    """Ten pictures a second for one client, in the manner of old cameras."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        encoder = av.CodecContext.create("mjpeg", "w")
        encoder.width, encoder.height, encoder.pix_fmt = 160, 96, "yuvj420p"
        encoder.time_base = Fraction(1, 10)
        data = bytes(encoder.encode(av.VideoFrame(160, 96, "yuvj420p"))[0])
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n".encode()
        with suppress(OSError):
            while True:
                self.wfile.write(head + data + b"\r\n")
                time.sleep(0.1)

    def log_message(self, *_: object) -> None:
        pass


class Folder(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(folder: Path, handler=None):
    """A web server; gives its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler or partial(Folder, directory=str(folder)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_pictures_come_over_udp_and_go_out_soon(tmp_path):
    words = ("--transport", "udp", "--json")
    with (
        receiver() as sink,
        camera("--fps", "15") as server,
        vidnoise(server.url, *words, "-o", sink.url) as job,
    ):
        sink.wait_for(45)
        assert job.stop() == 0
        told = json.loads(job.out)
    ages = sorted(sink.ages[20:])
    assert ages[len(ages) // 2] < 0.6
    assert told["dropped"] == 0
    assert told["noise"] > 5


@pytest.mark.parametrize(
    ("options", "path", "words"),
    [
        (("--user", "me", "--password", "s3cret"), "rtsp://me:wrong@127.0.0.1:{}/cam", "(401)"),
        ((), "rtsp://127.0.0.1:{}/nothing", "(404)"),
        ((), "http://127.0.0.1:{}/cam", "connect"),
    ],
)
def test_a_camera_that_cannot_be_opened_at_the_start_says_why(options, path, words, tmp_path):
    with camera(*options) as server:
        url = path.format(server.port)
        with vidnoise(url, "--live", *RAW, "-o", str(tmp_path / "out.mkv"), "--timeout", "2s") as job:
            assert job.end() == 1
    assert words in job.told()
    assert "wrong@" not in job.told()


def test_a_port_that_accepts_and_never_answers_is_given_up_in_time(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/cam"
        began = time.monotonic()
        with vidnoise(url, *RAW, "-o", str(tmp_path / "out.mkv"), "--timeout", "1s") as job:
            assert job.end() == 1
        assert time.monotonic() - began < 6
    assert "no answer within 1 s" in job.told()


def test_a_camera_that_forbids_says_so(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        answering = threading.Thread(target=forbid, args=(server,))
        answering.start()
        url = f"rtsp://127.0.0.1:{server.getsockname()[1]}/cam"
        with vidnoise(url, *RAW, "-o", str(tmp_path / "out.mkv")) as job:
            assert job.end() == 1
        answering.join()
    assert "(403)" in job.told()


def forbid(server: socket.socket) -> None:
    """An RTSP server that answers every request of one client with 403."""
    client, _ = server.accept()
    with client:
        while request := client.recv(4096).decode():
            number = next(line for line in request.splitlines() if line.startswith("CSeq"))
            client.sendall(f"RTSP/1.0 403 Forbidden\r\n{number}\r\n\r\n".encode())


def test_wait_keeps_trying_a_camera_that_is_not_there_yet(tmp_path):
    port = free_port()
    url = f"rtsp://127.0.0.1:{port}/cam"
    with vidnoise(url, *RAW, *BACK, "--wait", "-o", str(tmp_path / "out.mkv")) as job:
        job.hears("nothing listens there")
        server = Server(port=port)
        try:
            job.hears("connected")
        finally:
            server.kill()
        assert job.stop() == 0


def test_a_job_that_still_waits_for_its_camera_ends_within_two_seconds(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/cam"
        with vidnoise(url, "--wait", "--timeout", "30s", "-o", str(tmp_path / "out.mkv")) as job:
            client, _ = silent.accept()
            with client:
                time.sleep(0.5)
                asked = time.monotonic()
                assert job.stop() == 0
                assert time.monotonic() - asked < 2


def test_retries_end_the_job_after_so_many_failures(tmp_path):
    with camera() as server:
        words = (server.url, *RAW, "--retries", "2", "--max-backoff", "0.2s", "-o", str(tmp_path / "out.mkv"))
        with vidnoise(*words) as job:
            job.hears("open")
            server.kill()
            assert job.end() == 1
        assert "given up after 2 tries" in job.told()
        server.start()


def test_several_outputs_and_the_sound_come_from_one_encode_and_end_within_two_seconds(tmp_path):
    places = ["a.ts", "b.mkv", "hls/"]
    words = [word for place in places for word in ("-o", f"{tmp_path}/{place}")]
    with camera("--audio") as server, vidnoise(server.url, *RAW, *words, "--json") as job:
        wait(lambda: (tmp_path / "hls/index.m3u8").exists(), 20, job.told)
        asked = time.monotonic()
        assert job.stop() == 0
        assert time.monotonic() - asked < 2
    for place in ("a.ts", "b.mkv", "hls/index.m3u8"):
        with av.open(str(tmp_path / place)) as made:
            assert [s.type for s in made.streams] == ["video", "audio"], place
            kinds = [packet.stream.type for packet in made.demux() if packet.size]
        assert kinds.count("video") > 15, place
        assert kinds.count("audio") > 15, place


def test_keyframes_come_every_two_seconds(tmp_path):
    target = tmp_path / "out.mkv"
    with camera() as server, vidnoise(server.url, *RAW, "--duration", "6", "-o", str(target)) as job:
        assert job.end(20) == 0
    with av.open(target) as made:
        keys = [float(packet.pts * packet.time_base) for packet in made.demux() if packet.is_keyframe]
    assert len(keys) >= 3
    assert all(1.8 < b - a < 2.2 for a, b in pairwise(keys))


def test_a_recording_plays_up_to_the_last_second_after_kill_9(tmp_path):
    pattern = f"{tmp_path}/%Y-%m-%d/%H-%M-%S.mp4"
    with camera() as server, vidnoise(server.url, *RAW, "--segment", "3s", "-o", pattern) as job:
        wait(lambda: len(list(tmp_path.rglob("*.mp4"))) >= 3, 20, job.told)
        time.sleep(1.5)
        for pid in [*children(job.pid), job.pid]:
            os.kill(pid, signal.SIGKILL)
        killed = time.time()
        job.end()
    *closed, last = sorted(tmp_path.rglob("*.mp4"))
    assert all(frames(path) for path in closed)
    times = frames(last)
    assert killed - last.stat().st_mtime < 1
    assert times[-1] - times[0] > 0.3


def test_old_pieces_are_removed(tmp_path):
    pattern = f"{tmp_path}/%H-%M-%S.mp4"
    words = ("--segment", "1s", "--keep", "3s", "-o", pattern)
    (tmp_path / "mine.mp4").write_bytes(b"not a piece")
    os.utime(tmp_path / "mine.mp4", (0, 0))
    with camera() as server, vidnoise(server.url, *RAW, *words, "--duration", "7") as job:
        assert job.end(30) == 0
    pieces = sorted(tmp_path.glob("??-??-??*.mp4"))
    assert 2 <= len(pieces) <= 4
    assert (tmp_path / "mine.mp4").exists()


def test_an_rtsp_server_that_goes_away_is_published_to_again(tmp_path):
    port = free_port()
    url = f"rtsp://127.0.0.1:{port}/clean"
    with camera("--audio") as server, vidnoise(server.url, *RAW, *BACK, "-o", url) as job:
        job.hears("trying again")  # nobody listens yet
        for round in range(2):
            got = tmp_path / f"{round}.mkv"
            listen = ["ffmpeg", "-v", "error", "-rtsp_flags", "listen", "-i", url, "-t", "2", "-c", "copy"]
            subprocess.run([*listen, str(got)], stdin=subprocess.DEVNULL, timeout=30, check=True)
            assert len(frames(got)) > 10
        assert job.stop() == 0


def test_an_rtmp_server_is_published_to(tmp_path):
    url, got = f"rtmp://127.0.0.1:{free_port()}/live/clean", tmp_path / "got.mkv"
    listen = ["ffmpeg", "-v", "error", "-listen", "1", "-i", url, "-t", "2", "-c", "copy", str(got)]
    with camera("--audio") as server, vidnoise(server.url, *RAW, *BACK, "-o", url) as job:
        job.hears("connected")
        subprocess.run(listen, stdin=subprocess.DEVNULL, timeout=30, check=True)
        assert job.stop() == 0
    assert len(frames(got)) > 10


def test_a_receiver_that_never_answers_is_given_up_and_harms_no_other_output(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent, receiver() as sink, camera() as server:
        stuck = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/x"
        with vidnoise(server.url, *RAW, *BACK, "--timeout", "1s", "-o", stuck, "-o", sink.url) as job:
            job.hears("no progress for 1 s")
            sink.wait_for(5)
            came = len(sink.came)
            time.sleep(2)
            assert len(sink.came) > came + 10
            asked = time.monotonic()
            assert job.stop() == 0
            assert time.monotonic() - asked < 2


def test_no_password_is_told_by_logs_metrics_or_processes(tmp_path):
    secret = "p@ss/w0rd"
    (tmp_path / "secret").write_text(f"{secret}\n")
    port = free_port()
    with camera("--user", "me", "--password", secret) as server:
        url = server.url.replace("rtsp://", f"rtsp://me:{{file:{tmp_path}/secret}}@")
        out = "rtsp://you:{env:OUT_PASSWORD}@127.0.0.1:9/x"
        words = (url, *RAW, "-o", out, "--metrics", str(port), "--log", "json", "--json")
        with vidnoise(*words, OUT_PASSWORD="hush") as job:
            job.hears("connected")
            job.hears("trying again")
            told = fetch(port, "/metrics") + fetch(port, "/healthz")
            shown = "".join(command_line(pid) for pid in [job.pid, *children(job.pid)])
            server.kill()
            job.hears("nothing listens there")
            assert job.stop() == 0
            told += job.out + job.told()
        server.start()
    assert all(json.loads(line)["camera"] == "camera" for line in job.said)
    assert all(word not in told + shown for word in (secret, "w0rd", "hush"))


def test_metrics_and_health_follow_the_camera(tmp_path):
    port = free_port()
    with (
        camera() as server,
        vidnoise(server.url, *RAW, *BACK, "-o", f"{tmp_path}/a.ts", "--metrics", str(port)) as job,
    ):
        job.hears("connected")
        time.sleep(1)
        numbers = metrics(port)
        assert numbers['vidnoise_state{camera="camera",state="running"}'] == 1
        assert numbers['vidnoise_frames_in_total{camera="camera"}'] > 3
        assert 5 < numbers['vidnoise_fps{camera="camera",side="out"}'] < 15
        assert '"healthy": true' in fetch(port, "/healthz")
        server.kill()
        server.start()
        wait(lambda: metrics(port)['vidnoise_reconnects_total{camera="camera"}'] == 1, 10)
        assert job.stop() == 0


@contextmanager
def lossy(share: float, port: int):
    """Forwards MPEG-TS over UDP to `port`, less a share of the packets; gives the address to send to."""
    chance = random.Random(3)
    entry = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    entry.bind(("127.0.0.1", 0))
    entry.settimeout(0.2)
    ended = threading.Event()

    def forward() -> None:
        while not ended.is_set():
            try:
                data = entry.recv(65536)
            except TimeoutError:
                continue
            if chance.random() >= share:
                entry.sendto(data, ("127.0.0.1", port))

    thread = threading.Thread(target=forward)
    thread.start()
    yield f"udp://127.0.0.1:{entry.getsockname()[1]}?pkt_size=1316"
    ended.set()
    thread.join()
    entry.close()


def test_packet_loss_of_ten_percent_is_lived_with(tmp_path):
    port = free_port()
    with camera() as server, lossy(0.1, port) as entry:
        feed = [
            "ffmpeg",
            "-v",
            "quiet",
            "-rtsp_transport",
            "tcp",
            "-i",
            server.url,
            "-c",
            "copy",
            "-f",
            "mpegts",
        ]
        sender = subprocess.Popen([*feed, entry], stdin=subprocess.DEVNULL)
        try:
            words = (f"udp://127.0.0.1:{port}", "-f", "median", "--wait", "-o", f"{tmp_path}/a.mkv", "--json")
            with vidnoise(*words) as job:
                job.hears("connected")
                time.sleep(5)
                assert job.stop() == 0
                told = json.loads(job.out)
        finally:
            sender.kill()
            sender.wait()
    assert told["damaged"] > 0
    assert told["frames_out"] > 20


def children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(word) for word in listed.stdout.split()]


def command_line(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read()
    except OSError:
        return ""


def fetch(port: int, path: str) -> str:
    from urllib.error import HTTPError, URLError
    from urllib.request import urlopen

    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.read().decode()
    except HTTPError as failure:
        return failure.read().decode()
    except URLError:
        return ""  # not yet up


def metrics(port: int) -> dict[str, float]:
    lines = [line.rsplit(" ", 1) for line in fetch(port, "/metrics").splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def cameras_toml(path: Path, cameras: dict[str, tuple[str, str]], **defaults: str) -> Path:
    lines = [
        "[defaults]",
        *(f'{key} = "{value}"' for key, value in {"max_backoff": "500ms", **defaults}.items()),
    ]
    for name, (source, output) in cameras.items():
        lines += [f"[cameras.{name}]", f'source = "{source}"', f'outputs = ["{output}"]']
    path.write_text("\n".join(lines))
    return path


def test_several_cameras_run_apart_and_the_file_is_read_again_on_sighup(tmp_path):
    port, file = free_port(), tmp_path / "cameras.toml"
    with receiver() as sink, camera("--count", "2") as server, camera() as other:
        one = (f"{server.url}1", sink.url)
        two = (other.url, f"{tmp_path}/two.ts")
        cameras_toml(
            file, {"one": one, "two": two, "lost": (f"{server.url}9", f"{tmp_path}/x.ts")}, filters="none"
        )
        with vidnoise("watch", str(file), "--metrics", str(port)) as job:
            sink.wait_for(5)
            wait(lambda: state(port, "two", "running") and state(port, "lost", "waiting"), 10, job.told)
            other.kill()
            wait(lambda: not state(port, "two", "running"), 10)
            came = len(sink.came)
            time.sleep(1)
            assert len(sink.came) > came + 5
            other.start()
            wait(lambda: state(port, "two", "running"), 10)
            cameras_toml(file, {"one": one, "new": (f"{server.url}2", f"{tmp_path}/new.ts")}, filters="none")
            job.signal(signal.SIGHUP)
            wait(lambda: state(port, "new", "running") and not state(port, "two", "running"), 10, job.told)
            file.write_text("[cameras")
            job.signal(signal.SIGHUP)
            job.hears("no TOML")
            assert state(port, "one", "running")
            gaps = [b - a for a, b in pairwise(sink.came)]
            asked = time.monotonic()
            assert job.stop() == 0
            assert time.monotonic() - asked < 2
    assert max(gaps) < 1
    assert frames(tmp_path / "new.ts")


def test_four_cameras_hold_real_time_with_tiers_of_their_own_choice(tmp_path):
    port, file = free_port(), tmp_path / "cameras.toml"
    size = ("--width", "640", "--height", "360", "--fps", "10", "--count", "4")
    with camera(*size) as server:
        names = {f"c{i}": (f"{server.url}{i}", f"{tmp_path}/{i}.ts") for i in range(1, 5)}
        cameras_toml(file, names, filters="denoise")
        with vidnoise("watch", str(file), "--metrics", str(port)) as job:
            wait(lambda: all(state(port, name, "running") for name in names), 20, job.told)
            time.sleep(8)
            found = metrics(port)
            assert job.stop() == 0
    for name in names:
        came, went, dropped = (
            found[f'vidnoise_frames_{what}_total{{camera="{name}"}}'] for what in ("in", "out", "dropped")
        )
        assert went > 0.7 * came, (name, came, went, dropped)
        assert found[f'vidnoise_fps{{camera="{name}",side="out"}}'] > 7
        assert found[f'vidnoise_delay_seconds{{camera="{name}",quantile="0.5"}}'] < 1


def state(port: int, camera: str, name: str) -> bool:
    return metrics(port).get(f'vidnoise_state{{camera="{camera}",state="{name}"}}') == 1
