"""The drop-in for cv2.VideoCapture, held against cv2's own, and the callable on arrays."""

import threading
from fractions import Fraction
from pathlib import Path

import clips
import cv2
import numpy as np
import pytest
import torch
from cameras import sender
from PIL import Image

import vidnoise
from vidnoise import errors
from vidnoise.chain import Chain
from vidnoise.filter import RecurrentFilter, SpatialFilter, WindowFilter
from vidnoise.opencv import Cleaner, VideoCapture


class Negative(SpatialFilter):
    name = "opencv_negative"

    def apply(self, x):
        return 1 - x


class LookAhead(WindowFilter):
    """The mean of the frame and the one after next, so that order and edges show."""

    name = "opencv_look_ahead"
    behind = 0
    ahead = 2

    def apply(self, window, centre):
        return torch.stack([window[centre], window[-1]]).mean(0)


class Waiting(RecurrentFilter):
    """Leaves frames as they are, two frames later."""

    name = "opencv_waiting"
    ahead = 2

    def step(self, frame, state, ahead):
        return frame, None


class Failing(SpatialFilter):
    name = "opencv_failing"

    def apply(self, x):
        raise ZeroDivisionError("no more")


def all_frames(capture):
    frames = []
    while True:
        ok, frame = capture.read()
        if not ok:
            return frames
        frames.append(frame)


@pytest.mark.parametrize("number", [7, np.int64(7)])
def test_a_whole_number_is_a_camera(number):
    assert "/dev/video7 " in str(VideoCapture(number, "none").error)


def test_a_backend_of_opencv_in_place_of_filters_is_answered_with_what_to_write():
    with pytest.raises(errors.UsageError, match=r"200 is no filter; of OpenCV's backends .* leave it out"):
        VideoCapture(0, cv2.CAP_V4L2)


@pytest.mark.parametrize("name", ["start", "duration"])
def test_a_part_of_a_video_is_refused_since_positions_count_from_its_beginning(name):
    with pytest.raises(errors.UsageError, match=f"takes no '{name}'; go to a time by set"):
        VideoCapture("in.mp4", "none", **{name: 1})
    with pytest.raises(errors.UsageError) as raised:
        VideoCapture("in.mp4", "none", strat=1)
    assert name not in str(raised.value)


def turned(degrees):
    return lambda stream: stream.set_display_rotation(degrees)


CLIPS = {
    "plain": clips.Clip(),
    "BT.709": clips.Clip(prepare=lambda stream: setattr(stream.codec_context, "colorspace", 1)),
    "BT.601, full range": clips.Clip(
        pix_fmt="yuvj420p", prepare=lambda stream: setattr(stream.codec_context, "color_range", 2)
    ),
    "4:4:4": clips.Clip(pix_fmt="yuv444p"),
    "10 bit": clips.Clip(pix_fmt="yuv420p10le"),
    "gray": clips.Clip(pix_fmt="gray"),
    "RGB": clips.Clip(codec="ffv1", pix_fmt="bgr0", options={}),
    "odd size": clips.Clip(codec="ffv1", size=(97, 65), options={}),
    "untagged HD": clips.Clip(size=(1280, 720), frames=3),
}


@pytest.mark.parametrize("clip", CLIPS.values(), ids=CLIPS)
def test_without_filters_the_frames_are_those_of_opencv(tmp_path, clip):
    path = clip.save(tmp_path / "clip.mkv")
    theirs = all_frames(cv2.VideoCapture(str(path)))
    with VideoCapture(path, Chain()) as capture:
        ours = all_frames(capture)
    assert len(ours) == len(theirs) == clip.frames
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert a.dtype == np.uint8
        assert a.flags.c_contiguous  # as whoever writes it to a pipe or shows it counts on
        assert np.abs(a.astype(int) - b).max() <= 1


