"""Cameras, receivers and vidnoise itself as processes of their own, for the tests of live streams."""

from __future__ import annotations

import os
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

BITS = 32
SERVER = Path(__file__).with_name("rtsp_server.py")
SYSTEM_PYTHON = "/usr/bin/python3"
IMPORTS = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
PACKAGES = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-{base,good,bad,ugly} ffmpeg"


@cache
def missing() -> str:
    """Why there can be no camera here; empty where there can."""
    if shutil.which("ffmpeg") and Path(SYSTEM_PYTHON).exists():
        done = subprocess.run([SYSTEM_PYTHON, "-c", IMPORTS], capture_output=True)
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
        self._process = subprocess.Popen(
            [SYSTEM_PYTHON, str(SERVER), str(self.port), *options], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
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
    """Reads MPEG-TS over UDP and notes when each picture came, its time, and how old its burnt-in clock was."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"udp://127.0.0.1:{self.port}"
        self.came: list[float] = []
        self.times: list[float] = []
        self.ages: list[float] = []
        self.sizes: set[tuple[int, int]] = set()
        self._ended = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        options = {"fflags": "nobuffer", "analyzeduration": "500000", "overrun_nonfatal": "1"}
        while not self._ended:
            with (
                suppress(av.error.FFmpegError, OSError, IndexError),
                av.open(self.url, format="mpegts", options=options, timeout=(1, 6)) as container,
            ):
                context = container.streams.video[0].codec_context
                context.thread_type = "SLICE"
                for packet in container.demux(video=0):
                    for frame in context.decode(packet) if packet.size else ():
                        self._note(frame)
                    if self._ended:
                        return

    def _note(self, frame: av.VideoFrame) -> None:
        now = time.monotonic()
        self.came.append(now)
        self.times.append(float(frame.time))
        self.ages.append(age(frame, now))
        self.sizes.add((frame.width, frame.height))

    def wait_for(self, count: int, timeout: float = 20) -> None:
        wait(lambda: len(self.came) >= count, timeout)

    def close(self) -> None:
        self._ended = True
        self._thread.join(5)


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
            [sys.executable, "-m", "vidnoise", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                **environment,
            },
        )
        self.pid = self._process.pid
        self.said: list[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        self.said.extend(iter(self._process.stderr.readline, ""))

    def hears(self, words: str, timeout: float = 20) -> str:
        """Wait for a line with these words."""
        wait(lambda: any(words in line for line in list(self.said)), timeout, self.told)
        return next(line for line in self.said if words in line)

    def running(self) -> bool:
        return self._process.poll() is None

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self, timeout: float = 10) -> int:
        """Wait for its end; its exit status."""
        status = self._process.wait(timeout)
        self._listener.join(5)
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


def wait(fulfilled: Callable[[], bool], timeout: float = 20, told: Callable[[], str] = str) -> None:
    """Wait until something is so; fail when it takes longer than `timeout` seconds."""
    until = time.monotonic() + timeout
    while not fulfilled():
        assert time.monotonic() < until, f"not within {timeout} s; {told()}"
        time.sleep(0.02)


def frames(path: Path) -> list[float]:
    """The times of a recording's pictures that can be decoded."""
    with av.open(path) as container:
        return [float(frame.time) for frame in container.decode(video=0)]
