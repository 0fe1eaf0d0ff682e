"""What becomes of outputs when processes are killed, stopped, asked twice to end, or started again."""

from __future__ import annotations

import gc
import json
import os
import re
import resource
import shutil
import signal
import socketserver
import subprocess
import sys
import threading
import time
from fractions import Fraction
from io import BytesIO
from itertools import pairwise
from logging import INFO, LoggerAdapter, getLogger
from pathlib import Path

import av
import numpy as np
import pytest
from cameras import LIMIT, Job, children, frames, free_port, sender, vidnoise, wait
from streams import info

from vidnoise.errors import OutputError
from vidnoise.frame import Frame
from vidnoise.io.planes import planes_of
from vidnoise.live import log
from vidnoise.live import recording as recordings
from vidnoise.live.camera import Camera
from vidnoise.live.destination import IN_TIME, resolve
from vidnoise.live.encode import LiveEncoder
from vidnoise.live.fleet import Fleet
from vidnoise.live.mux import Muxer
from vidnoise.live.output import Output
from vidnoise.live.packets import AUDIO, VIDEO, Packet
from vidnoise.live.recording import Recording
from vidnoise.live.settings import Settings
from vidnoise.live.sound import ToAac, bare
from vidnoise.live.status import OutputStatus

RAW = ("-f", "none", "--wait", "--max-backoff", "0.2s")


def recorded(job: Job, path: Path, count: int = 5) -> None:
    """Wait until a recording has so many pictures."""
    job.wait(lambda: len(frames(path)) >= count)


def written(folder: Path, source: str, *lines: str) -> str:
    """A cameras.toml with one camera that records to a.ts; its name."""
    (folder / "cameras.toml").write_text(
        "\n".join(
            ["[cameras.a]", f'source = "{source}"', f'outputs = "{folder}/a.ts"', 'filters = "none"', *lines]
        )
    )
    return str(folder / "cameras.toml")


def test_an_output_whose_process_is_killed_goes_on_in_another_file(tmp_path):
    target = tmp_path / "a.ts"
    target.write_bytes(b"old")
    with sender() as url, vidnoise(url, *RAW, "--overwrite", "-o", str(target)) as job:
        recorded(job, target)
        before = target.read_bytes()
        os.kill(children(job.pid)[0], signal.SIGKILL)
        recorded(job, tmp_path / "a_1.ts")
        assert job.stop() == 0
    assert target.read_bytes().startswith(before)
    assert frames(tmp_path / "a_1.ts")[0] == frames(target)[0]
    assert [line for line in job.said if "a_1.ts" in line] == [
        line for line in job.said if "it exists" in line
    ]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_what_was_recorded_is_in_the_file_within_half_a_second(name, tmp_path):
    head, data = coded()
    place = resolve(f"{tmp_path}/{name}")
    muxer = Muxer(place.url, place.format, place.options, head, pytest.fail)
    for tick in range(100):
        muxer.write(Packet(VIDEO, tick, Fraction(1, 25), 1, not tick, data))
    assert len(frames(tmp_path / name)) > 80
    muxer.close()


def test_an_output_whose_process_stands_still_is_ended_and_started_again(tmp_path):
    words = (*RAW, "--timeout", "1s", "--json", "-o", f"{tmp_path}/a.ts")
    with sender() as url, vidnoise(url, *words) as job:
        recorded(job, tmp_path / "a.ts")
        os.kill(children(job.pid)[0], signal.SIGSTOP)
        job.hears("no progress for 1 s")
        recorded(job, tmp_path / "a_1.ts")
        assert job.stop() == 0
        told = json.loads(job.out)["outputs"][0]
    assert told["reconnects"] == 1
    assert told["dropped"] > 0


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Lets outputs start a shell script where they would start Python."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(path))


def test_an_output_whose_process_cannot_be_ended_is_told_of(tmp_path, monkeypatch, caplog):
    stand_in(tmp_path, monkeypatch, "trap '' ALRM\necho '{\"open\": true}'\nwhile :; do sleep 0.1; done")
    output = opened(tmp_path, status := OutputStatus("a.ts"))

    def is_told() -> bool:
        output.put(Packet(VIDEO, 0, Fraction(1, 25), 1, True, bytes(100_000)))
        return "cannot be ended; the disk may hang" in caplog.text

    wait(is_told)
    assert not status.connected
    output.close()


