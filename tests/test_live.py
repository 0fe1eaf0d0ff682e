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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import av
import numpy as np
import pytest
from cameras import LIMIT, Job, Server, camera, children, frames, free_port, receiver, vidnoise
from web import serving

pytestmark = pytest.mark.live

BACK = ("--max-backoff", "0.5s")
PATIENT = ("--timeout", "1m")
RAW = ("-f", "none", *PATIENT)


class Numbers:
    """What a job tells of itself over HTTP."""

    def __init__(self, port: int) -> None:
        self._port = port

    def fetch(self, path: str) -> str:
        try:
            with urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=LIMIT) as answer:
                return answer.read().decode()
        except HTTPError as failure:
            return failure.read().decode()
        except URLError:
            return ""  # not yet up

    def get(self, name: str, camera: str = "camera", **labels: str) -> float:
        """One number; 0 where there is none of that name."""
        told = "".join(f',{key}="{value}"' for key, value in labels.items())
        start = f'vidnoise_{name}{{camera="{camera}"{told}}} '
        lines = self.fetch("/metrics").splitlines()
        return next((float(line.removeprefix(start)) for line in lines if line.startswith(start)), 0.0)

    def went(self, camera: str = "camera") -> float:
        """How many pictures have gone out."""
        return self.get("frames_out_total", camera)

    def runs(self, camera: str) -> bool:
        return self.get("state", camera, state="running") == 1


@contextmanager
def measured(*words: str, **environment: str) -> Iterator[tuple[Job, Numbers]]:
    """`vidnoise WORDS`, and its numbers."""
    port = free_port()
    with vidnoise(*words, "--metrics", str(port), **environment) as job:
        yield job, Numbers(port)


def test_a_killed_camera_is_soon_tried_again_and_the_output_never_ends():
    with receiver() as sink, camera() as server, vidnoise(server.url, *RAW, *BACK, "-o", sink.url) as job:
        sink.wait_for_more()
        for _ in range(2):
            server.kill()
            tried = len(job.said)
            job.wait(lambda n=tried: any("trying again" in line for line in job.said[n:]))
            server.start()
            sink.wait_for_more()
        assert job.stop() == 0
    assert all(a < b for a, b in pairwise(sink.times))
    waits = [float(line.rsplit(" in ", 1)[1].split()[0]) for line in job.said if "trying again in" in line]
    assert max(waits) <= 0.5


def test_a_stall_is_noticed_and_the_picture_comes_back():
    words = (*RAW, *BACK, "--timeout", "2.5s")
    with receiver() as sink, camera() as server, vidnoise(server.url, *words, "-o", sink.url) as job:
        sink.wait_for_more()
        server.freeze()
        job.hears("for 2.5 s; the camera hangs")
        assert "if it sends so seldom, raise --timeout" in job.told()
        server.thaw()
        sink.wait_for_more()
        assert job.stop() == 0


def test_a_camera_that_comes_back_with_another_size_rate_and_codec_is_brought_to_the_first(tmp_path):
    target = tmp_path / "out.ts"  # whose clock is as fine as ours
    words = (*RAW, *BACK, "-v", "-o", str(target))
    with camera("--fps", "10") as server, measured(server.url, *words) as (job, numbers):
        job.hears("connected: 320x180 h264")
        job.wait(lambda: numbers.went() > 5)
        for options, words in (
            (("--width", "640", "--height", "360", "--fps", "15"), "connected: 640x360 h264"),
            (("--codec", "h265"), "connected: 320x180 hevc"),
            (("--codec", "jpeg"), "connected: 320x184 mjpeg"),
        ):
            server.kill()
            server.start(*options)
            job.hears(words)
            before = numbers.went()
            job.wait(lambda n=before: numbers.went() > n + 5)
        job.wait(lambda: len(frames(target)) > 20)
        assert job.stop() == 0
    assert "changes from 320x180 yuv420p to 640x360 yuv420p; it goes out as it was at the start" in job.told()
    times = frames(target)
    assert all(a < b for a, b in pairwise(times))