def test_filtered_frames_come_out_as_blue_green_red(tmp_path):
    path = clips.Clip(pix_fmt="yuv444p").save(tmp_path / "clip.mkv")
    theirs = all_frames(cv2.VideoCapture(str(path)))
    ours = all_frames(VideoCapture(path, Negative()))
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert np.abs(255 - a.astype(int) - b).max() <= 2


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotated_video_is_turned_as_opencv_turns_it(tmp_path, degrees):
    path = clips.Clip(prepare=turned(degrees)).save(tmp_path / "clip.mp4")
    theirs, ours = cv2.VideoCapture(str(path)), VideoCapture(path, Chain())
    for prop in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_ORIENTATION_META):
        assert ours.get(prop) == theirs.get(prop)
    a, b = ours.read()[1], theirs.read()[1]
    assert a.shape == b.shape
    assert np.abs(a.astype(int) - b).max() <= 1
    ours.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
    assert ours.read()[1].shape == (64, 96, 3)
    assert ours.get(cv2.CAP_PROP_FRAME_WIDTH) == 96


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_held_as_opencv_holds_it(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    path = tmp_path / "in.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)).save(path, exif=exif)
    assert np.array_equal(VideoCapture(path, Chain()).read()[1], cv2.imread(str(path)))


def test_properties_are_those_of_opencv(tmp_path):
    path = clips.Clip(frames=20, rate=Fraction(30000, 1001)).save(tmp_path / "clip.mp4")
    theirs, ours = cv2.VideoCapture(str(path)), VideoCapture(path, Chain())
    names = ("FRAME_WIDTH", "FRAME_HEIGHT", "FPS", "FRAME_COUNT", "FOURCC", "POS_FRAMES", "POS_MSEC")
    for _ in range(4):
        for name in names:
            prop = getattr(cv2, f"CAP_PROP_{name}")
            assert ours.get(prop) == pytest.approx(theirs.get(prop), abs=0.1), name
        assert ours.grab()
        assert theirs.grab()
    assert ours.get(cv2.CAP_PROP_BRIGHTNESS) == 0
    assert not ours.set(cv2.CAP_PROP_FRAME_WIDTH, 40)
    assert ours.getBackendName() == "VIDNOISE"


@pytest.mark.parametrize(
    ("codec", "name"),
    [("libvpx-vp9", "c.webm"), ("mpeg2video", "c.ts"), ("mjpeg", "c.mov"), ("mpeg4", "c.mp4")],
)
def test_the_codec_is_called_as_opencv_calls_it(tmp_path, codec, name):
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = clips.Clip(frames=2, codec=codec, pix_fmt=pix_fmt, options={}).save(tmp_path / name)
    theirs, ours = cv2.VideoCapture(str(path)), VideoCapture(path, Chain())
    assert ours.get(cv2.CAP_PROP_FOURCC) == theirs.get(cv2.CAP_PROP_FOURCC)


def test_a_frame_is_read_into_an_array_that_fits(tmp_path):
    path = str(clips.Clip(frames=2).save(tmp_path / "clip.mp4"))
    for capture in (cv2.VideoCapture(path), VideoCapture(path, Chain())):
        fits, other = np.zeros((64, 96, 3), np.uint8), np.zeros((64, 97, 3), np.uint8)
        assert capture.read(fits)[1] is fits
        assert fits.any()
        assert capture.read(other)[1].shape == fits.shape
        assert not other.any()
        assert capture.read(fits) == (False, None)


@pytest.mark.parametrize("start", [0, 3])
def test_one_can_go_to_any_frame(tmp_path, start):
    clip = clips.Clip(frames=30, start=start, options={"crf": "4", "preset": "veryfast", "g": "12"})
    path = clip.save(tmp_path / "clip.mp4")
    capture = VideoCapture(path, Chain())
    for number in (17, 3, 29, 0, 12):
        assert capture.set(cv2.CAP_PROP_POS_FRAMES, number)
        assert capture.get(cv2.CAP_PROP_POS_FRAMES) == number
        ok, frame = capture.read()
        assert ok
        assert clips.number_of(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)) == number
        assert capture.get(cv2.CAP_PROP_POS_FRAMES) == number + 1
        assert capture.get(cv2.CAP_PROP_POS_MSEC) == pytest.approx(40 * number, abs=1)
        assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 30
    assert capture.set(cv2.CAP_PROP_POS_MSEC, 200)
    assert clips.number_of(cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2GRAY)) == 5
    assert capture.set(cv2.CAP_PROP_POS_FRAMES, 28)
    assert len(all_frames(capture)) == 2