def opened(
    folder: Path, status: OutputStatus, head: bytes = b"", patience: float = 0.1, place: str = ""
) -> Output:
    """An output, to a.ts if not elsewhere."""
    return Output(
        resolve(place or f"{folder}/a.ts"),
        head,
        patience=patience,
        most=1.0,
        status=status,
        want_key=bool,
        log=LoggerAdapter(getLogger("a")),
    )


@pytest.mark.parametrize(("place", "whole"), [("tcp://127.0.0.1:9", False), ("", True)])
def test_what_waits_for_a_slow_receiver_is_not_old_and_a_recording_gets_all(
    place, whole, tmp_path, monkeypatch, caplog
):
    stand_in(tmp_path, monkeypatch, "echo '{\"open\": true}'\nexec sleep 60")
    output = opened(tmp_path, status := OutputStatus("a"), patience=2.0, place=place)
    wait(lambda: status.connected)
    tick, until = 0, time.monotonic() + 3  # after four its process would be ended
    while time.monotonic() < until:
        output.put(Packet(VIDEO, tick, Fraction(1, 25), 1, True, bytes(100_000)))
        tick += 1
        time.sleep(0.02)
    assert (status.dropped == 0) is whole
    assert ("pictures up to the next keyframe are left out" in caplog.text) is not whole
    assert whole or status.dropped > tick / 2  # what waits for two seconds at most is left
    output.close()


def test_a_receiver_is_not_called_slow_where_the_camera_paused_between_sound_and_picture(
    tmp_path, monkeypatch, caplog
):
    stand_in(tmp_path, monkeypatch, "echo '{\"open\": true}'\nexec cat >/dev/null")
    output = opened(tmp_path, status := OutputStatus("a"), patience=LIMIT, place="tcp://127.0.0.1:9")
    wait(lambda: status.connected)
    for tick in range(0, 10_000_000, 100_000):
        output.put(Packet(VIDEO, tick, Fraction(1, 25), 1, True, b"picture"))
        output.put(Packet(AUDIO, tick, Fraction(1, 25), 1, True, b"sound"))
    output.close()
    assert (status.dropped, caplog.text) == (0, "")


def test_a_receiver_that_does_not_answer_is_not_called_slow(tmp_path, monkeypatch, caplog):
    stand_in(tmp_path, monkeypatch, "exec sleep 60")
    output = opened(tmp_path, status := OutputStatus("a"), patience=0.5, place="tcp://127.0.0.1:9")
    for tick in range(100):
        output.put(Packet(VIDEO, tick, Fraction(1, 25), 1, True, b""))
        time.sleep(0.02)
    assert status.dropped > 50
    assert caplog.text == ""
    output.close()


def test_a_recording_that_ends_before_its_file_is_open_is_written(tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, f'sleep 2\nexec {sys.executable} "$@"')
    head, data = coded()
    output = opened(tmp_path, OutputStatus("a.ts"), head, LIMIT)
    output.put(Packet(VIDEO, 0, Fraction(1, 25), 1, True, data))
    output.close()
    with av.open(tmp_path / "a.ts") as made:
        assert next(made.demux(video=0)).size