def test_hls_that_is_written_can_be_read_again_as_a_camera(tmp_path):
    written = ("-o", f"{tmp_path}/hls/")
    with (
        camera("--audio") as server,
        serving(tmp_path) as address,
        vidnoise(server.url, *RAW, *written) as first,
    ):
        first.wait(lambda: len(list((tmp_path / "hls").glob("*.ts"))) >= 2)
        words = ("--live", *RAW, "-o", f"{tmp_path}/a.mkv")
        with vidnoise(f"{address}/hls/index.m3u8", *words) as second:
            second.wait(lambda: len(frames(tmp_path / "a.mkv")) > 20)
            assert second.stop() == 0
        assert first.stop() == 0


@pytest.mark.parametrize("path", ["parts", "bare"])
def test_pictures_over_http_are_a_camera_and_dated_as_they_come(path, tmp_path):
    with serving(tmp_path, MotionJpeg) as address:
        words = (f"{address}/{path}", "--live", *RAW, "-o", f"{tmp_path}/a.mkv")
        with vidnoise(*words) as job:
            # Ten a second, and not the 25 that FFmpeg guesses; on a busy machine many of the first come at once.
            job.wait(
                lambda: (
                    len(last := frames(tmp_path / "a.mkv")[-20:]) == 20 and np.median(np.diff(last)) > 1 / 15
                )
            )
            assert job.stop() == 0


class MotionJpeg(BaseHTTPRequestHandler):
    """Ten pictures a second for one client, in the manner of old cameras: in parts with headers, or bare."""

    def do_GET(self) -> None:
        self.send_response(200)
        bare = self.path == "/bare"
        self.send_header(
            "Content-Type", "video/mjpeg" if bare else "multipart/x-mixed-replace; boundary=frame"
        )
        self.end_headers()
        encoder = av.CodecContext.create("mjpeg", "w")
        encoder.width, encoder.height, encoder.pix_fmt = 160, 96, "yuvj420p"
        encoder.time_base = Fraction(1, 10)
        noise = np.random.default_rng(0).integers(
            0, 256, (144, 160), np.uint8
        )  # large, or FFmpeg looks at it for long
        data = bytes(encoder.encode(av.VideoFrame.from_ndarray(noise, "yuvj420p"))[0])
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n".encode()
        with suppress(OSError):
            while True:
                self.wfile.write(data if bare else head + data + b"\r\n")
                time.sleep(0.1)


def test_pictures_come_over_udp_and_go_out_cleaned_and_none_is_held_back():
    with (
        receiver() as sink,
        camera("--fps", "10") as server,
        measured(server.url, *PATIENT, "--transport", "udp", "-o", sink.url) as (job, numbers),
    ):
        job.wait(lambda: numbers.get("noise_sigma") > 5)
        sink.wait_for_more()
        frozen = time.monotonic()
        server.freeze()
        job.wait(lambda: sink.made[-1] > frozen - 2)  # an encoder that looks ahead would keep four seconds
        assert job.stop() == 0


@pytest.mark.parametrize(
    ("options", "path", "words"),
    [
        (("--user", "me", "--password", "s3cret"), "rtsp://me:wrong@127.0.0.1:{}/cam", "(401)"),
        ((), "rtsp://127.0.0.1:{}/nothing", "(404)"),
        ((), "http://127.0.0.1:{}/cam", "(5XX)"),
    ],
)
def test_a_camera_that_cannot_be_opened_at_the_start_says_why(options, path, words, tmp_path):
    with camera(*options) as server:
        url = path.format(server.port)
        with vidnoise(url, "--live", *RAW, "-o", str(tmp_path / "out.mkv")) as job:
            assert job.end() == 1
    assert words in job.told()
    assert "wrong@" not in job.told()