@pytest.mark.parametrize("number", [7.6, 2.5, 17.5, 0.9])
@pytest.mark.parametrize(("name", "scale"), [("FRAMES", 1), ("MSEC", 40)])
def test_a_place_between_two_frames_is_the_one_that_opencv_goes_to(number, name, scale, tmp_path):
    path = str(clips.Clip(frames=20).save(tmp_path / "clip.mp4"))
    theirs, ours = cv2.VideoCapture(path), VideoCapture(path, Chain())
    for capture in (theirs, ours):
        assert capture.set(getattr(cv2, f"CAP_PROP_POS_{name}"), number * scale)
    for prop in (cv2.CAP_PROP_POS_FRAMES, cv2.CAP_PROP_POS_MSEC):
        assert ours.get(prop) == pytest.approx(theirs.get(prop), abs=0.1)
    assert np.array_equal(ours.read()[1], theirs.read()[1])


def test_a_frame_before_the_first_is_the_first(tmp_path):
    path = str(clips.Clip(frames=3).save(tmp_path / "clip.mp4"))
    for capture in (cv2.VideoCapture(path), VideoCapture(path, Chain())):
        assert capture.read()[0]
        assert capture.set(cv2.CAP_PROP_POS_FRAMES, -2)
        assert clips.number_of(cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2GRAY)) == 0


@pytest.mark.parametrize("frame", [20, 25, 10**6])
def test_one_can_go_past_the_last_frame_and_back(tmp_path, frame):
    path = str(clips.Clip(frames=20).save(tmp_path / "clip.mp4"))
    for capture in (cv2.VideoCapture(path), VideoCapture(path, Chain())):
        assert capture.read()[0]
        assert capture.set(cv2.CAP_PROP_POS_FRAMES, frame)
        assert capture.isOpened()
        assert capture.get(cv2.CAP_PROP_POS_FRAMES) == capture.get(cv2.CAP_PROP_FRAME_COUNT) == 20
        assert capture.read() == (False, None)
        assert capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
        assert clips.number_of(cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2GRAY)) == 0
    assert capture.error is None


def test_a_position_that_is_no_number_is_refused_and_changes_nothing(tmp_path):
    capture = VideoCapture(clips.Clip(frames=2).save(tmp_path / "clip.mp4"), Chain())
    for value in (float("nan"), float("-inf"), 1e308):
        assert not capture.set(cv2.CAP_PROP_POS_FRAMES, value)
        assert not capture.set(cv2.CAP_PROP_POS_MSEC, value)
    assert capture.read()[0]


def test_going_to_a_frame_fails_where_the_source_is_gone(tmp_path):
    path = clips.Clip(frames=2).save(tmp_path / "clip.mp4")
    capture = VideoCapture(path, Chain())
    path.unlink()
    assert not capture.set(cv2.CAP_PROP_POS_FRAMES, 1)
    assert not capture.isOpened()
    assert "clip.mp4" in str(capture.error)


def test_one_can_go_to_a_frame_between_the_keyframes_of_a_transport_stream_and_back(tmp_path):
    one_keyframe = {"crf": "4", "preset": "veryfast", "g": "60"}
    clip = clips.Clip(frames=30, size=(320, 240), options=one_keyframe)
    capture = VideoCapture(clip.save(tmp_path / "clip.ts"), Chain())
    assert capture.set(cv2.CAP_PROP_POS_FRAMES, 5)
    assert len(all_frames(capture)) == 25
    assert capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
    assert len(all_frames(capture)) == 30


def test_going_to_a_frame_of_a_stream_without_times_fails_with_the_reason(tmp_path):
    capture = VideoCapture(clips.Clip(frames=10).save(tmp_path / "clip.h264"), Chain())
    assert not capture.set(cv2.CAP_PROP_POS_FRAMES, 5)
    assert "cannot be sought" in str(capture.error)
    assert capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
    assert len(all_frames(capture)) == 10