def test_an_output_whose_process_cannot_be_started_says_why(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(sys, "executable", f"{tmp_path}/python")
    output = opened(tmp_path, OutputStatus("a.ts"))
    wait(lambda: "No such file or directory: " in caplog.text)
    output.close()


def test_a_file_that_exists_is_refused_for_one_camera(tmp_path):
    target = tmp_path / "a.ts"
    target.write_bytes(b"old")
    with vidnoise("udp://127.0.0.1:9", *RAW, "-o", str(target)) as job:
        assert job.end() == 2
    assert "add --overwrite" in job.told()
    assert target.read_bytes() == b"old"


def test_a_camera_that_fails_again_and_again_leaves_nothing_behind_and_is_told_of_less_and_less(
    tmp_path, caplog
):
    caplog.set_level(INFO)
    fleet, before = Fleet(), {id(made) for made in gc.get_objects() if type(made) is Camera}
    gc.disable()
    try:
        with sender() as url:
            settings = Settings(url, (f"{tmp_path}/a.ts",), wait=True, roi=(0, 0, 5000, 10), max_backoff=0.01)
            fleet.become({"a": settings})
            wait(lambda: caplog.text.count("starting anew") >= 4)  # times 1, 2, 4 and 8
            fleet.close()
        left = [made for made in gc.get_objects() if type(made) is Camera and id(made) not in before]
    finally:
        gc.enable()
    assert len(left) <= 1
    assert caplog.text.count("connected") <= 5


def test_a_camera_that_was_hushed_tells_once_that_it_works(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(log, "HUSH", 0.0)
    caplog.set_level(INFO)
    with sender() as url:
        camera = Camera(Settings(url, (f"{tmp_path}/a.ts",)), hushed=True)
        running = threading.Thread(target=camera.run)
        running.start()
        wait(lambda: camera.status.given > 5)
        camera.stop()
        running.join()
    assert caplog.text.count("it works again") == 1


@pytest.mark.parametrize("change", ["its settings", "its name"])
def test_a_camera_of_watch_goes_on_in_another_file_when_it_changes(change, tmp_path):
    with sender() as url:
        file = written(tmp_path, url, "overwrite = true")
        with vidnoise("watch", file) as job:
            recorded(job, tmp_path / "a.ts")
            before = (tmp_path / "a.ts").read_bytes()
            if change == "its name":
                Path(file).write_text(Path(file).read_text().replace("[cameras.", "[cameras.new_"))
            else:
                written(tmp_path, url, "overwrite = true", "crf = 30")
            job.signal(signal.SIGHUP)
            recorded(job, tmp_path / "a_1.ts")
            assert job.stop() == 0
    assert (tmp_path / "a.ts").read_bytes().startswith(before)


def test_pieces_begin_with_the_first_picture_after_a_round_time(tmp_path):
    pattern = f"{tmp_path}/%H-%M-%S.ts"
    with sender(fps=20) as url, vidnoise(url, *RAW, "--segment", "1s", "-o", pattern) as job:
        job.wait(lambda: len(list(tmp_path.glob("*.ts"))) >= 4)
        assert job.stop() == 0
    whole = sorted(tmp_path.glob("*.ts"))[1:-1]
    assert all(10 <= len(frames(path)) <= 30 for path in whole)  # keyframes come every two seconds otherwise


def test_pieces_that_cannot_be_written_are_never_said_to_be_open(tmp_path):
    (tmp_path / time.strftime("%Y")).touch()
    with sender() as url, vidnoise(url, *RAW, "--segment", "1h", "-o", f"{tmp_path}/%Y/%H.ts") as job:
        job.hears("File exists; trying again")
        assert job.stop() == 0
    assert ": open" not in job.told()


def test_an_output_whose_disk_is_not_there_yet_keeps_a_camera_of_watch_from_nothing_else(tmp_path):
    (tmp_path / "disk").touch()
    with sender() as url:
        path = written(tmp_path, url, "max_backoff = 0.2")
        text = Path(path).read_text()
        Path(path).write_text(
            text.replace(f'"{tmp_path}/a.ts"', f'["{tmp_path}/disk/a.ts", "{tmp_path}/b.ts"]')
        )
        with vidnoise("watch", path) as job:
            recorded(job, tmp_path / "b.ts")
            job.hears("disk/a.ts: ")
            (tmp_path / "disk").unlink()
            recorded(job, tmp_path / "disk/a.ts")
            assert job.stop() == 0


def coded(tick: Fraction = Fraction(1, 25), codec: str = "mpeg4") -> tuple[bytes, bytes]:
    """A head as outputs are told, and a picture."""
    head, data = BytesIO(), b""
    with av.open(head, "w", format="nut") as container:
        stream = container.add_stream(codec, rate=25)
        stream.codec_context.time_base = tick
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for packet in (*stream.encode(av.VideoFrame(64, 48)), *stream.encode(None)):
            data += bytes(packet)
            container.mux(packet)
    return head.getvalue(), data


def test_a_full_disk_gets_room_by_what_is_too_old_and_no_empty_pieces(tmp_path):
    old = tmp_path / "00-00-00.ts"
    old.write_bytes(b"old")
    os.utime(old, (0, 0))
    head, data = coded()
    recording = Recording(resolve(f"{tmp_path}/%H-%M-%S.ts", segment="1m", keep="1h"), head, pytest.fail)

    def record() -> None:
        for tick in range(100):
            recording.write(Packet(VIDEO, tick, Fraction(1, 25), 1, True, data))

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            record()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_a_recording_does_not_wait_until_a_hundred_thousand_pieces_are_looked_through(tmp_path, monkeypatch):
    head, data = coded()
    looked, waited = threading.Event(), []
    monkeypatch.setattr(recordings, "prune", lambda *_: waited.append(looked.wait(10)))
    recording = Recording(resolve(f"{tmp_path}/%F.ts", segment="1d", keep="7d"), head, pytest.fail)
    recording.write(Packet(VIDEO, 0, Fraction(1, 25), 1, True, data))
    recording.close()
    assert not waited
    looked.set()
    assert len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_is_told_of_with_how_to_bound_the_recording(tmp_path):
    (tmp_path / "%.ts").symlink_to("/dev/full")
    head, data = coded()
    recording = Recording(resolve(f"{tmp_path}/%%.ts", segment="1m", keep="7d"), head, pytest.fail)
    with pytest.raises(OutputError, match="the disk is full; --keep with a size that fits"):
        recording.write(Packet(VIDEO, 0, Fraction(1, 25), 1, True, 1000 * data))


@pytest.mark.parametrize(("format", "hours"), [("mp4", [0, 7]), ("flv", [0, 200, 400, 600])])
def test_a_time_that_a_container_cannot_count_ends_it_rather_than_being_written_as_another(
    format, hours, tmp_path
):
    head, data = coded(Fraction(1, 90000), "libx264")
    muxer = Muxer(f"{tmp_path}/a.{format}", format, {}, head, pytest.fail)
    for hour in hours[:-1]:
        muxer.write(Packet(VIDEO, hour * 3600, Fraction(1), 0, True, data))
    with pytest.raises(OutputError, match=f"{format} cannot count {hours[-1]}.0 h; it begins anew"):
        muxer.write(Packet(VIDEO, hours[-1] * 3600, Fraction(1), 0, True, data))
    with av.open(f"{tmp_path}/a.{format}") as made:
        assert [float(packet.pts * packet.time_base) for packet in made.demux() if packet.size] == [
            3600 * hour for hour in hours[:-1]
        ]


def test_pictures_that_a_container_cannot_hold_are_refused_in_words(tmp_path):
    head, _ = coded(codec="libvpx")
    (tmp_path / "a.ts").write_text("of yesterday")
    with pytest.raises(OutputError, match="mpegts cannot hold vp8; leave --codec out"):
        Muxer(str(tmp_path / "a.ts"), "mpegts", {}, head, pytest.fail)
    assert (tmp_path / "a.ts").read_text() == "of yesterday"


@pytest.mark.parametrize(
    ("codec", "words"),
    [("prores", "prores_ks is not for cameras"), ("mpeg4", "mpeg4 does not take 64x64 yuv420p: .*")],
)
def test_a_codec_that_is_not_for_cameras_is_refused_in_words(codec, words):
    settings = Settings("udp://127.0.0.1:9", ("a.ts",), codec=codec)
    with pytest.raises(OutputError, match=f"{words}; leave --codec out, or take h264 or hevc"):
        LiveEncoder(info(64, 64), None, settings, LoggerAdapter(getLogger("a")))


def test_sound_whose_times_are_one_in_the_ticks_of_the_container_ends_no_output(tmp_path):
    head, data = BytesIO(), b""
    with av.open(head, "w", format="nut") as container:
        stream = container.add_stream("mp2", rate=48000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), "s16", "mono")
        silence.sample_rate = 48000
        for packet in (*stream.encode(silence), *stream.encode(None)):
            data = bytes(packet)
            container.mux(packet)
    muxer = Muxer(str(tmp_path / "a.mp4"), "mp4", {}, head.getvalue(), pytest.fail)
    for tick in (0, 2160, 2161, 2162, 4320):
        muxer.write(Packet(0, tick, Fraction(1, 90000), 2160, True, data))
    muxer.close()
    with av.open(tmp_path / "a.mp4") as made:
        assert [packet.pts for packet in made.demux() if packet.size] == [0, 1152, 1153, 1154, 2304]


@pytest.mark.parametrize("codec", ["pcm_alaw", "pcm_mulaw"])
def test_telephone_sound_goes_into_matroska_as_it_is(codec, tmp_path):
    head = BytesIO()
    with av.open(head, "w", format="nut") as container:
        stream = container.add_stream(codec, rate=8000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 160), np.int16), "s16", "mono")
        silence.sample_rate = 8000
        container.mux(stream.encode(silence))
    muxer = Muxer(str(tmp_path / "a.mkv"), "matroska", {}, head.getvalue(), pytest.fail)
    sound = [bytes([number] * 160) for number in range(1, 9)]
    for number, data in enumerate(sound):
        muxer.write(Packet(0, 160 * number, Fraction(1, 8000), 160, True, data))
    muxer.close()
    with av.open(tmp_path / "a.mkv") as made:
        assert made.streams.audio[0].codec_context.name == codec
        assert [bytes(packet) for packet in made.demux() if packet.size] == sound


