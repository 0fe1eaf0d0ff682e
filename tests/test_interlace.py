from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
import skimage.data
import torch

from vidnoise.device import Device
from vidnoise.errors import InputError, UsageError
from vidnoise.io import open_reader
from vidnoise.io.interlace import InterlaceGate
from vidnoise.io.planes import planes_of, to_av

HEIGHT, WIDTH = 240, 320
PICTURE = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2GRAY).astype(np.float32)
MOTION = (3.0, 1.3)


def moment(time: float, motion=MOTION) -> np.ndarray:
    """The scene at a time in frames: a picture that moves by `motion` pixels a frame."""
    shift = np.float32([[1, 0, -20 - motion[0] * time], [0, 1, -100 - motion[1] * time]])
    return cv2.warpAffine(
        PICTURE, shift, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )


def woven(time: float, first: str, motion=MOTION) -> np.ndarray:
    early, late = moment(time, motion), moment(time + 0.5, motion)
    top, bottom = (early, late) if first == "top" else (late, early)
    picture = top.copy()
    picture[1::2] = bottom[1::2]
    return picture


def frames(pictures, sigma=0.0, seed=0, format="gray") -> list[av.VideoFrame]:
    random = np.random.default_rng(seed)
    made = []
    for number, picture in enumerate(pictures):
        noisy = np.clip(np.rint(picture + random.normal(0, sigma, picture.shape)), 0, 255).astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(noisy, format="gray").reformat(format=format)
        frame.pts, frame.time_base, frame.duration = number * 40 + number % 3, Fraction(1, 1000), 40
        made.append(frame)
    return made


def through(gate: InterlaceGate, given: list[av.VideoFrame]) -> list[av.VideoFrame]:
    return [out for frame in given for out in gate.push(frame)] + gate.flush()


def gate(warnings=None, **options) -> InterlaceGate:
    said = [] if warnings is None else warnings
    return InterlaceGate(warn=said.append, name="clip", **options)


def gray(frame: av.VideoFrame) -> np.ndarray:
    return frame.reformat(format="gray").to_ndarray()


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    inside = np.s_[8:-8, 8:-8]
    return float(10 * np.log10(255**2 / np.mean((a[inside].astype(float) - b[inside]) ** 2)))


def flagged_file(path: Path, pictures) -> Path:
    """H.264 that says of itself that it is interlaced, top field first."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"x264-params": "tff=1", "crf": "12"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.clip(picture, 0, 255).astype(np.uint8), format="gray")
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    return path


def decoded(path: Path) -> tuple[list[av.VideoFrame], int]:
    with av.open(path) as container:
        stream = container.streams.video[0]
        return list(container.decode(stream)), stream.codec_context.field_order


@pytest.mark.parametrize("sigma", [0, 30])
@pytest.mark.parametrize("first", ["top", "bottom"])
def test_combed_video_without_flags_is_refused_and_the_message_says_what_to_type(first, sigma):
    given = frames((woven(t, first) for t in range(30)), sigma)
    with pytest.raises(InputError, match=f"{first} field first") as refused:
        through(gate(), given)
    assert "--deinterlace" in str(refused.value)
    assert "--assume-progressive" in str(refused.value)


@pytest.mark.cuda
@pytest.mark.parametrize("layout", ["nv12", "p010le"])
def test_combed_video_on_a_gpu_is_refused_too(layout):
    combed = frames([woven(time, "top") for time in range(30)], format=layout)
    there = []
    for frame in combed:
        planes, format = planes_of(frame)
        there.append(to_av(tuple(plane.to("cuda") for plane in planes), format, WIDTH, HEIGHT))
        there[-1].pts, there[-1].time_base = frame.pts, frame.time_base
    torch.cuda.synchronize()
    assert {frame.format.name for frame in there} == {"cuda"}
    with pytest.raises(InputError, match="top field first"):
        through(gate(), there)


class OnGpu:
    """A frame that says that it lies on a GPU, whose planes may only be had as a GPU's may."""

    def __init__(self, frame: av.VideoFrame) -> None:
        self.sw_format, self.format = frame.format, av.VideoFormat("cuda", frame.width, frame.height)
        self.width, self.height, self.time, self.interlaced_frame = (
            frame.width,
            frame.height,
            frame.time,
            False,
        )
        self.planes = [
            SimpleNamespace(__dlpack__=p.__dlpack__, buffer_size=p.buffer_size) for p in frame.planes
        ]


