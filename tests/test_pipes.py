from __future__ import annotations

import fcntl
import io
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import av
import numpy as np
import pytest

from vidnoise.errors import InputError, UsageError
from vidnoise.io import OutputOptions, open_reader, open_writer

COPY = """
import sys
from vidnoise.errors import VidnoiseError
from vidnoise.io import open_reader, open_writer
from vidnoise.io.pipes import DownstreamError

try:
    with open_reader(sys.argv[1]) as reader, open_writer(sys.argv[2], reader, reader.info) as writer:
        for frame in reader:
            writer.write(frame)
except DownstreamError:
    sys.exit(141)
except VidnoiseError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""
"""A program of its own, for what only a program can show."""


@dataclass
class Done:
    out: bytes
    warnings: list[str]
    losses: str


def copy(given: bytes, *, piped=True, start: float | None = None, **options) -> Done:
    """Read the standard input and write the standard output, without a filter, here and now.

    The input is a pipe, or with `piped=False` a file redirected into it.
    """
    with TemporaryFile() as output:
        with (
            standard_streams(given, piped, output),
            open_reader("-", start=start) as reader,
            open_writer("-", reader, reader.info, OutputOptions(**options)) as writer,
        ):
            for frame in reader:
                writer.write(frame)
            os.write(1, b"this must not end up in the video")
        output.seek(0)
        return Done(output.read(), reader.warnings + writer.warnings, str(reader.losses))


@contextmanager
def standard_streams(given: bytes, piped: bool, output: IO[bytes]) -> Iterator[None]:
    """Descriptors 0 and 1 stand for the input and the output meanwhile.

    What lies beyond the pipes are processes: PyAV holds the interpreter's lock while it writes the end of a file, so
    that a thread could not take what it waits to write.
    """
    saved = os.dup(0), os.dup(1)
    with TemporaryFile() as file:
        file.write(given)
        file.seek(0)
        upstream = subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE) if piped else None
        downstream = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=output)
        source = upstream.stdout if upstream else file
        os.dup2(source.fileno(), 0)
        os.dup2(downstream.stdin.fileno(), 1)
        for end in (source, downstream.stdin):
            end.close()
        try:
            yield
        finally:
            for number, descriptor in enumerate(saved):
                os.dup2(descriptor, number)
                os.close(descriptor)
            for process in filter(None, (upstream, downstream)):
                process.wait(60)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}


def pictures(pix_fmt: str, count=8) -> list[av.VideoFrame]:
    random = np.random.default_rng(3)
    made = []
    for _ in range(count):
        noise = random.integers(16, 235, (48, 64, 3)).astype(np.uint8)
        made.append(av.VideoFrame.from_ndarray(noise, format="rgb24").reformat(format=pix_fmt))
    return made


def video(format: str, pix_fmt: str, *, times=range(8), sound=False) -> bytes:
    """Uncompressed video, as a program upstream would pipe it; `times` counts frames of 1/25 s."""
    held = io.BytesIO()
    with av.open(held, "w", format=format, options={"strict": "-1"}) as container:
        stream = container.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        audio = container.add_stream("pcm_s16le", rate=8000, layout="mono") if sound else None
        for time, frame in zip(times, pictures(pix_fmt), strict=True):
            frame.pts, frame.time_base = time, Fraction(1, 25)
            container.mux(stream.encode(frame))
        if audio is not None:
            tone = av.AudioFrame.from_ndarray(
                np.arange(2560, dtype=np.int16)[None], format="s16", layout="mono"
            )
            tone.sample_rate, tone.pts, tone.time_base = 8000, 0, Fraction(1, 8000)
            container.mux(audio.encode(tone))
    return held.getvalue()


def read(data: bytes) -> tuple[str, str, list[tuple[Fraction, bytes]], bytes]:
    """Format, pixel format, (time in s, samples) of each frame, and the sound."""
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        frames, sound = [], b""
        for packet in container.demux():
            if packet.stream.type == "audio":
                sound += bytes(packet)
                continue
            for frame in packet.decode():
                samples = b"".join(
                    bytes(plane)[y * plane.line_size :][: plane.line_size]
                    for plane in frame.planes
                    for y in range(plane.height)
                )
                frames.append((frame.pts * frame.time_base, samples))
        return container.format.name, stream.codec_context.pix_fmt, frames, sound


@pytest.mark.parametrize(
    ("given", "pix_fmt", "format"),
    [
        ("yuv4mpegpipe", "yuv420p", "yuv4mpegpipe"),
        ("yuv4mpegpipe", "yuv422p10le", "yuv4mpegpipe"),
        ("nut", "gbrp", "nut"),
    ],
)
def test_a_pipe_gives_what_it_was_given(given, pix_fmt, format):
    original = video(given, pix_fmt)
    name, kind, frames, _ = read(copy(original).out)
    assert (name, kind) == (format, pix_fmt)
    assert frames == read(original)[2]


def test_what_else_prints_to_the_standard_output_goes_to_the_standard_error(capfd):
    out = copy(video("nut", "yuv420p")).out
    assert b"must not" not in out
    assert "this must not end up in the video" in capfd.readouterr().err


def test_uneven_times_and_sound_travel_in_nut():
    original = video("nut", "yuv420p", times=(0, 1, 3, 4, 9, 10, 11, 13), sound=True)
    _, _, frames, sound = read(copy(original).out)
    assert frames == read(original)[2]
    assert sound == read(original)[3]
    assert len(sound) == 5120


def test_y4m_can_be_asked_for_and_says_what_it_leaves_out():
    done = copy(video("nut", "yuv420p", sound=True), format="y4m")
    assert done.out.startswith(b"YUV4MPEG2 W64 H48 F25:1")
    assert len(read(done.out)[2]) == 8
    assert any(line.startswith("y4m cannot hold audio stream 1 (pcm_s16le)") for line in done.warnings)


def test_uneven_times_in_y4m_keep_every_frame_and_are_warned_of():
    uneven = video("nut", "yuv420p", times=(0, 1, 2, 3, 7, 8, 11, 13))
    done = copy(uneven, format="y4m")
    assert len(read(done.out)[2]) == 8
    assert "timestamps are lost" in " ".join(done.warnings)


def test_what_the_standard_output_cannot_be_or_hold_is_refused_with_what_to_type():
    with pytest.raises(UsageError, match=r"--format nut, or --pix-fmt yuv444p"):
        copy(video("nut", "gbrp"), format="y4m")
    with pytest.raises(UsageError, match=r"nut cannot hold yuv440p10le; type --pix-fmt yuv444p10le"):
        copy(video("nut", "yuv420p"), pix_fmt="yuv440p10le")
    with pytest.raises(UsageError, match="--format avi: the standard output can be nut or y4m"):
        copy(video("nut", "yuv420p"), format="avi")


def test_a_colour_matrix_that_the_next_program_would_not_guess_is_warned_of():
    held = io.BytesIO()
    with av.open(held, "w", format="matroska") as container:
        stream = container.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.colorspace = 1
        for frame in pictures("yuv420p"):
            container.mux(stream.encode(frame))
    assert "colour matrix" in " ".join(copy(held.getvalue()).warnings)


def test_a_file_redirected_into_the_standard_input_can_be_rewound(tmp_path):
    """The index of a plain MP4 is at its end, which a pipe cannot reach before the pictures."""
    held = io.BytesIO()
    with av.open(held, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for frame in pictures("yuv420p", 60):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert len(read(copy(held.getvalue(), piped=False).out)[2]) == 60
    assert len(read(copy(held.getvalue(), piped=False, start=1).out)[2]) == 35
    with pytest.raises(InputError, match="faststart"):
        copy(held.getvalue())


def test_a_part_of_a_pipe_can_be_chosen_though_it_cannot_be_rewound():
    original = video("nut", "yuv420p")
    assert [samples for _, samples in read(copy(original, start=0.12).out)[2]] == [
        samples for _, samples in read(original)[2][3:]
    ]


@pytest.mark.parametrize("missing", [0, 1, 64 * 48])
def test_y4m_that_ends_in_a_picture_is_told_of_in_a_pipe_too(missing):
    original = video("yuv4mpegpipe", "yuv420p")
    done = copy(original[: len(original) - missing])
    assert len(read(done.out)[2]) == (7 if missing else 8)
    assert done.losses == ("the input ends too early" if missing else "")


@pytest.mark.parametrize("whole", [True, False])
def test_nut_that_ends_between_pictures_is_told_of_in_a_pipe(whole):
    original = video("nut", "yuv420p", sound=True)
    with av.open(io.BytesIO(original)) as container:
        *_, last = (packet for packet in container.demux(video=0) if packet.size)
    done = copy(original[: len(original) if whole else last.pos + last.size])
    assert len(read(done.out)[2]) == 8
    assert done.losses == ("" if whole else "the input ends too early")


def test_a_file_that_is_redirected_is_not_opened_anew_which_may_be_forbidden():
    """As where it is another user's, whose shell opened it."""
    given, me = video("matroska", "yuv420p"), os.geteuid()
    copy(given, piped=False)  # what has to be imported may be another's, too
    with TemporaryFile() as output, standard_streams(given, False, output):
        os.fchmod(0, 0)
        try:
            if me == 0:  # whom nothing is forbidden
                os.seteuid(65534)
            with open_reader("-") as reader:
                assert len(list(reader)) == 8
        finally:
            os.seteuid(me)