def test_a_clock_that_is_set_back_begins_a_new_piece(tmp_path):
    head, data = coded()
    now, tick = 1e9, 0
    recording = Recording(
        resolve(f"{tmp_path}/%s.ts", segment="1m"), head, pytest.fail, lambda: now + 0.5 * tick
    )
    for tick in range(20):
        now -= 7200 * (tick == 10)
        recording.write(Packet(VIDEO, tick, Fraction(1, 25), 1, True, data))
    recording.close()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("ext", ["ts", "mkv", "mp4"])
def test_a_piece_for_which_nothing_came_is_removed(tmp_path, ext):
    """As of a camera that was away when its piece was opened."""
    head, data = coded()
    now = 1e9
    recording = Recording(resolve(f"{tmp_path}/%s.{ext}", segment="1m"), head, pytest.fail, lambda: now)
    now += 3600
    recording.write(Packet(VIDEO, 0, Fraction(1, 25), 1, True, data))
    recording.close()
    Recording(resolve(f"{tmp_path}/%s.{ext}", segment="1m"), head, pytest.fail, lambda: now + 60).close()
    assert [path.name for path in tmp_path.iterdir()] == [f"{now:.0f}.{ext}"]


@pytest.mark.parametrize("cleaned", [False, True])
def test_pictures_of_odd_size_go_out_without_their_last_line_and_column(cleaned):
    planes, format = planes_of(av.VideoFrame(97, 65, "yuv420p"))
    picture = Frame(pts=0, planes=planes, format=format)
    encoder = LiveEncoder(
        info(65, 97), None, Settings("udp://127.0.0.1:9", ("a.ts",)), LoggerAdapter(getLogger("a"))
    )
    (packet,) = encoder.encode(picture.with_image(picture.image) if cleaned else picture, Fraction(0))
    (shown,) = av.CodecContext.create("h264", "r").decode(av.Packet(packet.data))
    assert (shown.width, shown.height) == (96, 64)