@pytest.mark.parametrize("layout", ["nv12", "p010le"])
def test_the_content_of_frames_that_nvdec_left_on_the_gpu_is_looked_at(monkeypatch, layout):
    stream = SimpleNamespace(wait_stream=lambda other: None)
    monkeypatch.setattr("torch.cuda.current_stream", lambda device: stream)
    monkeypatch.setattr("torch.cuda.default_stream", lambda device: stream)
    combed = frames([woven(time, "top") for time in range(30)], format=layout)
    with pytest.raises(InputError, match="top field first"):
        through(gate(), [OnGpu(frame) for frame in combed])
    whole = frames([moment(time) for time in range(30)], format=layout)
    assert len(through(gate(), [OnGpu(frame) for frame in whole])) == 30


def test_pictures_are_made_whole_on_the_cpu_where_there_is_a_gpu(tmp_path):
    path = flagged_file(tmp_path / "clip.mkv", [woven(time, "top") for time in range(30)])
    gpu = Device(torch.device("cuda"), torch.float16, "")
    with open_reader(path, device=gpu, deinterlace=True) as reader:
        assert reader.decoder.endswith("on the CPU, because bwdif makes whole pictures there")
        assert len(list(reader)) == 30


@pytest.mark.parametrize("sigma", [0, 5, 30, 60])
@pytest.mark.parametrize("motion", [(0, 0), (0.3, 0), (0, 1), (0, 2), (5, 3.3), (25, 0)])
def test_noise_on_whole_pictures_raises_no_alarm(motion, sigma):
    warnings: list[str] = []
    given = frames((moment(t, motion) for t in range(60)), sigma, seed=int(sigma + 10 * sum(motion)))
    assert [f.pts for f in through(gate(warnings), given)] == [f.pts for f in given]
    assert warnings == []