def test_a_port_that_accepts_and_never_answers_is_given_up(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/cam"
        with vidnoise(url, *RAW, "-o", str(tmp_path / "out.mkv"), "--timeout", "1s") as job:
            assert job.end() == 1
    assert "no answer within 1 s" in job.told()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("401 Unauthorized", "as USER:PASSWORD@HOST"),
        ("403 Forbidden", "(403)"),
        ("461 Unsupported Transport", "try the other --transport"),
        ("453 Not Enough Bandwidth", "close other viewers"),
        ("503 Service Unavailable", "close others"),
    ],
)
def test_a_camera_that_refuses_says_what_to_do(answer, words, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(LIMIT)
        threading.Thread(target=refuse, args=(server, answer), daemon=True).start()
        url = f"rtsp://127.0.0.1:{server.getsockname()[1]}/cam"
        with vidnoise(url, *RAW, "-o", str(tmp_path / "out.mkv")) as job:
            assert job.end() == 1
    assert words in job.told()


def refuse(server: socket.socket, answer: str) -> None:
    """An RTSP server that answers every request of one client so; with 461 that for its stream alone, as it must."""
    description = "v=0\r\nm=video 0 RTP/AVP 26\r\na=control:1\r\n"
    client, _ = server.accept()
    with client:
        while request := client.recv(4096).decode():
            number = next(line for line in request.splitlines() if line.startswith("CSeq"))
            is_asked = request.startswith("SETUP") or not answer.startswith("461")
            body = description if request.startswith("DESCRIBE") else ""
            status = f"RTSP/1.0 {answer if is_asked else '200 OK'}\r\n{number}"
            client.sendall(f"{status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())


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


def test_a_job_that_still_waits_for_its_camera_ends_when_asked(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(LIMIT)
        url = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/cam"
        with vidnoise(url, "--wait", "--timeout", "1h", "-o", str(tmp_path / "out.mkv")) as job:
            client, _ = silent.accept()
            with client:
                time.sleep(0.5)
                assert job.stop() == 0


def test_retries_end_the_job_after_so_many_failures(tmp_path):
    with camera() as server:
        words = (server.url, *RAW, "--retries", "2", "--max-backoff", "0.2s", "-o", str(tmp_path / "out.mkv"))
        with vidnoise(*words) as job:
            job.hears("open")
            server.kill()
            assert job.end() == 1
        assert "given up (--retries 2)" in job.told()


def test_several_outputs_and_the_sound_come_from_one_encode_and_end_when_asked(tmp_path):
    places = [tmp_path / name for name in ("a.ts", "b.mkv", "hls/index.m3u8")]
    words = [word for place in places for word in ("-o", str(place))]
    with camera("--audio") as server, vidnoise(server.url, *RAW, *words) as job:
        job.wait(lambda: len(list(tmp_path.glob("hls/*.ts"))) >= 2)
        for place in places[:2]:  # a playlist without an end would be waited for
            job.wait(lambda place=place: has_sound_and_picture(place))
        assert job.stop() == 0
    with places[2].open("a") as playlist:
        playlist.write("#EXT-X-ENDLIST\n")
    assert all(has_sound_and_picture(place) for place in places)


def has_sound_and_picture(path: Path) -> bool:
    """Whether a recording holds one stream of each, and more than 15 packets in it."""
    with suppress(av.error.FFmpegError, OSError), av.open(path) as made:
        kinds = [packet.stream.type for packet in made.demux() if packet.size]
        both = [stream.type for stream in made.streams] == ["video", "audio"]
        return both and min(kinds.count("video"), kinds.count("audio")) > 15
    return False


def test_keyframes_come_every_two_seconds(tmp_path):
    target = tmp_path / "out.mkv"
    with camera() as server, vidnoise(server.url, *RAW, "-o", str(target)) as job:
        job.wait(lambda: len(frames(target)) > 45)
        assert job.stop() == 0
    with av.open(target) as made:
        found = [(float(p.pts * p.time_base), p.is_keyframe) for p in made.demux() if p.size]
    keys = [time for time, is_key in found if is_key]
    assert len(keys) >= 3
    assert all(b - a > 1.99 for a, b in pairwise(keys))
    assert all(time - max(key for key in keys if key <= time) < 2.01 for time, _ in found)


def test_a_recording_plays_up_to_the_last_second_after_kill_9(tmp_path):
    pattern = f"{tmp_path}/%Y-%m-%d/%H-%M-%S.mp4"
    words = ("--segment", "3s", "-o", pattern)
    with camera() as server, measured(server.url, *RAW, *words) as (job, numbers):
        job.wait(lambda: len(list(tmp_path.rglob("*.mp4"))) >= 3)
        server.freeze()
        job.wait(lambda: recorded(tmp_path) > numbers.went() - 10)  # the files are still open
        went = numbers.went()
        for pid in [*children(job.pid), job.pid]:
            os.kill(pid, signal.SIGKILL)
        job.end()
    assert recorded(tmp_path) > went - 10


def recorded(folder: Path) -> int:
    """Pictures in all pieces of a recording."""
    return sum(len(frames(path)) for path in folder.rglob("*.mp4"))


def test_what_an_output_warns_of_is_not_told_with_every_piece(tmp_path):
    words = ("--segment", "1s", "-o", f"{tmp_path}/%H-%M-%S.mp4")
    with camera("--audio") as server, vidnoise(server.url, *RAW, *words) as job:
        job.wait(lambda: len(list(tmp_path.glob("*.mp4"))) > 6)
        assert job.stop() == 0
    assert 3 <= job.told().count("cannot hold the sound") <= 4  # with the first, second and fourth piece


def test_old_pieces_are_removed(tmp_path):
    words = ("--segment", "1s", "--keep", "3s", "-o", f"{tmp_path}/%H-%M-%S.mp4")
    (tmp_path / "mine.mp4").write_bytes(b"not a piece")
    os.utime(tmp_path / "mine.mp4", (0, 0))
    with camera() as server, vidnoise(server.url, *RAW, *words) as job:
        job.wait(lambda: any(tmp_path.glob("??-??-??*.mp4")))
        first = next(tmp_path.glob("??-??-??*.mp4"))
        job.wait(lambda: not first.exists())
        assert job.stop() == 0
    assert any(frames(path) for path in tmp_path.glob("??-??-??*.mp4"))
    assert (tmp_path / "mine.mp4").exists()


def test_an_rtsp_server_that_goes_away_is_published_to_again(tmp_path):
    port = free_port()
    url = f"rtsp://127.0.0.1:{port}/clean"
    with camera("--audio") as server, vidnoise(server.url, *RAW, *BACK, "-o", url) as job:
        job.hears("trying again")  # nobody listens yet
        for round in range(2):
            got = tmp_path / f"{round}.mkv"
            listen = ["ffmpeg", "-v", "error", "-rtsp_flags", "listen", "-i", url, "-t", "2", "-c", "copy"]
            subprocess.run([*listen, str(got)], stdin=subprocess.DEVNULL, timeout=LIMIT, check=True)
            assert len(frames(got)) > 5
        assert job.stop() == 0


def test_an_rtmp_server_is_published_to(tmp_path):
    url, got = f"rtmp://127.0.0.1:{free_port()}/live/clean", tmp_path / "got.mkv"
    listen = ["ffmpeg", "-v", "error", "-listen", "1", "-i", url, "-t", "2", "-c", "copy", str(got)]
    with camera("--audio") as server, vidnoise(server.url, *RAW, *BACK, "-o", url) as job:
        job.hears("connected")
        subprocess.run(listen, stdin=subprocess.DEVNULL, timeout=LIMIT, check=True)
        assert job.stop() == 0
    assert len(frames(got)) > 5


def test_a_receiver_that_never_answers_is_given_up_and_harms_no_other_output():
    with socket.create_server(("127.0.0.1", 0)) as silent, receiver() as sink, camera() as server:
        stuck = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/x"
        with vidnoise(server.url, *RAW, *BACK, "--timeout", "2.5s", "-o", stuck, "-o", sink.url) as job:
            job.hears("no progress for 2.5 s")
            sink.wait_for_more(10)
            assert job.stop() == 0


def test_no_password_is_told_by_logs_metrics_or_processes(tmp_path):
    secret = "p@ss/w0rd"
    (tmp_path / "secret").write_text(f"{secret}\n")
    with camera("--user", "me", "--password", secret) as server:
        url = server.url.replace("rtsp://", f"rtsp://me:{{file:{tmp_path}/secret}}@")
        out = "rtsp://you:{env:OUT_PASSWORD}@127.0.0.1:9/x"
        words = (url, *RAW, "-o", out, "--log", "json", "--json")
        with measured(*words, OUT_PASSWORD="hush") as (job, numbers):
            job.hears("connected")
            job.hears("trying again")
            told = numbers.fetch("/metrics") + numbers.fetch("/healthz")
            shown = "".join(command_line(pid) for pid in [job.pid, *children(job.pid)])
            server.kill()
            job.hears("nothing listens there")
            assert job.stop() == 0
            told += job.out + job.told()
    assert all(json.loads(line)["camera"] == "camera" for line in job.said)
    assert all(word not in told + shown for word in (secret, "w0rd", "hush"))


def test_metrics_and_health_follow_the_camera(tmp_path):
    with camera() as server, measured(server.url, *RAW, *BACK, "-o", f"{tmp_path}/a.ts") as (job, numbers):
        job.wait(lambda: numbers.went() > 10)
        assert numbers.runs("camera")
        assert numbers.get("frames_in_total") > 10
        assert 0 < numbers.get("fps", side="out") < 15
        assert '"healthy": true' in numbers.fetch("/healthz")
        server.kill()
        server.start()
        job.wait(lambda: numbers.get("reconnects_total") == 1)
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

    thread = threading.Thread(target=forward, daemon=True)
    thread.start()
    try:
        yield f"udp://127.0.0.1:{entry.getsockname()[1]}?pkt_size=1316"
    finally:
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
            words = (f"udp://127.0.0.1:{port}", "-f", "median", "--wait", "-o", f"{tmp_path}/a.mkv")
            with measured(*words) as (job, numbers):
                job.wait(lambda: numbers.went() > 20 and numbers.get("frames_damaged_total") > 0)
                assert job.stop() == 0
        finally:
            sender.kill()
            sender.wait(LIMIT)


def command_line(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read()
    except OSError:
        return ""


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
    file = tmp_path / "cameras.toml"
    with receiver() as sink, camera("--count", "2") as server, camera() as other:
        one = (f"{server.url}1", sink.url)
        two = (other.url, f"{tmp_path}/two.ts")
        lost = (f"{server.url}9", f"{tmp_path}/x.ts")
        cameras_toml(file, {"one": one, "two": two, "lost": lost}, filters="none", timeout="1m")
        with measured("watch", str(file)) as (job, numbers):
            sink.wait_for_more()
            job.wait(lambda: numbers.runs("two") and numbers.get("state", "lost", state="waiting"))
            other.kill()
            job.wait(lambda: not numbers.runs("two"))
            sink.wait_for_more()
            other.start()
            job.wait(lambda: numbers.runs("two"))
            cameras_toml(
                file,
                {"one": one, "new": (f"{server.url}2", f"{tmp_path}/new.ts")},
                filters="none",
                timeout="1m",
            )
            job.signal(signal.SIGHUP)
            job.wait(lambda: numbers.runs("new") and not numbers.runs("two"))
            file.write_text("[cameras")
            job.signal(signal.SIGHUP)
            job.hears("no TOML")
            assert numbers.runs("one")
            assert numbers.get("reconnects_total", "one") == 0
            job.wait(lambda: len(frames(tmp_path / "new.ts")) > 5)
            assert job.stop() == 0
    assert all(a < b for a, b in pairwise(sink.times))


def test_four_cameras_share_the_machine_and_what_is_too_much_for_it_is_made_cheaper(tmp_path):
    file = tmp_path / "cameras.toml"
    with camera("--count", "4") as server:
        names = {f"c{i}": (f"{server.url}{i}", f"{tmp_path}/{i}.ts") for i in range(1, 5)}
        cameras_toml(file, names, filters="denoise", timeout="1m")
        with measured("watch", str(file)) as (job, numbers):
            for name in names:
                job.wait(lambda name=name: numbers.went(name) > 50 and settled(numbers, name))
            for name in names:
                check_pace(numbers, name)
            assert job.stop() == 0


def settled(numbers: Numbers, camera: str) -> bool:
    """Whether pictures come out cleaned, or else the filters have been made cheaper."""
    cleaned = numbers.went(camera) - numbers.get("frames_passed_total", camera)
    return cleaned > 20 or numbers.get("tier", camera) > 0


def check_pace(numbers: Numbers, camera: str) -> None:
    """The camera runs, and all pictures but those of two seconds have gone out, or are known to be dropped."""
    came, went, dropped = (numbers.get(f"frames_{what}_total", camera) for what in ("in", "out", "dropped"))
    assert numbers.runs(camera)
    assert came - went - dropped < 20