def test_a_rate_that_is_asked_for_takes_the_place_of_the_quality():
    noise = np.random.default_rng(0).integers(0, 256, (96, 64), np.uint8)
    planes, format = planes_of(av.VideoFrame.from_ndarray(noise, "yuv420p"))
    sizes = []
    for options in ({}, {"qp": "50"}):
        settings = Settings("udp://127.0.0.1:9", ("a.ts",), encoder_opts=options)
        encoder = LiveEncoder(info(64, 64), None, settings, LoggerAdapter(getLogger("a")))
        (packet,) = encoder.encode(Frame(pts=0, planes=planes, format=format), Fraction(0))
        sizes.append(len(packet.data))
    assert sizes[1] < sizes[0] / 2


def test_sound_of_a_transport_stream_goes_into_every_container(tmp_path):
    targets = [tmp_path / name for name in ("a.mp4", "a.mov", "a.mkv", "a.ts")]
    outputs = [word for target in targets for word in ("-o", str(target))]
    with sender(sound=True) as url, vidnoise(url, *RAW, *outputs) as job:
        for target in targets:
            job.wait(lambda path=target: len(frames(path)) > 30)
        assert job.stop() == 0
    for target in targets:
        assert not target.with_stem("a_1").exists()
        with av.open(target) as made:
            assert made.streams.audio[0].codec_context.name == "aac"
            assert sum(1 for _ in made.decode(audio=0)) > 10