def test_ctrl_c_ends_the_wait_for_a_pipe_that_gives_nothing():
    command = [sys.executable, "-c", COPY, "-", "/dev/null"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        process.stdin.write(video("yuv4mpegpipe", "yuv420p")[:100])
        process.stdin.flush()
        waiting = array("i", [1])
        while waiting[0] and process.poll() is None:
            time.sleep(0.05)
            fcntl.ioctl(process.stdin, termios.FIONREAD, waiting)
        process.send_signal(signal.SIGINT)
        process.wait(30)
    assert process.returncode == -signal.SIGINT


def test_what_comes_after_the_pipe_may_end_first():
    """As `| head`: quietly, with the status that shells know."""
    reading, writing = os.pipe()
    command = [sys.executable, "-c", COPY, "-", "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=writing, stderr=subprocess.PIPE, env=environment()
    ) as process:
        os.close(writing)
        os.close(reading)
        _, said = process.communicate(video("nut", "yuv420p"), timeout=60)
    assert process.returncode == 141
    assert said == b"" or b"Error" not in said


@pytest.mark.parametrize("given", [b"this is no video\n" * 50, b""])
def test_garbage_or_nothing_in_the_pipe_is_a_clear_error(given):
    with pytest.raises(InputError, match=r"^the standard input"):
        copy(given)


def test_a_closed_standard_input_is_named():
    saved = os.dup(0)
    try:
        os.close(0)
        with pytest.raises(UsageError, match="the standard input is closed"):
            open_reader("-")
    finally:
        os.dup2(saved, 0)
        os.close(saved)


def test_a_closed_standard_output_is_named(tmp_path):
    (tmp_path / "clip.nut").write_bytes(video("nut", "yuv420p"))
    command = ["sh", "-c", '"$@" >&-', "sh", sys.executable, "-c", COPY, str(tmp_path / "clip.nut"), "-"]
    done = subprocess.run(command, stderr=subprocess.PIPE, timeout=60, env=environment())
    assert done.returncode == 1
    assert b"OutputError: the standard output is closed; give a file" in done.stderr


def on_a_terminal(source: str, target: str, which: str) -> str:
    """Run with one of its ends a terminal; what it says."""
    leader, follower = pty.openpty()
    try:
        ends = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, which: follower}
        command = [sys.executable, "-c", COPY, source, target]
        done = subprocess.run(command, **ends, stderr=subprocess.PIPE, timeout=60, env=environment())
    finally:
        os.close(leader)
        os.close(follower)
    assert done.returncode == 1
    return done.stderr.decode()


