"""What cameras send, and how: protocols, loss on the way, fields; real senders on loopback."""

from __future__ import annotations

import errno
import json
import random
import re
import select
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from itertools import pairwise, repeat
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
from cameras import LIMIT, camera, frames, free_port, sender, vidnoise
from test_interlace import flagged_file, gray, moment, psnr, woven
from test_interlace import frames as pictures
from web import serving

from vidnoise.errors import InputError, UsageError
from vidnoise.io import open_reader
from vidnoise.io.decode import Losses
from vidnoise.io.interlace import FieldOrder, Scan, verdict
from vidnoise.io.shape import Conformer
from vidnoise.live import camera as live_camera
from vidnoise.live import connection, hosts
from vidnoise.live import source as live_source
from vidnoise.live.camera import Camera
from vidnoise.live.connection import Connection
from vidnoise.live.fields import Fields
from vidnoise.live.local import why
from vidnoise.live.settings import Settings
from vidnoise.live.sound import form
from vidnoise.live.status import Status

RAW = ("-f", "none")
PATIENT = (*RAW, "--max-delay", "1h")  # so that none is left out on a busy machine


@contextmanager
def sending(*words: str) -> Iterator[subprocess.Popen]:
    """FFmpeg as a camera."""
    process = subprocess.Popen(["ffmpeg", "-v", "quiet", "-re", *words], stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Lossy:
    """A proxy before an RTSP server on UDP: it has the client's ports, and loses a share of what comes."""

    def __init__(self, server: int, share: float) -> None:
        self._server, self._share, self._chance = server, share, random.Random(3)
        self._entry = socket.create_server(("127.0.0.1", 0))
        self.url = f"rtsp://127.0.0.1:{self._entry.getsockname()[1]}/cam"
        self.lost = 0
        self._routes: dict[socket.socket, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        for used in (self._entry, *self._routes):
            used.close()

    def _run(self) -> None:
        self._entry.settimeout(0.1)
        while not self._ended.is_set():
            with suppress(TimeoutError):
                client, _ = self._entry.accept()
                with (
                    client,
                    socket.create_connection(("127.0.0.1", self._server)) as server,
                    suppress(OSError),
                ):
                    self._serve(client, server)

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        while not self._ended.is_set():
            for ready in select.select([client, server, *self._routes], [], [], 0.1)[0]:
                data = ready.recv(65536)
                if ready in self._routes:
                    self._forward(data, self._routes[ready])
                elif not data:
                    return
                elif ready is client:
                    server.sendall(re.sub(rb"client_port=(\d+)-(\d+)", self._stand_in, data))
                else:
                    client.sendall(data)

    def _stand_in(self, ports: re.Match[bytes]) -> bytes:
        """Two neighbouring ports of our own for the client's."""
        while True:
            first, second = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            with suppress(OSError):
                second.bind(("127.0.0.1", port + 1))
                self._routes |= {first: int(ports[1]), second: int(ports[2])}
                return b"client_port=%d-%d" % (port, port + 1)
            first.close()
            second.close()

    def _forward(self, data: bytes, port: int) -> None:
        if self._chance.random() < self._share:
            self.lost += 1
            return
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.sendto(data, ("127.0.0.1", port))


@contextmanager
def losing(server: int, share: float) -> Iterator[Lossy]:
    made = Lossy(server, share)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.live
@pytest.mark.xdist_group("live")
@pytest.mark.parametrize("share", [0.05, 0.1])
def test_rtsp_over_udp_that_loses_packets_goes_on_in_one_connection(share, tmp_path):
    words = ("--transport", "udp", "-f", "median", "--duration", "7s", "--json", "-o", f"{tmp_path}/a.mkv")
    with camera() as server, losing(server.port, share) as way, vidnoise(way.url, *words) as job:
        assert job.end() == 0, job.told()
        told = json.loads(job.out)
    assert way.lost > 10
    assert told["damaged"] > 0
    assert told["reconnects"] == 0
    assert len(frames(tmp_path / "a.mkv")) > 20


@pytest.mark.live
@pytest.mark.xdist_group("live")
def test_rtsp_whose_packets_a_firewall_keeps_away_is_answered_with_the_transport_to_take():
    with (
        camera() as server,
        losing(server.port, 1.0) as way,
        pytest.raises(InputError, match="take --transport tcp"),
        Connection(way.url, transport="udp", timeout=3) as connection,
    ):
        list(connection)


@pytest.mark.live
@pytest.mark.xdist_group("live")
def test_rtmp_is_read_with_its_sound(tmp_path):
    url = f"rtmp://127.0.0.1:{free_port()}/live/cam"
    scene = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=10", "-f", "lavfi", "-i", "sine")
    coded = ("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "10", "-c:a", "aac")
    words = ("--wait", "--max-backoff", "0.5s", "--duration", "7", "-o", f"{tmp_path}/a.mkv")
    with sending(*scene, *coded, "-f", "flv", "-listen", "1", url), vidnoise(url, *RAW, *words) as job:
        assert job.end() == 0, job.told()
    assert len(frames(tmp_path / "a.mkv")) > 20
    with av.open(tmp_path / "a.mkv") as made:
        assert [stream.type for stream in made.streams] == ["video", "audio"]


@pytest.mark.live
@pytest.mark.xdist_group("live")
@pytest.mark.parametrize("sound", ["g726", "adpcm_ima_wav"])
def test_sound_that_no_container_holds_goes_out_as_aac(sound, tmp_path):
    url = f"tcp://127.0.0.1:{free_port()}"
    words = ("-f", "lavfi", "-i", "testsrc2=s=160x96:r=20", "-f", "lavfi", "-i", "sine=r=8000")
    into = ("-c:v", "libx264", "-tune", "zerolatency", "-c:a", sound, "-b:a", "32k", "-f", "matroska")
    targets = [tmp_path / name for name in ("a.mp4", "a.mkv", "a.ts")]
    outputs = [word for target in targets for word in ("-o", str(target))]
    with sending(*words, *into, f"{url}?listen=1"), vidnoise(url, *RAW, "--wait", *outputs) as job:
        for target in targets:
            job.wait(lambda path=target: len(frames(path)) > 40)
        assert job.stop() == 0
    for target in targets:
        with av.open(target) as made:
            (audio,) = made.streams.audio
            assert audio.codec_context.name == "aac"
            tone = np.concatenate([frame.to_ndarray().ravel() for frame in made.decode(audio)][2:])
        assert 420 < np.abs(np.fft.rfft(tone)).argmax() * 8000 / tone.size < 460


THROUGH_A_PIPE = (sys.executable, "-m", "vidnoise", "-", "--live")


def piped(given: bytes, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    """What the command says to a stream that comes through a pipe at once."""
    command = [*THROUGH_A_PIPE, *words]
    return subprocess.run(command, input=given, capture_output=True, timeout=LIMIT, check=False, cwd=cwd)


def test_a_pipe_is_a_camera_until_it_ends(tmp_path):
    command = [*THROUGH_A_PIPE, "-f", "none", "--max-backoff", "0.1s", "-o", f"{tmp_path}/a.ts"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as job:
        with av.open(job.stdin, "w", format="mpegts") as container:
            stream = container.add_stream("mpeg4", rate=20)
            stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
            until = time.monotonic() + LIMIT
            while len(frames(tmp_path / "a.ts")) < 5 and time.monotonic() < until:
                container.mux(stream.encode(av.VideoFrame(160, 96, "yuv420p")))
                time.sleep(0.05)
        job.stdin.close()
        assert job.wait(LIMIT) == 0, job.stderr.read()
    assert len(frames(tmp_path / "a.ts")) >= 5


def test_a_pipe_without_video_says_where_to_look(tmp_path):
    done = piped(b"no such camera\n", "-o", f"{tmp_path}/a.ts")
    assert done.returncode == 1
    assert b"no video comes through the pipe; look at what writes into it" in done.stderr
    assert not list(tmp_path.iterdir())


def test_jpegs_in_a_pipe_are_dated_as_they_come(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    data = cv2.imencode(".jpg", noise)[1].tobytes()  # larger than what a pipe holds
    command = [*THROUGH_A_PIPE, *PATIENT, "-o", f"{tmp_path}/a.mkv"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as job:
        for _ in range(60):
            job.stdin.write(data)
            time.sleep(0.1)
        job.stdin.close()
        assert job.wait(LIMIT) == 0, job.stderr.read()
    # At most ten a second, and not the 25 that FFmpeg guesses; it looks at the first ones before it gives them.
    assert np.median(np.diff(frames(tmp_path / "a.mkv"))) > 1 / 15


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_bare_pictures_of_a_codec_in_a_pipe_are_dated_as_they_come(codec, tmp_path):
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.framerate = 160, 96, "yuv420p", 50
    encoder.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "g": "5",
        "x265-params": "log-level=error",
    }

    def are_apart() -> bool:
        """At most ten a second, and not the 50 that the stream tells; those that come while it starts come at once."""
        times = frames(tmp_path / "a.mkv")[-20:]
        return len(times) == 20 and np.median(np.diff(times)) > 1 / 15

    command = [*THROUGH_A_PIPE, *PATIENT, "-o", f"{tmp_path}/a.mkv"]
    until = time.monotonic() + LIMIT
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as job:
        while not are_apart() and time.monotonic() < until:
            for packet in encoder.encode(av.VideoFrame(160, 96, "yuv420p")):
                job.stdin.write(bytes(packet))
            job.stdin.flush()
            time.sleep(0.1)
        job.stdin.close()
        assert job.wait(LIMIT) == 0, job.stderr.read()
    assert are_apart()


def test_a_part_of_the_picture_alone_is_cleaned(tmp_path):
    words = ("-f", "median", "--roi", "0,0,80,96", "--crf", "1", "-o", f"{tmp_path}/a.ts")
    noise = np.random.default_rng(0).integers(60, 200, (144, 160), np.uint8)
    with (
        (tmp_path / "said").open("w") as said,
        subprocess.Popen([*THROUGH_A_PIPE, *words], stdin=subprocess.PIPE, stderr=said) as job,
    ):
        with av.open(job.stdin, "w", format="mpegts") as container:
            stream = container.add_stream(
                "mpeg2video", rate=25, options={"qmin": "1", "qmax": "1", "b": "50M"}
            )
            stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
            left, until = 10, time.monotonic() + LIMIT
            while left and time.monotonic() < until:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="yuv420p")))
                left -= "filters: median" in (tmp_path / "said").read_text()
                time.sleep(0.05)
        job.stdin.close()
        assert job.wait(LIMIT) == 0, (tmp_path / "said").read_text()
    with av.open(tmp_path / "a.ts") as made:
        *_, last = (frame.to_ndarray(format="gray").astype(float) for frame in made.decode(video=0))
    assert last[8:-8, 8:72].std() < 0.7 * last[8:-8, 88:-8].std()


def test_a_part_beyond_the_picture_is_refused_before_anything_is_replaced(tmp_path):
    (tmp_path / "a.ts").write_text("of yesterday")
    words = ("--overwrite", "-o", f"{tmp_path}/a.ts", "--roi", "0,0,161,96")
    done = piped(transport_stream(sound=False), *words)
    assert done.returncode == 2
    assert b"--roi 0,0,161,96 reaches beyond the picture, which is 160x96" in done.stderr
    assert (tmp_path / "a.ts").read_text() == "of yesterday"


def test_names_of_recordings_may_hold_colons(tmp_path):
    words = (*PATIENT, "--segment", "1d", "-o", "%H:%M:%S.mp4", "-o", "a:b.mkv", "-o", "c:d.m3u8")
    done = piped(transport_stream(sound=False), *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert b"warning" not in done.stderr
    assert {path.suffix for path in tmp_path.iterdir()} == {".mp4", ".mkv", ".m3u8", ".ts"}


def test_a_pipe_that_ends_at_once_keeps_its_pictures_and_sound(tmp_path):
    """The connection is over before the encoder has asked what the sound is."""
    done = piped(transport_stream(sound=True), *PATIENT, "--retries", "0", "-o", f"{tmp_path}/a.mkv")
    assert done.returncode == 0, done.stderr
    assert len(frames(tmp_path / "a.mkv")) == 50
    with av.open(tmp_path / "a.mkv") as made:
        assert made.streams.audio[0].codec_context.codec.canonical_name == "mp2"


def test_samples_that_are_wider_than_high_stay_so(tmp_path):
    given, targets = transport_stream(sound=False, codec="mpeg4", shape=Fraction(12, 11)), ("a.ts", "a.mp4")
    words = (word for name in targets for word in ("-o", f"{tmp_path}/{name}"))
    done = piped(given, *RAW, *words)
    assert done.returncode == 0, done.stderr
    for name in targets:
        with av.open(tmp_path / name) as made:
            assert made.streams.video[0].sample_aspect_ratio == Fraction(12, 11)


def test_an_encoder_that_looks_ahead_keeps_each_picture_and_their_order(tmp_path):
    words = (*PATIENT, "--encoder-opt", "tune=film", "-o", f"{tmp_path}/a.mkv")
    done = piped(transport_stream(sound=False), *words)
    assert done.returncode == 0, done.stderr
    found = frames(tmp_path / "a.mkv")
    assert np.diff(found) == pytest.approx([1 / 25] * 49, abs=0.002)


def test_a_pipe_of_interlaced_pictures_keeps_the_last_of_them(tmp_path):
    given = flagged_file(tmp_path / "tff.ts", (woven(t, "top") for t in range(20))).read_bytes()
    done = piped(given, *PATIENT, "-o", f"{tmp_path}/a.mkv")
    assert done.returncode == 0, done.stderr
    assert len(frames(tmp_path / "a.mkv")) == 20


def test_what_was_left_out_last_is_told_at_the_end(tmp_path):
    words = ("-f", "none", "--max-delay", "0.001ms", "--json", "-o", f"{tmp_path}/a.mkv")
    done = piped(transport_stream(sound=False), *words)
    dropped = json.loads(done.stdout)["dropped"]
    assert dropped > 0
    assert f"{dropped} pictures of the last minute were left out" in done.stderr.decode()


@contextmanager
def in_parts(*parts: bytes) -> Iterator[str]:
    """The address of one that sends each part to who connects, a second apart, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def send() -> None:
            client, _ = server.accept()
            with client, suppress(OSError):
                for number, part in enumerate(parts):
                    time.sleep(min(number, 1))
                    client.sendall(part)

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def test_a_stream_that_ends_at_once_gives_its_last_picture():
    seen = []
    with (
        in_parts(transport_stream(sound=False)) as url,
        Connection(url, transport="tcp", timeout=LIMIT) as connection,
        pytest.raises(InputError),
    ):
        seen.extend(connection)
    assert 0 < len(seen) <= 50


def test_a_snapshot_is_said_to_be_no_stream(tmp_path):
    cv2.imwrite(f"{tmp_path}/a.jpg", np.full((96, 160, 3), 128, np.uint8))
    with (
        serving(tmp_path) as address,
        Connection(f"{address}/a.jpg", transport="tcp", timeout=LIMIT) as connection,
        pytest.raises(InputError, match="one picture a connection; look for the path"),
    ):
        list(connection)


@pytest.mark.parametrize("scheme", ["http", "rtmp"])
def test_a_page_that_is_no_stream_is_answered_with_what_to_check(scheme, tmp_path):
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>log in</html>")

    with serving(tmp_path, Page) as address, pytest.raises(InputError, match="check the path, the protocol"):
        Connection(address.replace("http", scheme), transport="tcp", timeout=LIMIT)


@contextmanager
def one_by_one(clips: Iterable[bytes]) -> Iterator[str]:
    """The address of one that sends the next clip to each who connects, and hangs up."""
    left = iter(clips)

    class Sends(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError, StopIteration):
                self.request.sendall(next(left))

    with socketserver.TCPServer(("127.0.0.1", 0), Sends) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_camera_that_ends_again_and_again_is_tried_and_told_of_less_and_less_often(tmp_path):
    words = (*RAW, "--max-backoff", "10s", "-o", f"{tmp_path}/a.ts")
    with one_by_one(repeat(transport_stream(sound=False))) as url, vidnoise(url, *words) as job:
        job.wait(lambda: job.told().count("trying again in") >= 3)
        assert job.stop() == 0
    waits = [float(seconds) for seconds in re.findall(r"trying again in ([\d.]+) s", job.told())]
    assert waits[2] >= 0.8  # after the fourth try; the third is not told
    assert job.told().count("connected") == 3


def test_a_password_that_is_missing_while_it_is_replaced_is_waited_for(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("a")

    def clips() -> Iterator[bytes]:
        yield transport_stream(sound=False)
        secret.unlink()
        yield from repeat(transport_stream(sound=False))

    words = (*RAW, "--max-backoff", "0.2s", "-o", f"{tmp_path}/a.ts")
    with one_by_one(clips()) as url, vidnoise(f"{url}?x={{file:{secret}}}", *words) as job:
        job.hears("cannot be read: No such file or directory; trying again")
        secret.write_text("b")
        told = len(job.said)
        job.wait(lambda: any("connected" in line for line in job.said[told:]))
        assert job.stop() == 0


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({"sound": False}, {"sound": True}, "the camera sends sound now"),
        ({"sound": True}, {"sound": False}, "the sound is gone now"),
        (
            {"sound": True},
            {"sound": True, "layout": "stereo"},
            "Hz, stereo now; it goes out again when it is ",
        ),
    ],
)
def test_sound_that_is_not_what_it_was_is_told_of(before, after, words, tmp_path):
    clips = [transport_stream(**before), *9 * [transport_stream(**after)]]
    with one_by_one(clips) as url, vidnoise(url, *RAW, "-o", f"{tmp_path}/a.ts") as job:
        job.hears(words)
        assert job.stop() == 0


def test_sound_that_comes_no_more_is_told_of_and_so_is_its_return(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(live_source, "SILENCE", 0.5)
    parts = [
        transport_stream(sound=number in (0, 4), start=50 * number) for number in range(5)
    ]  # a second apart
    with (
        caplog.at_level("INFO", "vidnoise.live"),
        in_parts(*parts) as url,
        pytest.raises(InputError, match="given up"),
    ):
        Camera(Settings(url, (f"{tmp_path}/a.ts",), retries=0)).run()
    told = [text for record in caplog.records if "sound comes" in (text := record.getMessage())]
    assert (live_source.SILENT, "sound comes again") in pairwise(told)


class Silent:
    """Stands for connections to a camera that announces sound and sends none; its pictures are 0.3 s apart."""

    shown, mute, jumped, torn, now = None, False, False, False, 100.0

    def __init__(self, *_, **__):
        self.container = av.open(BytesIO(transport_stream(sound=True)))
        self.video, self.audio = self.container.streams
        self.losses = Losses()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.container.close()

    def __iter__(self):
        for picture in self.container.decode(self.video):
            yield picture
            Silent.now += 0.3
        raise InputError("over")


def test_a_camera_that_is_silent_from_the_start_is_told_of_after_as_long_as_another(monkeypatch):
    monkeypatch.setattr(live_source, "Connection", Silent)
    monkeypatch.setattr(live_source, "time", SimpleNamespace(monotonic=lambda: Silent.now))
    told = {}
    log = SimpleNamespace(log=lambda level, text, *words: told.setdefault(text, Silent.now))
    inbox, ignored = SimpleNamespace(put=lambda item: None, close=lambda *failure: None), lambda packet: None
    settings = Settings("tcp://127.0.0.1:9", ("a.ts",), retries=0)
    source = live_source.Source(settings, inbox, ignored, Status("a"), threading.Event(), log)
    source.taken.set()
    source.run()
    assert 10 < told[live_source.SILENT] - 100 < 10.6


def test_a_pause_of_pictures_and_sound_alike_is_not_called_silence(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(live_source, "SILENCE", 0.9)
    parts = [transport_stream(sound=True, start=50 * number) for number in range(3)]  # a second apart
    with in_parts(*parts) as url, pytest.raises(InputError, match="given up"):
        Camera(Settings(url, (f"{tmp_path}/a.ts",), retries=0)).run()
    assert live_source.SILENT not in caplog.text


def test_a_host_that_is_not_known_is_said_to_be(tmp_path):
    with vidnoise("rtsp://me:s3cret@cam.invalid/1", *RAW, "-o", f"{tmp_path}/a.ts") as job:
        assert job.end() == 1
    assert "the host cam.invalid " in job.told()
    with sender() as url, vidnoise(url, *RAW, "-o", "rtmp://server.invalid/live/cam") as job:
        job.hears("the host server.invalid ")
        assert job.stop() == 0
    assert "s3cret" not in job.told()


def test_an_address_with_a_password_that_is_not_encoded_is_said_to_be_none_and_not_shown(tmp_path):
    words = ("rtsp://me:s3@cr:et/x@127.0.0.1/1", *RAW, "-o", f"{tmp_path}/a.ts")
    with vidnoise(*words) as job:
        assert job.end() == 1
    assert "rtsp://***@127.0.0.1/1: this is no address" in job.told()


@pytest.mark.parametrize(
    ("url", "reason", "words"),
    [
        ("rtsp://cam/1", socket.EAI_NONAME, "the host cam is not known; check its name"),
        (
            "rtsp://cam/1",
            socket.EAI_AGAIN,
            "the name of the host cam cannot be looked up now; check the network",
        ),
        ("rtsp:///1", socket.EAI_NONAME, None),
    ],
)
def test_a_host_is_not_blamed_for_a_network_that_is_down(url, reason, words, monkeypatch):
    def fails(*_):
        raise socket.gaierror(reason, "")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    assert hosts.unknown(OSError(errno.EIO, ""), url) == words


def transport_stream(
    *,
    sound: bool,
    layout: str = "mono",
    codec: str = "mpeg2video",
    number: int = 0x100,
    program: int = 1,
    start: int = 0,
    shape: Fraction = Fraction(1),
    size: tuple[int, int] = (160, 96),
    heard: tuple[str, int] = ("mp2", 48000),
) -> bytes:
    """Fifty pictures, `start` being the first one's number, and as much of silence, `heard` so; `shape` is a sample's."""
    buffer = BytesIO()
    options = {"mpegts_service_id": f"{program}", "mpegts_pmt_start_pid": f"{0x1000 + program}"}
    with av.open(buffer, "w", format="mpegts", options=options) as container:
        stream = container.add_stream(codec, rate=25)
        (stream.width, stream.height), stream.pix_fmt, stream.id = size, "yuv420p", number
        stream.codec_context.sample_aspect_ratio = shape
        audio = container.add_stream(heard[0], rate=heard[1], layout=layout) if sound else None
        for number in range(50):
            picture = av.VideoFrame.from_ndarray(
                np.full((size[1] * 3 // 2, size[0]), number, np.uint8), "yuv420p"
            )
            picture.pts, picture.time_base = start + number, Fraction(1, 25)
            container.mux(stream.encode(picture))
            if audio is not None:
                count = audio.codec_context.layout.nb_channels
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 1920 * count), np.int16), "s16", layout)
                silence.sample_rate, silence.time_base = 48000, Fraction(1, 48000)
                silence.pts = 1920 * (start + number)
                container.mux(audio.encode(silence))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def test_sound_that_appears_on_the_way_is_no_reason_to_give_up():
    with (
        in_parts(transport_stream(sound=False), transport_stream(sound=True)) as url,
        Connection(url, transport="tcp", timeout=LIMIT) as connection,
    ):
        assert connection.audio is None
        with pytest.raises(InputError, match="ended the stream"):
            list(connection)


@contextmanager
def in_another_program() -> Iterator[str]:
    """The address of a sender that changes its program, and all that goes with it, and sends that one without end."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def send() -> None:
            client, _ = server.accept()
            with client, suppress(OSError):
                for start in (0, 50):
                    client.sendall(transport_stream(sound=False, start=start))
                    time.sleep(0.2)
                while not ended.wait(0.05):
                    client.sendall(transport_stream(sound=False, number=0x200, program=2))

        thread = threading.Thread(target=send)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        ended.set()
        thread.join()


def test_a_camera_whose_reading_hangs_is_given_up_in_words(tmp_path, monkeypatch):
    monkeypatch.setattr(live_camera, "HANGS", 0.0)
    with in_another_program() as url, pytest.raises(InputError, match="may have changed its program"):
        Camera(Settings(url, (f"{tmp_path}/a.ts",), timeout=3, duration=20)).run()


def test_the_time_for_which_a_camera_runs_begins_with_its_first_picture(tmp_path):
    with in_parts(b"", b"", b"", transport_stream(sound=False)) as url:  # after three seconds
        Camera(Settings(url, (f"{tmp_path}/a.ts",), timeout=LIMIT, duration=1)).run()
    assert frames(tmp_path / "a.ts")


def test_sound_that_is_announced_and_does_not_come_is_told_of_and_hinders_nothing(tmp_path):
    data = transport_stream(sound=True)
    parts = [data[at : at + 188] for at in range(0, len(data), 188)]
    silent = b"".join(part for part in parts if int.from_bytes(part[1:3]) & 0x1FFF != 0x101)
    assert len(silent) < len(data)
    with one_by_one(repeat(silent)) as url, vidnoise(url, *RAW, "-o", f"{tmp_path}/a.mkv") as job:
        job.hears("the camera announces sound and sends none")
        job.wait(lambda: len(frames(tmp_path / "a.mkv")) > 5)
        assert job.stop() == 0


def test_another_codec_in_one_connection_begins_a_new_one():
    seen = []
    with (
        in_parts(transport_stream(sound=False), transport_stream(sound=False, codec="libx264")) as url,
        Connection(url, transport="tcp", timeout=LIMIT) as connection,
        pytest.raises(InputError, match="sends h264 in place of mpeg2video now"),
    ):
        seen.extend(connection)
    assert all((picture.width, picture.height) == (160, 96) for picture in seen)


@pytest.mark.parametrize(("rate", "layout"), [(22050, "mono"), (48000, "stereo")])
def test_sound_in_another_form_in_one_connection_begins_a_new_one_and_none_of_it_is_passed_on(rate, layout):
    parts = [
        transport_stream(sound=True, heard=("aac", 48000)),
        transport_stream(sound=True, start=50, heard=("aac", rate), layout=layout),
    ]
    passed = []
    with (
        in_parts(*parts) as url,
        Connection(url, transport="tcp", timeout=LIMIT) as connection,
        pytest.raises(
            InputError, match=f"it sends aac at {rate} Hz, {layout} in place of aac at 48000 Hz, mono now"
        ),
    ):
        passed.extend(form(item) for item in connection if isinstance(item, av.Packet))
    assert len(passed) > 50
    assert set(passed) == {"aac at 48000 Hz, mono"}


def test_a_pipe_whose_sound_changes_its_form_goes_on_without_it(tmp_path):
    parts = [
        transport_stream(sound=True, heard=("aac", 48000)),
        transport_stream(sound=True, start=50, heard=("aac", 22050)),
    ]
    assert piped(b"".join(parts), *PATIENT, "-o", f"{tmp_path}/a.ts").returncode == 0
    assert len(frames(tmp_path / "a.ts")) > 90
    with av.open(f"{tmp_path}/a.ts") as made:
        assert {form(packet) for packet in made.demux(audio=0) if packet.size} == {"aac at 48000 Hz, mono"}


@pytest.mark.parametrize(
    ("then", "words"),
    [
        ("mpeg2video", b"the standard input: the camera has ended the stream"),
        ("libx264", b"the standard input: it sends h264 in place of mpeg2video now"),
    ],
)
def test_why_a_pipe_is_over_is_told(then, words, tmp_path):
    data = transport_stream(sound=False) + transport_stream(sound=False, codec=then, start=50)
    done = piped(data, *PATIENT, "-o", f"{tmp_path}/a.ts")
    assert done.returncode == 0
    assert words in done.stderr


def test_a_stream_that_goes_on_under_another_number_is_followed():
    seen = []
    with (
        in_parts(transport_stream(sound=True), transport_stream(sound=True, number=0x200)) as url,
        Connection(url, transport="tcp", timeout=LIMIT) as connection,
        pytest.raises(InputError, match="ended the stream"),
    ):
        seen.extend(item for item in connection if isinstance(item, av.VideoFrame))
    assert len(seen) > 40  # what came at once at the beginning is skipped


@contextmanager
def begun_anew(pause: float) -> Iterator[str]:
    """The address of a camera that, within a connection, pauses once and sets its clock anew."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def send() -> None:
            client, _ = server.accept()
            with suppress(OSError), client, client.makefile("wb") as out:
                for start, count in ((0, 60), (500, 1000)):
                    container = av.open(out, "w", format="mpegts", options={"flush_packets": "1"})
                    stream = container.add_stream("mpeg2video", rate=20)
                    stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
                    for number in range(20 * start, 20 * start + count):
                        picture = av.VideoFrame(160, 96, "yuv420p")
                        picture.pts, picture.time_base = number, Fraction(1, 20)
                        container.mux(stream.encode(picture))
                        out.flush()
                        time.sleep(0.05)
                    time.sleep(pause)

        threading.Thread(target=send, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


def test_a_pause_in_which_the_camera_sets_its_clock_anew_lasts_as_long_as_it_did(tmp_path):
    with begun_anew(3) as url, vidnoise(url, *RAW, "-o", f"{tmp_path}/a.ts") as job:
        job.wait(lambda: len(frames(tmp_path / "a.ts")) > 80)
        assert job.stop() == 0
    assert "trying again" not in job.told()
    assert 2.5 < max(later - earlier for earlier, later in pairwise(frames(tmp_path / "a.ts"))) < 20


def test_a_playlist_that_has_ended_is_no_camera(tmp_path):
    (tmp_path / "0.ts").write_bytes(transport_stream(sound=False))
    begin, end = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n", "#EXTINF:2,\n0.ts\n"
    (tmp_path / "a.m3u8").write_text(f"{begin}{end}")
    (tmp_path / "ended.m3u8").write_text(f"{begin}{end}#EXT-X-ENDLIST\n")
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        Connection(f"{address}/a.m3u8", transport="tcp", timeout=LIMIT).close()
        with pytest.raises(InputError, match="the playlist is at its end"):
            Connection(f"{address}/ended.m3u8", transport="tcp", timeout=LIMIT)
        server.shutdown()


def test_a_playlist_without_an_end_is_said_to_be_for_cameras_where_all_of_it_is_asked_for(tmp_path):
    (tmp_path / "0.ts").write_bytes(transport_stream(sound=False))
    listed = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n0.ts\n"
    (tmp_path / "on.m3u8").write_text(listed)
    (tmp_path / "ended.m3u8").write_text(f"{listed}#EXT-X-ENDLIST\n")
    for name, part, said in (("on", {}, True), ("on", {"duration": 1}, False), ("ended", {}, False)):
        with open_reader(tmp_path / f"{name}.m3u8", **part) as reader:
            assert any("--live cleans it as a camera" in warning for warning in reader.warnings) is said


def test_jpegs_in_parts_are_said_to_be_for_cameras_where_all_of_them_are_asked_for(tmp_path):
    data = cv2.imencode(".jpg", np.full((96, 160, 3), 128, np.uint8))[1].tobytes()
    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    (tmp_path / "a.mjpg").write_bytes(10 * (head + data + b"\r\n"))
    with open_reader(tmp_path / "a.mjpg") as reader:
        assert any("--live cleans it as a camera" in warning for warning in reader.warnings)


def test_a_playlist_that_does_not_go_on_is_shown_once(tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "PLAYLIST_WAIT", 1.0)
    monkeypatch.setattr(connection, "KEYFRAME_WAIT", 1.0)
    seen: list[list[float]] = []
    shown = None
    with serving(tmp_path) as address:
        for pieces in (2, 2, 3):
            names = [f"{number}.ts" for number in range(pieces)]
            for number, name in enumerate(names):
                (tmp_path / name).write_bytes(transport_stream(sound=False, start=50 * number))
            listed = "".join(f"#EXTINF:2,\n{name}\n" for name in names)
            (tmp_path / "a.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n{listed}")
            times: list[float] = []
            seen.append(times)
            with (
                Connection(f"{address}/a.m3u8", transport="tcp", timeout=1, shown=shown) as camera,
                pytest.raises(InputError),
            ):
                times.extend(picture.time for picture in camera)
            shown = camera.shown
    assert [len(times) > 45 for times in seen] == [True, False, True]
    assert not seen[1]
    assert min(seen[2]) > max(seen[0])


def test_a_playlist_whose_sender_starts_again_within_its_first_minute_is_soon_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "REPEATING", 0.5)
    (tmp_path / "0.ts").write_bytes(transport_stream(sound=False))
    (tmp_path / "1.ts").write_bytes(transport_stream(sound=False, start=50))
    begin = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n0.ts\n"
    playlist = tmp_path / "a.m3u8"
    playlist.write_text(begin)
    later = threading.Timer(1.0, playlist.write_text, [f"{begin}#EXTINF:2,\n1.ts\n"])
    with (
        serving(tmp_path) as address,
        Connection(f"{address}/a.m3u8", transport="tcp", timeout=LIMIT, shown=Fraction(50)) as camera,
    ):
        later.start()
        assert any(True for _ in camera)
    later.join()


def in_several_sizes(folder: Path) -> None:
    """A playlist `all.m3u8` that names another for each of two sizes, the smaller one first."""
    sizes = {"small": (160, 96), "large": (320, 192)}
    for name, size in sizes.items():
        (folder / name).mkdir()
        for number in range(2):
            piece = transport_stream(sound=True, start=50 * number, size=size)
            (folder / name / f"{number}.ts").write_bytes(piece)
        listed = "".join(f"#EXTINF:2,\n{number}.ts\n" for number in range(2))
        (folder / name / "a.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n{listed}")
    named = "".join(
        f"#EXT-X-STREAM-INF:BANDWIDTH={size[0]}000\n{name}/a.m3u8\n" for name, size in sizes.items()
    )
    (folder / "all.m3u8").write_text(f"#EXTM3U\n{named}")


def test_of_a_playlist_in_several_sizes_the_largest_is_shown_with_its_sound_and_no_other_fetched(tmp_path):
    asked: list[str] = []

    class Listening(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

    in_several_sizes(tmp_path)
    with (
        serving(tmp_path, Listening) as address,
        Connection(f"{address}/all.m3u8", transport="tcp", timeout=LIMIT) as camera,
    ):
        assert (camera.video.width, camera.audio.index) == (320, camera.video.index + 1)
        next(item for item in camera if isinstance(item, av.VideoFrame) and "/large/1.ts" in asked)
    assert "/small/1.ts" not in asked


def shown_at(monkeypatch, times, arrivals):
    """When pictures of a playlist go on that have these times and are there then."""
    now, shown = 0.0, []

    def sleep(seconds):
        nonlocal now
        now += seconds

    monkeypatch.setattr(connection, "time", SimpleNamespace(monotonic=lambda: now, sleep=sleep))
    pace = connection._Pace()
    for dated, arrival in zip(times, arrivals, strict=True):
        now = max(now, arrival)
        picture = av.VideoFrame(16, 16)
        picture.pts, picture.time_base = round(dated * 1000), Fraction(1, 1000)
        pace.wait(picture)
        shown.append(now)
    return shown


@pytest.mark.parametrize("missed", [0, 6])
def test_a_playlist_of_a_quick_clock_or_with_pieces_missed_is_not_read_later_and_later(missed, monkeypatch):
    numbers = range(20_000)  # two a second, in pieces of two seconds, by a clock that gains 9 s a day
    there = [2 * (number // 4) * 0.9999 for number in numbers]
    times = [number / 2 + missed * (number > 10_000) for number in numbers]
    assert shown_at(monkeypatch, times, there)[-1] - there[-1] < 1.8


@pytest.mark.parametrize("step", [1.5, 2, 5])
def test_pictures_of_a_playlist_that_has_few_a_second_go_on_one_by_one(step, monkeypatch):
    shown = shown_at(
        monkeypatch, [number * step for number in range(30)], [number // 3 * 3 * step for number in range(30)]
    )
    assert [b - a for a, b in pairwise(shown[3:])] == pytest.approx([step] * 26, rel=0.01)


def test_a_picture_whose_time_was_lost_is_dated_as_the_one_before():
    data = transport_stream(sound=False, codec="libx264")
    packets = [data[at : at + 188] for at in range(0, len(data), 188)]
    begins = [number for number, packet in enumerate(packets) if TIMED in packet]
    for number in begins[20::2]:
        packets[number] = undated(packets[number])
    parts = b"".join(packets[: begins[10]]), b"".join(packets[begins[10] :])
    with in_parts(*parts) as url, Connection(url, transport="tcp", timeout=LIMIT) as connection:
        times = []
        with pytest.raises(InputError, match="ended the stream"):
            times.extend(picture.time for picture in connection)
    assert len(times) >= 40
    assert all(0 <= later - earlier < 0.1 for earlier, later in pairwise(times))


def test_pictures_that_were_cut_off_are_counted_as_damaged():
    noise = np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8)
    data = cv2.imencode(".jpg", noise)[1].tobytes()
    made = BytesIO()
    with av.open(made, "w", format="nut") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuvj420p"
        for number in range(20):
            packet = av.Packet(data[: len(data) // (2 if number == 15 else 1)])
            packet.pts = packet.dts = number
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 25), stream, True
            container.mux(packet)
    with in_parts(made.getvalue()) as url, Connection(url, transport="tcp", timeout=LIMIT) as connection:
        with pytest.raises(InputError, match="ended the stream"):
            list(connection)
        assert connection.losses.frames == 1


TIMED = b"\x00\x00\x01\xe0"
"""The beginning of a picture's packet in a transport stream."""


def undated(packet: bytes) -> bytes:
    """A packet that holds such a beginning, less the picture's time."""
    at = packet.index(TIMED) + 7
    return packet[:at] + bytes([packet[at] & 0x3F]) + packet[at + 1 :]


class Dawn(BaseHTTPRequestHandler):
    """JPEGs of one client: gray ones first, then others."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        scene = np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8)
        with suppress(OSError):
            for number in range(1000):
                picture = scene | [255, 0, 0] if number > 20 else scene[..., 0]
                data = cv2.imencode(".jpg", picture.astype(np.uint8))[1].tobytes()
                self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + data + b"\r\n")
                time.sleep(0.05)


def test_a_camera_that_begins_in_gray_gets_its_colours_by_day(tmp_path):
    def has_colours() -> bool:
        shown = []
        with suppress(av.error.FFmpegError, OSError, IndexError), av.open(tmp_path / "a.ts") as made:
            shown.extend(picture.to_ndarray()[96:].mean() for picture in made.decode(video=0))
        return bool(shown) and shown[0] == 128 and shown[-1] > 130

    words = ("--live", *RAW, "-o", f"{tmp_path}/a.ts")
    with serving(tmp_path, Dawn) as address, vidnoise(address, *words) as job:
        job.wait(has_colours)
        assert job.stop() == 0


@pytest.mark.parametrize("format", ["yuv420p", "yuvj422p", "yuv444p10le", "nv12"])
@pytest.mark.parametrize(
    ("size", "sample", "inner"),
    [
        ((180, 320), 1, (100, 180)),
        ((640, 360), 1, (320, 180)),
        ((640, 240), 1, (320, 120)),
        ((160, 180), 2, (320, 180)),
        ((320, 180), Fraction(1, 2), (160, 180)),
    ],
)
def test_pictures_of_another_shape_get_bars_and_are_not_stretched(size, sample, inner, format):
    conform = Conformer([])
    conform(av.VideoFrame(323, 179, "yuv420p"), Fraction(1))
    white = av.VideoFrame.from_ndarray(np.full((*size[::-1], 3), 255, np.uint8), "rgb24").reformat(
        format=format
    )
    white.pts, white.time_base = 0, Fraction(1, 25)
    shown = conform(white, Fraction(sample)).to_ndarray(format="gray")
    assert shown.shape == (179, 323)
    lit = shown > 128
    assert (lit[90].sum(), lit[:, 160].sum()) == pytest.approx(inner, abs=4)
    assert lit[90, 160]
    assert abs(int(lit[90].argmax()) - int(lit[90, ::-1].argmax())) <= 4


def test_bars_are_black_where_the_range_is_full_and_another_shape_of_the_same_size_is_told():
    told = []
    conform = Conformer(told, "")
    for sample in (1, 2):
        picture = av.VideoFrame.from_ndarray(np.full((180 * 3 // 2, 320), 128, np.uint8), "yuv420p")
        picture.color_range, picture.pts, picture.time_base = 2, 0, Fraction(1, 25)
        shown = conform(picture, Fraction(sample)).to_ndarray()
    assert (conform.changed, told) == (True, ["the video changes its shape"])
    assert (shown[0, 160], shown[90, 160]) == (0, 128)


def test_a_file_is_no_camera(tmp_path):
    (tmp_path / "a.mp4").touch()
    with pytest.raises(UsageError, match=r"a\.mp4 is a file and no camera"):
        Settings(f"{tmp_path}/a.mp4", ("b.mp4",))


def test_a_keyframe_is_waited_for_while_anything_comes(tmp_path):
    words = ("-f", "none", "--timeout", "1s", "-o", f"{tmp_path}/a.ts")
    with sender(keyframes=160) as url, vidnoise(url, *words) as job:
        job.hears("connected")
        assert job.stop() == 0
    assert "no picture" not in job.told()


@pytest.mark.live
@pytest.mark.xdist_group("live")
def test_an_interlaced_camera_is_told_of_and_its_pictures_are_made_whole(tmp_path):
    source = flagged_file(tmp_path / "tff.mp4", (woven(t, "top") for t in range(60)))
    url = f"udp://127.0.0.1:{free_port()}"
    words = ("-stream_loop", "-1", "-i", str(source), "-c", "copy", "-f", "mpegts", f"{url}?pkt_size=1316")
    with (
        sending(*words),
        vidnoise(url, *RAW, "--wait", "--duration", "7", "-o", f"{tmp_path}/a.mkv") as job,
    ):
        assert job.end() == 0, job.told()
    assert "sends interlaced pictures" in job.told()
    with av.open(tmp_path / "a.mkv") as made:
        out = list(made.decode(video=0))
    order = FieldOrder()
    heard = [pair for picture in out[30:] if (pair := order.push(picture)) is not None]
    assert len(heard) > 20
    assert verdict(heard) is Scan.PROGRESSIVE


def test_a_camera_that_is_not_there_is_said_to_be_missing(tmp_path):
    with vidnoise("/dev/video97", *RAW, "-o", f"{tmp_path}/a.mkv") as job:
        assert job.end() == 1
    assert "/dev/video97: there is no such camera; here:" in job.told()


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (PermissionError(13, ""), "usermod -aG video"),
        (OSError(16, ""), "fuser /dev/video0"),
        (OSError(25, ""), "several devices"),
        (FileNotFoundError(2, ""), "here: .*video2"),
    ],
)
def test_why_a_local_camera_cannot_be_opened_comes_with_what_to_do(failure, words, tmp_path):
    (tmp_path / "video2").touch()
    assert re.search(words, why(failure, "/dev/video0", tmp_path))


def through(fields: Fields, given: list[av.VideoFrame]) -> list[av.VideoFrame]:
    return [out for picture in given for out in fields.push(picture)] + fields.flush()


@pytest.mark.parametrize("sigma", [0, 20])
def test_whole_pictures_pass_at_once_and_untouched(sigma):
    warnings: list[str] = []
    given = pictures((moment(t) for t in range(40)), sigma)
    fields = Fields(0, warnings.append)
    assert all(fields.push(picture) == [picture] for picture in given)
    assert warnings == []


@pytest.mark.parametrize("first", ["top", "bottom"])
def test_fields_are_found_without_flags_and_each_picture_made_whole_at_its_own_time(first):
    warnings: list[str] = []
    given = pictures(woven(t, first) for t in range(40))
    out = through(Fields(0, warnings.append), given)
    assert [picture.pts for picture in out] == [picture.pts for picture in given]
    assert len(warnings) == 1
    assert f"{first} field first" in warnings[0]
    for t in range(12, 38):
        assert psnr(gray(out[t]), moment(t)) > psnr(gray(given[t]), moment(t)) + 3


def test_what_is_marked_interlaced_is_held_back_by_one_picture_from_the_first_on(tmp_path):
    with av.open(flagged_file(tmp_path / "tff.mp4", (woven(t, "top") for t in range(20)))) as container:
        given = list(container.decode(video=0))
    warnings: list[str] = []
    fields = Fields(0, warnings.append)
    assert [len(fields.push(picture)) for picture in given[:10]] == [0] + [1] * 9
    assert len(warnings) == 1


@pytest.mark.parametrize("words", [("watch", "nowhere.toml"), ("rtsp://127.0.0.1:1/x", *RAW, "-o", "a.ts")])
def test_what_ends_it_is_told_to_machines_in_json_too(words):
    with vidnoise(*words, "--log", "json") as job:
        assert job.end() != 0
    (line,) = job.said
    assert json.loads(line)["level"] == "error"