def test_sound_that_players_of_hls_do_not_know_is_written_as_aac(tmp_path):
    head, sound = BytesIO(), []
    with av.open(head, "w", format="nut") as container:
        stream = container.add_stream("libopus", rate=48000, layout="mono")
        for tick in range(100):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.int16), "s16", "mono")
            silence.sample_rate, silence.pts = 48000, 960 * tick
            sound += [bytes(packet) for packet in stream.encode(silence)]
        container.mux(stream.encode(None))
    place, warnings = resolve(f"{tmp_path}/"), []
    muxer = Muxer(place.url, place.format, place.options, head.getvalue(), warnings.append)
    for tick, data in enumerate(sound):
        muxer.write(Packet(VIDEO, tick, Fraction(1, 50), 1, True, data))
    muxer.close()
    assert warnings == ["hls cannot hold the sound as opus; it is written as AAC"]
    with av.open(place.url) as made:
        assert made.streams.audio[0].codec_context.name == "aac"


@pytest.mark.parametrize("format", ["mp4", "mov"])
@pytest.mark.parametrize("codec", ["ac3", "eac3"])
def test_damaged_sound_ends_no_recording_whose_container_would_look_into_it(codec, format, tmp_path):
    head, sound = BytesIO(), []
    with av.open(head, "w", format="nut") as container:
        stream = container.add_stream(codec, rate=48000, layout="mono")
        for tick in range(40):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1536), np.float32), "fltp", "mono")
            silence.sample_rate, silence.pts = 48000, 1536 * tick
            packets = stream.encode(silence)
            sound += [bytes(packet) for packet in packets]
            container.mux(packets)
    sound[20] = bytes(len(sound[20]))
    muxer = Muxer(f"{tmp_path}/a", format, IN_TIME[format], head.getvalue(), lambda _: None)
    for tick, data in enumerate(sound):
        muxer.write(Packet(0, 1536 * tick, Fraction(1, 48000), 1536, True, data))
    muxer.close()
    with av.open(f"{tmp_path}/a") as made:
        assert sum(frame.samples for frame in made.decode(audio=0)) > 30 * 1536


def test_sound_that_changes_its_rate_and_channels_goes_on_as_aac():
    def sent(rate: int, layout: str) -> av.container.InputContainer:
        buffer = BytesIO()
        with av.open(buffer, "w", format="mpegts") as container:
            stream = container.add_stream("ac3", rate=rate, layout=layout)
            for number in range(40):
                silence = np.zeros((1, 1536 * len(stream.layout.channels)), np.int16)
                part = av.AudioFrame.from_ndarray(silence, "s16", layout)
                part.sample_rate, part.pts, part.time_base = rate, 1536 * number, Fraction(1, rate)
                container.mux(stream.encode(part))
        return av.open(BytesIO(buffer.getvalue()))

    sources = [sent(48000, "mono"), sent(44100, "stereo"), sent(48000, "mono")]
    times = []
    with av.open(BytesIO(), "w", format="matroska") as container:
        converter = ToAac(container, sources[0].streams.audio[0])
        for later, source in enumerate(sources):
            for packet in source.demux(audio=0):
                if packet.size:
                    packet.pts += later * 126_000  # 1.4 s
                    times += [float(made.pts * made.time_base) for made in converter.convert(packet)]
    assert max(times) > 4
    assert all(0 < after - before < 0.25 for before, after in pairwise(times))