def test_cuts_and_flashes_in_whole_pictures_raise_no_alarm():
    def picture(t: int) -> np.ndarray:
        return np.roll(moment(t), 90 * (t // 4), axis=1) * (0.4 if t % 7 else 1.0)

    warnings: list[str] = []
    assert len(through(gate(warnings), frames(map(picture, range(60)), 10))) == 60
    assert warnings == []


@pytest.mark.parametrize("shape", [(8, 8), (180, 320), (240, 24)])
def test_pictures_of_few_lines_or_columns_are_taken_as_whole(shape):
    given = frames(woven(t, "top")[: shape[0], : shape[1]] for t in range(30))
    assert len(through(gate(), given)) == 30


def test_slow_motion_below_the_noise_is_heard_by_pooling_pairs():
    given = frames((woven(t, "top", (0.4, 0)) for t in range(30)), 30)
    with pytest.raises(InputError, match="top field first"):
        through(gate(), given)


def test_film_with_pulldown_is_interlaced():
    film = [(0, 0), (1, 1), (1, 2), (2, 3), (3, 3)]
    pictures = []
    for t in range(40):
        top, bottom = (moment(4 * (t // 5) + part) for part in film[t % 5])
        pictures.append(top.copy())
        pictures[-1][1::2] = bottom[1::2]
    with pytest.raises(InputError, match="interlaced"):
        through(gate(), frames(pictures, 5))


def test_whole_pictures_flagged_as_interlaced_pass_with_a_warning(tmp_path):
    given, order = decoded(flagged_file(tmp_path / "psf.mp4", (moment(t) for t in range(30))))
    assert given[0].interlaced_frame
    warnings: list[str] = []
    assert len(through(gate(warnings, field_order=order), given)) == 30
    assert len(warnings) == 1
    assert "marked as interlaced" in warnings[0]


def test_a_still_that_is_flagged_as_interlaced_is_refused_on_the_word_of_its_flags(tmp_path):
    given, order = decoded(flagged_file(tmp_path / "still.mp4", (moment(0) for _ in range(30))))
    with pytest.raises(InputError, match="flags"):
        through(gate(field_order=order), given)


def test_a_header_that_states_fields_is_believed_where_nothing_moves():
    with pytest.raises(InputError, match="bottom field first, says its header"):
        through(gate(field_order=3), frames(moment(0) for _ in range(30)))


@pytest.mark.parametrize("format", ["gray", "yuv420p", "yuv422p10le", "nv12", "gbrp", "rgb24"])
@pytest.mark.parametrize("first", ["top", "bottom"])
def test_deinterlacing_gives_each_frame_back_whole_at_its_own_time(first, format):
    given = frames((woven(t, first) for t in range(20)), format=format)
    cleaner = gate(deinterlace=True)
    out = through(cleaner, given)
    assert [(f.pts, f.time_base, f.duration) for f in out] == [
        (f.pts, f.time_base, f.duration) for f in given
    ]
    assert {f.format.name for f in out} == {format}
    assert cleaner.interlaced == 20
    for time in range(20):
        early, late = psnr(gray(out[time]), moment(time)), psnr(gray(out[time]), moment(time + 0.5))
        assert early > late + 2, "the parity is wrong"
        assert early > psnr(gray(given[time]), moment(time)) + 3


def test_deinterlacing_a_flagged_file_keeps_every_frame(tmp_path):
    given, order = decoded(flagged_file(tmp_path / "tff.mp4", (woven(t, "top") for t in range(15))))
    out = through(gate(deinterlace=True, field_order=order), given)
    assert [f.pts for f in out] == [f.pts for f in given]
    assert all(psnr(gray(out[t]), moment(t)) > psnr(gray(given[t]), moment(t)) + 3 for t in range(15))


def test_a_file_is_refused_or_cleaned_on_opening(tmp_path):
    path = flagged_file(tmp_path / "tff.mp4", (woven(t, "top") for t in range(30)))
    with pytest.raises(InputError, match=r"tff\.mp4 is interlaced \(top field first\)"):
        open_reader(path)
    with open_reader(path, assume_progressive=True) as reader:
        times = [frame.pts for frame in reader]
    with open_reader(path, deinterlace=True) as reader:
        cleaned = list(reader)
    assert [frame.pts for frame in cleaned] == times
    assert len(times) == 30
    assert all(psnr(cleaned[t].planes[0].numpy(), moment(t)) > 25 for t in range(30))


@pytest.mark.parametrize("count", [0, 1, 2, 3])
@pytest.mark.parametrize("deinterlace", [True, False])
def test_very_short_clips_come_out_as_long_as_they_went_in(count, deinterlace):
    given = frames(woven(t, "top") for t in range(count))
    assert [f.pts for f in through(gate(deinterlace=deinterlace), given)] == [f.pts for f in given]


@pytest.mark.parametrize("format", ["yuv420p", "nv12", "p010le", "rgb24", "rgb48le", "yuva444p12le"])
def test_deinterlacing_leaves_whole_pictures_bit_exact(format):
    given = frames((moment(t) for t in range(40)), 20, format=format)
    before = [[bytes(plane) for plane in f.planes] for f in given]
    cleaner = gate(deinterlace=True)
    after = [[bytes(plane) for plane in f.planes] for f in through(cleaner, given)]
    assert before == after
    assert cleaner.interlaced == 0


def test_only_the_interlaced_part_of_a_mixed_stream_is_cleaned():
    given = frames([moment(t) if t < 40 or t >= 80 else woven(t, "bottom") for t in range(120)], 5)
    before = [gray(f) for f in given]
    out = [gray(f) for f in through(gate(deinterlace=True), given)]
    changed = [not np.array_equal(a, b) for a, b in zip(before, out, strict=True)]
    assert all(changed[40:80])
    assert not any(changed[:30])
    assert not any(changed[90:])


def test_fields_that_begin_later_are_warned_of_and_counted():
    warnings: list[str] = []
    given = frames([moment(t) if t < 50 else woven(t, "top") for t in range(100)], 10)
    watcher = gate(warnings)
    assert len(through(watcher, given)) == 100
    assert 50 <= watcher.interlaced <= 60
    assert len(warnings) == 2
    assert "from 1." in warnings[0] or "from 2." in warnings[0]
    assert str(watcher.interlaced) in warnings[1]


def test_a_still_moment_of_interlaced_video_is_taken_as_the_rest():
    pictures = [woven(min(t, 30), "top") for t in range(70)]
    cleaner = gate(deinterlace=True)
    assert len(through(cleaner, frames(pictures, 5))) == 70
    assert cleaner.interlaced == 70


def test_a_change_of_size_in_the_stream_loses_no_frame():
    small = [cv2.resize(woven(t, "top"), (160, 120), interpolation=cv2.INTER_AREA) for t in range(15)]
    given = frames([woven(t, "top") for t in range(15)] + small)
    out = through(gate(deinterlace=True), given)
    assert [(f.pts, f.width) for f in out] == [(f.pts, f.width) for f in given]


def test_a_false_alarm_can_be_overruled():
    given = frames(woven(t, "top") for t in range(30))
    before = [gray(f) for f in given]
    out = through(gate(assume_progressive=True), given)
    assert all(np.array_equal(a, gray(b)) for a, b in zip(before, out, strict=True))


def test_both_options_together_contradict_each_other():
    with pytest.raises(UsageError, match="contradict"):
        gate(deinterlace=True, assume_progressive=True)


def test_frames_are_let_go_as_soon_as_the_start_is_clear():
    watcher = gate()
    held = 0
    for frame in frames((moment(t) for t in range(60)), 5):
        held += 1 - len(watcher.push(frame))
    assert held == 0
    watcher = gate()
    assert sum(bool(watcher.push(f)) for f in frames((moment(t) for t in range(12)), 5)) > 0
