"""Cameras and vidnoise itself as processes of their own, and receivers, for the tests of live streams.

Limits of time are for what never comes; how quick a machine is does not matter to them.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import av

LIMIT = 100.0
"""Seconds after which nothing more is expected."""
KILLED_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
"""Begins the command of a process that shall not outlive a test that was killed."""
BITS = 32
SERVER = Path(__file__).with_name("rtsp_server.py")
SYSTEM_PYTHON = "/usr/bin/python3"
IMPORTS = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
PACKAGES = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-{base,good,bad,ugly} ffmpeg"


@cache
def missing() -> str:
    """Why there can be no camera here; empty where there can."""
    if shutil.which("ffmpeg") and Path(SYSTEM_PYTHON).exists():
        done = subprocess.run([SYSTEM_PYTHON, "-c", IMPORTS], capture_output=True, timeout=LIMIT)
        if done.returncode == 0:
            return ""
    return f"no RTSP server; apt-get install {PACKAGES}"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Server:
    """A camera that can be killed, stopped and started again at the same address."""

    def __init__(self, *options: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"rtsp://127.0.0.1:{self.port}/cam"
        self.start(*options)

    def start(self, *options: str) -> None:
        command = [*KILLED_WITH_US, SYSTEM_PYTHON, str(SERVER), str(self.port), *options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        readable, _, _ = select.select([self._process.stdout], [], [], LIMIT)
        assert readable, "the camera does not begin"
        assert self._process.stdout.readline() == b"ready\n"

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(LIMIT)
        self._process.stdout.close()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def camera(*options: str) -> Iterator[Server]:
    server = Server(*options)
    try:
        yield server
    finally:
        server.kill()


class Receiver:
    """Reads MPEG-TS over UDP; notes the time of each picture, by its burnt-in clock when it was made, and how old it is."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.2)
        self.url = f"udp://127.0.0.1:{self._socket.getsockname()[1]}"
        self.times: list[float] = []
        self.made: list[float] = []
        self.ages: list[float] = []
        self._ended = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def read(self, size: int) -> bytes:
        """What has come, for FFmpeg; nothing once this is closed."""
        while not self._ended:
            with suppress(TimeoutError):
                return self._socket.recv(size)
        return b""

    def _work(self) -> None:
        options = {"fflags": "nobuffer", "analyzeduration": "500000"}
        while not self._ended:
            with (
                suppress(av.error.FFmpegError, OSError, IndexError),
                av.open(self, format="mpegts", options=options) as container,
            ):
                context = container.streams.video[0].codec_context
                context.thread_type = "SLICE"
                for packet in container.demux(video=0):
                    for frame in context.decode(packet) if packet.size else ():
                        self._note(frame)

    def _note(self, frame: av.VideoFrame) -> None:
        now = time.monotonic()
        self.ages.append(age(frame, now))
        self.made.append(now - self.ages[-1])
        self.times.append(float(frame.time))

    def wait_for_more(self, count: int = 5) -> None:
        """Wait for so many more pictures."""
        wanted = len(self.times) + count
        wait(lambda: len(self.times) >= wanted)

    def close(self) -> None:
        self._ended = True
        self._thread.join(LIMIT)
        self._socket.close()


@contextmanager
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    try:
        yield made
    finally:
        made.close()


def age(frame: av.VideoFrame, now: float) -> float:
    """Seconds since the clock in the picture's first lines."""
    lines = frame.to_ndarray(format="gray")[4:12].mean(0)
    block = frame.width // BITS
    bits = [lines[i * block + block // 4 : (i + 1) * block - block // 4].mean() > 125 for i in range(BITS)]
    burnt = sum(int(bit) << i for i, bit in enumerate(bits))
    return ((now * 1000 - burnt) % 2**32) / 1000


class Job:
    """`vidnoise WORDS` as a process; `said` are the lines of its standard error."""

    def __init__(self, *words: str, **environment: str) -> None:
        self._process = subprocess.Popen(
            [*KILLED_WITH_US, sys.executable, "-m", "vidnoise", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
        )
        self.pid = self._process.pid
        self.said: list[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        self.said.extend(iter(self._process.stderr.readline, ""))

    def wait(self, fulfilled: Callable[[], bool]) -> None:
        """Wait until something is so; fail when that takes too long, or the process has ended before."""
        wait(lambda: fulfilled() or not self.running(), self.told)
        assert fulfilled(), self.told()

    def hears(self, words: str) -> None:
        """Wait for a line with these words."""
        self.wait(lambda: any(words in line for line in list(self.said)))

    def running(self) -> bool:
        return self._process.poll() is None

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        """Wait for its end; its exit status."""
        status = self._process.wait(LIMIT)
        self._listener.join(LIMIT)
        return status

    @property
    def out(self) -> str:
        return self._process.stdout.read()

    def stop(self) -> int:
        """SIGTERM, and what it leaves with."""
        if self.running():
            self.signal(signal.SIGTERM)
        return self.end()

    def told(self) -> str:
        return "".join(self.said)


@contextmanager
def vidnoise(*words: str, **environment: str) -> Iterator[Job]:
    job = Job(*words, **environment)
    try:
        yield job
    finally:
        if job.running():
            job.signal(signal.SIGKILL)
        job.end()
        job._process.stdout.close()
        job._process.stderr.close()


def wait(fulfilled: Callable[[], bool], told: Callable[[], str] = str) -> None:
    """Wait until something is so; fail when it takes longer than `LIMIT`."""
    until = time.monotonic() + LIMIT
    while not fulfilled():
        assert time.monotonic() < until, f"not within {LIMIT:g} s; {told()}"
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(word) for path in lists for word in path.read_text().split()]


def frames(path: Path) -> list[float]:
    """The times of the pictures of a recording that can be decoded; none where it has hardly begun."""
    times: list[float] = []
    with suppress(av.error.FFmpegError, OSError, IndexError), av.open(path) as container:
        times.extend(float(frame.time) for frame in container.decode(video=0))
    return times


@contextmanager
def sender(fps: int = 20, keyframes: int = 5, *, sound: bool = False) -> Iterator[str]:
    """A camera that needs no other program: sends MPEG-TS over UDP to the address that it gives.

    Every `keyframes`th picture is a keyframe. `sound` is silence in AAC.
    """
    url, ended = f"udp://127.0.0.1:{free_port()}", threading.Event()

    def send() -> None:
        with av.open(f"{url}?pkt_size=1316", "w", format="mpegts") as container:
            stream = container.add_stream("libx264", rate=fps)
            stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
            stream.options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(keyframes)}
            audio = container.add_stream("aac", rate=16000, layout="mono") if sound else None
            while not ended.wait(1 / fps):
                container.mux(stream.encode(av.VideoFrame(160, 96, "yuv420p")))
                if audio is not None:
                    silence = av.AudioFrame("fltp", "mono", 16000 // fps)
                    silence.planes[0].update(bytes(silence.planes[0].buffer_size))
                    silence.sample_rate = 16000
                    container.mux(audio.encode(silence))

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield url
    finally:
        ended.set()
        thread.join()