def test_at_the_end_and_after_release_there_is_nothing(tmp_path):
    path = clips.Clip(frames=2).save(tmp_path / "clip.mp4")
    capture = VideoCapture(str(path), Chain())
    assert len(all_frames(capture)) == 2
    assert capture.read() == (False, None)
    assert not capture.grab()
    assert capture.isOpened()
    capture.release()
    assert not capture.isOpened()
    assert capture.read() == (False, None)
    assert capture.get(cv2.CAP_PROP_FRAME_WIDTH) == 0
    assert capture.open(path)
    assert capture.read()[0]
    capture.release()


def test_grab_goes_on_and_retrieve_stays(tmp_path):
    path = clips.Clip(frames=4).save(tmp_path / "clip.mp4")
    capture = VideoCapture(path, Chain())
    assert capture.retrieve() == (False, None)
    assert capture.grab()
    assert capture.grab()
    numbers = [clips.number_of(cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2GRAY)) for _ in range(2)]
    assert numbers == [1, 1]


def test_what_cannot_be_opened_is_reported_as_opencv_does(tmp_path):
    missing = VideoCapture(tmp_path / "missing.mp4", Chain())
    assert not missing.isOpened()
    assert missing.read() == (False, None)
    assert "missing.mp4" in str(missing.error)
    assert "name of the input is empty" in str(VideoCapture("").error)
    no_camera = VideoCapture(63, Chain())
    assert not no_camera.isOpened()
    assert "/dev/video63" in str(no_camera.error)


def test_failures_of_filters_are_raised_at_each_read_until_one_goes_elsewhere(tmp_path):
    capture = VideoCapture(clips.Clip(frames=2).save(tmp_path / "clip.mp4"), Failing())
    for _ in range(2):
        with pytest.raises(
            vidnoise.VidnoiseError, match=r"'opencv_failing' .* ZeroDivisionError: no more"
        ) as raised:
            capture.read()
        assert isinstance(raised.value.__cause__, ZeroDivisionError)
        assert capture.retrieve() == (False, None)
    assert capture.set(cv2.CAP_PROP_POS_FRAMES, 2)
    assert capture.read() == (False, None)
    capture.release()
    assert capture.read() == (False, None)


def test_filters_that_cannot_be_opened_are_raised_and_leave_the_file_closed(tmp_path):
    source = clips.Clip(frames=2).save(tmp_path / "in.mp4")
    with pytest.raises(errors.FilterError, match=r"lost\.onnx' cannot be read"):
        VideoCapture(source, "model:path=lost.onnx")
    assert str(source) not in {str(file.resolve()) for file in Path("/proc/self/fd").iterdir()}


def test_the_callable_names_a_filter_that_fails():
    with pytest.raises(errors.FilterError, match=r"'opencv_failing' .* ZeroDivisionError: no more") as raised:
        Cleaner(Failing())(np.zeros((32, 32, 3), np.uint8))
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_a_filter_that_looks_ahead_loses_no_frame(tmp_path):
    path = clips.Clip(frames=7).save(tmp_path / "clip.mp4")
    assert len(all_frames(VideoCapture(path, LookAhead()))) == 7


def test_a_thread_may_release_what_another_reads():
    with sender() as url:
        capture = VideoCapture(url, Chain())
        assert capture.read()[0]
        other = threading.Timer(0.3, capture.release)
        other.start()
        while capture.read()[0]:
            pass
        other.join()
        assert not capture.isOpened()
        assert VideoCapture(url, Chain()).isOpened()  # the port is free again


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(48, 64, 3), (48, 64), (33, 17, 3)])
def test_the_callable_gives_pictures_back_unchanged_without_filters(shape, dtype):
    clean = Cleaner(Chain())
    for seed in range(3):
        picture = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape, dtype)
        assert np.array_equal(clean(picture), picture)
    assert clean.flush() == []


def test_the_callable_has_nothing_left_before_the_first_picture():
    assert Cleaner("denoise").flush() == []