def test_nobody_is_made_to_type_or_to_read_a_video(tmp_path):
    clip = tmp_path / "clip.nut"
    clip.write_bytes(video("nut", "yuv420p"))
    assert "UsageError: nothing is piped" in on_a_terminal("-", str(tmp_path / "out.mkv"), "stdin")
    assert "UsageError: a terminal cannot show video" in on_a_terminal(str(clip), "-", "stdout")


def test_it_sits_between_two_ffmpeg_programs(tmp_path: Path):
    if shutil.which("ffmpeg") is None:
        pytest.skip("the ffmpeg program is not installed")
    quiet = ["ffmpeg", "-v", "error", "-nostdin"]
    source = [*quiet, "-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=1", "-f", "lavfi", "-i", "sine=d=1"]
    upstream = subprocess.run(
        [*source, "-c:v", "rawvideo", "-pix_fmt", "yuv420p", "-c:a", "pcm_s16le", "-f", "nut", "-"],
        capture_output=True,
        check=True,
        timeout=60,
    )
    done = copy(upstream.stdout)
    decode = ["ffmpeg", "-v", "error", "-i", "-", "-map", "0", "-c:v", "rawvideo", "-f", "framehash", "-"]
    sums = [
        subprocess.run(decode, input=data, capture_output=True, check=True, timeout=60).stdout.splitlines()
        for data in (upstream.stdout, done.out)
    ]
    hashes = [[line.rsplit(b",", 1)[-1] for line in lines if not line.startswith(b"#")] for lines in sums]
    assert len(hashes[0]) > 25
    assert sorted(hashes[0]) == sorted(hashes[1])