def test_sound_whose_times_come_too_close_goes_on_as_aac_whose_times_rise():
    buffer = BytesIO()
    with av.open(buffer, "w", format="mpegts") as container:
        stream = container.add_stream("mp2", rate=48000, layout="mono")
        for _ in range(40):
            part = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), "s16", "mono")
            part.sample_rate = 48000
            container.mux(stream.encode(part))
    made = []
    source = av.open(BytesIO(buffer.getvalue()))
    with source, av.open(BytesIO(), "w", format="matroska") as container:
        converter = ToAac(container, source.streams.audio[0])
        for number, packet in enumerate(packet for packet in source.demux(audio=0) if packet.size):
            packet.pts = 2160 * (number // 4 * 4) + 10 * (number % 4)  # of four of 24 ms three are lost
            if number == 5:  # two in one: nobody says when the second is heard
                twice = av.Packet(2 * bytes(packet))
                twice.pts, twice.time_base = packet.pts, packet.time_base
                packet = twice
            made += converter.convert(packet)
        made += converter.flush()
    times = [float(part.pts * part.time_base) for part in made]
    assert all(before < after for before, after in pairwise(times))
    assert 0.8 < times[-1] < 1.2


def test_sound_that_was_damaged_on_its_way_is_left_out_and_the_rest_has_no_headers():
    whole, noise = BytesIO(), np.random.default_rng(0)
    with av.open(whole, "w", format="mpegts") as container:
        audio = container.add_stream("aac", rate=16000, layout="mono")
        for _ in range(100):
            sound = noise.uniform(-1, 1, (1, 1024)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(sound, "fltp", "mono")
            frame.sample_rate = 16000
            container.mux(audio.encode(frame))
    data = whole.getvalue()
    holed = b"".join(data[at : at + 188] for at in range(0, len(data), 188) if at // 188 % 9 != 7)
    for given, damaged in ((data, False), (holed, True)):
        with av.open(BytesIO(given)) as container:
            parts = [bare(packet) for packet in container.demux(audio=0) if packet.size]
        assert (b"" in parts) == damaged
        assert any(parts)
        assert not any(part.startswith(b"\xff\xf1") for part in parts)


@pytest.mark.parametrize("words", [(), ("--segment", "10h")])
def test_a_recording_that_is_removed_begins_again(words, tmp_path):
    name = "%G.ts" if words else "a.ts"
    with sender() as url, vidnoise(url, *RAW, *words, "-o", f"{tmp_path}/{name}") as job:
        job.wait(lambda: any(tmp_path.iterdir()))
        (path,) = tmp_path.iterdir()
        recorded(job, path)
        path.unlink()
        recorded(job, path)
        assert job.stop() == 0


def test_hls_goes_on_when_its_folder_was_removed(tmp_path):
    playlist = tmp_path / "hls/index.m3u8"
    with sender() as url, vidnoise(url, *RAW, "-o", f"{tmp_path}/hls/") as job:
        job.wait(playlist.exists)
        shutil.rmtree(playlist.parent)
        job.wait(playlist.exists)
        assert job.stop() == 0
    assert any(map(frames, playlist.parent.glob("*.ts")))


def test_a_playlist_that_is_left_empty_as_on_a_full_disk_is_told_of(tmp_path):
    playlist = tmp_path / "index.m3u8"
    with sender() as url, vidnoise(url, *RAW, "-o", str(playlist)) as job:
        job.wait(playlist.exists)

        def is_told() -> bool:
            playlist.write_bytes(b"")
            return "the playlist cannot be written; the disk may be full" in job.told()

        job.wait(is_told)
        job.wait(lambda: playlist.exists() and playlist.stat().st_size)
        assert job.stop() == 0


def test_hls_that_starts_again_removes_the_pieces_that_it_left(tmp_path):
    playlist = tmp_path / "index.m3u8"
    playlist.write_text("#EXTM3U\nindex1700000001.ts\n")
    kept = ["index1700000001.ts", "index2.ts", "index.ts", "other1700000000.ts", "index11700000000.ts"]
    for name in ("index1700000000.ts", "index1700000002.ts.tmp", *kept):
        (tmp_path / name).touch()
    with sender() as url, vidnoise(url, *RAW, "-o", str(playlist)) as job:
        job.wait(lambda: len(list(tmp_path.glob("index*.ts"))) > 5)
        assert job.stop() == 0
    assert not list(tmp_path.glob("index170000000[02]*"))
    assert all((tmp_path / name).exists() for name in kept)


def test_players_of_hls_are_told_that_times_begin_anew_and_never_that_there_is_an_end(tmp_path):
    playlist = tmp_path / "index.m3u8"
    with sender() as url, vidnoise(url, *RAW, "-o", str(playlist)) as job:
        job.wait(playlist.exists)
        assert job.stop() == 0
    told = playlist.read_text()
    assert told.index("#EXT-X-DISCONTINUITY") < told.index("#EXTINF")
    assert "#EXT-X-ENDLIST" not in told


def test_a_receiver_whose_address_is_none_is_told_so():
    with sender() as url, vidnoise(url, *RAW, "-o", "rtsp://127.0.0.1:99999/a") as job:
        job.hears("this is no address")
        assert job.stop() == 0


def test_a_receiver_that_hangs_up_at_once_is_tried_less_and_less_often():
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server, sender() as url:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        target = f"tcp://127.0.0.1:{server.server_address[1]}"
        with vidnoise(url, *RAW, "--max-backoff", "10s", "-o", target) as job:
            job.wait(lambda: job.told().count("trying again in") >= 3)
            assert job.stop() == 0
        server.shutdown()
    assert "open" in job.told()
    waits = [float(seconds) for seconds in re.findall(r"trying again in ([\d.]+) s", job.told())]
    assert waits[2] >= 0.8  # after the fourth try; the third is not told


def test_an_output_takes_the_password_of_now(tmp_path):
    secret, came = tmp_path / "secret", threading.Event()

    class Notes(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            if self.rfile.read(1):
                came.set()

    secret.write_text(str(free_port()))
    with socketserver.TCPServer(("127.0.0.1", 0), Notes) as server, sender() as url:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with vidnoise(url, *RAW, "-o", f"tcp://127.0.0.1:{{file:{secret}}}") as job:
            job.hears("trying again in")
            secret.write_text(str(server.server_address[1]))
            job.wait(came.is_set)
            assert job.stop() == 0
        server.shutdown()


@pytest.mark.parametrize("signals", [[signal.SIGHUP], [signal.SIGINT] * 2, [signal.SIGTERM, signal.SIGHUP]])
def test_a_camera_ends_in_good_order_however_it_is_asked(signals, tmp_path):
    with sender() as url, vidnoise(url, *RAW, "-o", f"{tmp_path}/a.ts") as job:
        recorded(job, tmp_path / "a.ts")
        for number in signals:
            job.signal(number)
            time.sleep(0.05)
        assert job.end() == 0
    assert "interrupted" not in job.told()


def test_a_camera_needs_no_standard_streams(tmp_path):
    with sender() as url:
        words = [sys.executable, "-m", "vidnoise", url, *RAW, "--duration", "3", "-o", f"{tmp_path}/a.ts"]
        closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *words]
        done = subprocess.run(closed, timeout=LIMIT, check=False)
    assert done.returncode == 0


ENDLESS = """
import time
from sys import argv
from vidnoise.cli.live import SAME, stopping
from vidnoise.live import log
log.start(argv[1])
with stopping(lambda: None):
    print(SAME, flush=True)
    while True:
        time.sleep(1)
"""


@pytest.mark.parametrize("format", ["text", "json"])
def test_who_asks_again_later_need_not_wait(format):
    words = [sys.executable, "-c", ENDLESS, format]
    job = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    same = float(job.stdout.readline())
    job.send_signal(signal.SIGTERM)
    time.sleep(same + 0.5)
    assert job.poll() is None
    job.send_signal(signal.SIGINT)
    _, told = job.communicate(timeout=LIMIT)
    words = (
        json.loads(told)["message"] if format == "json" else told.decode().removeprefix("vidnoise: ").strip()
    )
    assert (job.returncode, words) == (130, "ended at once; what was recorded stays")


@pytest.mark.parametrize(("overwrite", "name"), [("false", "a_1.ts"), ("true", "a.ts")])
def test_a_watch_that_starts_again_replaces_a_recording_only_where_it_is_told_to(overwrite, name, tmp_path):
    (tmp_path / "a.ts").write_bytes(b"old")
    with sender() as url, vidnoise("watch", written(tmp_path, url, f"overwrite = {overwrite}")) as job:
        recorded(job, tmp_path / name)
        assert job.stop() == 0
    assert sorted(path.name for path in tmp_path.glob("*.ts")) == sorted({"a.ts", name})


def test_a_watch_that_still_reads_its_file_when_it_is_told_to_read_it_again_does_so(tmp_path):
    cameras = Path(written(tmp_path, f"tcp://127.0.0.1:{free_port()}"))
    text = cameras.read_text()
    cameras.unlink()
    os.mkfifo(cameras)
    with vidnoise("watch", str(cameras)) as job:
        with cameras.open("w") as first:  # is open as soon as it is read
            job.signal(signal.SIGHUP)
            first.write(text)
        job.hears("nothing listens there")
        cameras.write_text(text)
        job.hears("is read: ")
        assert job.stop() == 0


def test_watch_tells_each_failure_where_it_is_asked_to(tmp_path):
    lost = written(tmp_path, f"tcp://127.0.0.1:{free_port()}", 'max_backoff = "100ms"')
    with vidnoise("watch", lost, "--log", "json", "-v") as job:
        job.wait(lambda: len(job.said) >= 3)
        assert job.stop() == 0
    third = json.loads(job.said[2])
    assert (third["level"], "nothing listens there" in third["message"]) == ("debug", True)