@pytest.mark.parametrize("shape", [(32, 32, 3), (32, 32)])
@pytest.mark.parametrize(
    ("filter", "expected"),
    [(LookAhead(), [10, 20, 30, 40, 45, 50]), (Waiting(), [0, 10, 20, 30, 40, 50])],
    ids=str,
)
def test_the_callable_gives_one_result_for_each_picture_in_order_and_takes_an_array_again(
    shape, filter, expected
):
    clean, picture = Cleaner(filter), np.empty(shape, np.uint8)

    def taken(value):
        picture[:] = value
        return clean(picture)

    for _ in range(2):  # after a flush as at first
        results = [taken(10 * i) for i in range(6)]
        assert clean.latency == 2
        assert [r is None for r in results] == [True, True, False, False, False, False]
        values = [int(r.flat[0]) for r in [*results[2:], *clean.flush()]]
        assert values == expected


def test_gray_pictures_stay_gray():
    gray = np.arange(64, dtype=np.uint8).repeat(64).reshape(64, 64)
    assert np.array_equal(Cleaner(Negative())(gray), 255 - gray)
    assert np.array_equal(Cleaner(Negative())(gray.astype(np.uint16)), 65535 - gray.astype(np.uint16))


def test_the_colours_of_the_callable_are_not_swapped():
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[..., 0], picture[..., 1] = 200, 50
    assert np.array_equal(Cleaner(Negative())(picture), 255 - picture)


@pytest.mark.parametrize("shape", [(32, 32, 3), (32, 32)])
def test_one_may_draw_on_a_result_while_filters_go_on(shape):
    kept = []

    class Keeping(SpatialFilter):
        name = "opencv_keeping"

        def process(self, frames):
            kept.extend(frames)
            return frames

    clean, picture = Cleaner(Keeping()), np.full(shape, 100, np.uint8)
    clean(picture)[:] = 0
    assert (kept[0].image * 255).round().unique().tolist() == [100]


def test_the_callers_buffer_may_be_reused():
    clean = Cleaner(LookAhead())
    buffer = np.full((32, 32), 100, np.uint8)
    clean(buffer)
    buffer[:] = 0
    clean(buffer)
    assert int(clean(buffer)[0, 0]) == 50


def test_pictures_of_another_shape_or_type_are_refused_with_advice():
    clean = Cleaner(Chain())
    with pytest.raises(errors.UsageError, match="uint8"):
        clean(np.zeros((8, 8, 3), np.float32))
    clean(np.zeros((32, 32, 3), np.uint8))
    for other in (np.zeros((16, 32, 3), np.uint8), np.zeros((32, 32, 3), np.uint16)):
        with pytest.raises(errors.UsageError, match=r"those before were uint8 \(32, 32, 3\); call flush"):
            clean(other)
    clean.flush()
    assert clean(np.zeros((16, 32), np.uint8)) is not None


@pytest.mark.parametrize(
    ("other", "found"),
    [
        (np.zeros((32, 32, 3), np.int16), "int16"),
        (np.zeros((32, 32, 3)), "float64"),
        (None, "NoneType"),
        (np.zeros((32, 32, 4), np.uint8), r"\(32, 32, 4\)"),
        (np.zeros((0, 32, 3), np.uint8), r"\(0, 32, 3\)"),
        (np.zeros((0, 5), np.uint8), r"\(0, 5\)"),
    ],
)
def test_each_picture_is_held_to_the_type_and_a_wrong_one_costs_none_of_the_others(other, found):
    with pytest.raises(errors.UsageError, match=f"uint8.*this is .*{found}"):
        Cleaner(LookAhead())(other)
    clean, picture = Cleaner(LookAhead()), np.full((32, 32, 3), 80, np.uint8)
    assert clean(picture) is None
    with pytest.raises(errors.UsageError, match=f"uint8.*this is .*{found}"):
        clean(other)
    assert clean(picture) is None
    assert np.array_equal(clean(picture), picture)


def test_noise_is_removed_from_pictures():
    rng = np.random.default_rng(0)
    truth = np.full((64, 64, 3), 128, np.uint8)
    noisy = (truth + rng.normal(0, 20, truth.shape)).clip(0, 255).astype(np.uint8)
    assert np.std(Cleaner("median")(noisy)) < 0.6 * np.std(noisy)
