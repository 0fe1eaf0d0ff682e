"""Threads: order, failures, and that nothing waits for ever."""

import os
import pickle
import subprocess
import sys
import threading
from copy import copy, deepcopy
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from clips import Clip, decoded
from streams import CPU, ListSource, Mean, Running, clip, process

import vidnoise as vn
from vidnoise import pipeline
from vidnoise.chain import Chain
from vidnoise.errors import FilterError, UsageError
from vidnoise.filter import RecurrentFilter
from vidnoise.frame import Frame
from vidnoise.io import OutputOptions


class Collector:
    def __init__(self, fail_at: int | None = None) -> None:
        self.frames: list[Frame] = []
        self.fail_at = fail_at

    def write(self, frame: Frame) -> None:
        if len(self.frames) == self.fail_at:
            raise OSError("disk full")
        self.frames.append(frame)


class FailingSource(ListSource):
    def __iter__(self):
        yield from self._frames[:5]
        raise ValueError("bad packet")


def run(source, filter, sink, **options):
    return pipeline.run(source, filter.open(source.info, CPU), sink, CPU, **options)


def open_files() -> list[str]:
    return [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]


def workers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("vidnoise-")]


def test_every_frame_arrives_once_and_in_order():
    frames, sink, seen = clip(40), Collector(), []
    count = run(ListSource(frames), Mean(1, 2), sink, progress=lambda frame: seen.append(frame.pts))
    assert count == 40
    assert [f.pts for f in sink.frames] == [f.pts for f in frames] == seen


def test_an_empty_chain_hands_over_the_very_frames():
    frames, sink = clip(10), Collector()
    run(ListSource(frames), Chain(), sink, convert=False)
    assert all(a.image is b.image for a, b in zip(frames, sink.frames, strict=True))


def test_measuring_in_the_reading_thread_changes_no_picture():
    source, chain = ListSource(frames := clip(12, sigma=15, cuts=(5,))), Chain.parse("fuse:ahead=1")
    read = list(pipeline.stream(source, chain.open(source.info, CPU), CPU))
    for one, other in zip(read, process(chain, frames), strict=True):
        assert torch.equal(one.image, other.image)


def test_a_failure_while_reading_ends_the_run_with_it_and_leaves_no_thread():
    with pytest.raises(ValueError, match="bad packet"):
        run(FailingSource(clip(40)), Running(), Collector())
    assert not workers()


def test_a_failure_while_writing_ends_the_run_with_it_and_leaves_no_thread():
    with pytest.raises(OSError, match="disk full"):
        run(ListSource(clip(60)), Running(), Collector(fail_at=3))
    assert not workers()


def test_a_failure_in_a_filter_ends_the_run_with_it_and_leaves_no_thread():
    frames = clip(30)
    frames[7] = Frame(image=torch.zeros(3, 10, 10), pts=1)
    with pytest.raises(RuntimeError, match="stack"):
        run(ListSource(frames), Mean(1, 1), Collector())
    assert not workers()


def test_an_interrupt_in_the_callers_thread_ends_the_run_and_leaves_no_thread():
    def interrupt(frame: Frame) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(ListSource(clip(60)), Running(), Collector(), progress=interrupt)
    assert not workers()


def test_a_stream_that_is_left_early_leaves_no_thread():
    source = ListSource(clip(60))
    frames = pipeline.stream(source, Running().open(source.info, CPU), CPU)
    assert next(frames).pts == source._frames[0].pts
    frames.close()
    assert not workers()


def test_a_thread_may_close_what_others_read(tmp_path):
    frames = vn.open(Clip(frames=60).save(tmp_path / "clip.mp4"), Running())
    read, failures, begun = [], [], threading.Event()

    def reads():
        try:
            for frame in frames:
                read.append(frame.pts)
                begun.set()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=reads) for _ in range(2)]
    for thread in threads:
        thread.start()
    begun.wait()
    frames.close()
    for thread in threads:
        thread.join()
    assert not failures
    assert 0 < len(read) == len(set(read)) < 60
    assert not workers()


LEAVING = """
import sys, torch
from streams import CPU, ListSource, Running, clip
from vidnoise import pipeline

class Busy(ListSource):
    def __iter__(self):
        yield self._frames[0]
        for _ in range(10):
            torch.linalg.svd(torch.rand(200, 200))
        yield self._frames[1]

source = Busy(clip(2))
frames = pipeline.stream(source, Running().open(source.info, CPU), CPU)
next(frames)
sys.exit(7)
"""


def test_a_program_may_end_while_frames_are_read():
    done = subprocess.run(
        [sys.executable, "-c", LEAVING], capture_output=True, text=True, cwd=os.path.dirname(__file__)
    )
    assert (done.returncode, done.stderr) == (7, "")


def test_few_frames_wait_between_the_threads():
    read = []

    class Counting(ListSource):
        def __iter__(self):
            for frame in self._frames:
                read.append(frame.pts)
                yield frame

    source = Counting(clip(60))
    frames = pipeline.stream(source, Running().open(source.info, CPU), CPU)
    next(frames)
    threading.Event().wait(0.2)
    frames.close()
    assert len(read) <= pipeline.DEPTH + 3


def test_few_finished_frames_wait_for_a_slow_sink():
    seen, waiting = [], []

    class Slow(Collector):
        def write(self, frame):
            if not self.frames:
                threading.Event().wait(0.2)
                waiting.extend(seen)
            super().write(frame)

    assert run(ListSource(clip(40)), Running(), Slow(), progress=seen.append) == 40
    assert len(waiting) <= pipeline.DEPTH + 2


LEAVING_A_RUN = """
import atexit, sys, threading, vidnoise as vn
begun = threading.Event()
def slowly(frame):
    begun.set()
    threading.Event().wait(0.02)
work = lambda: vn.run(sys.argv[1], "none", sys.argv[2], progress=slowly)
thread = threading.Thread(target=work, daemon=True)
atexit.register(thread.join, 20)  # last of all: time to do wrong
thread.start()
begun.wait()
"""


def test_a_program_that_ends_within_a_run_leaves_no_half_of_a_file(tmp_path):
    source = Clip(120).save(tmp_path / "in.mp4")
    done = subprocess.run([sys.executable, "-c", LEAVING_A_RUN, source, tmp_path / "out.mp4"], timeout=60)
    assert done.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le"])
def test_a_frame_can_be_sent_to_another_process(tmp_path, pix_fmt):
    path = Clip(2, pix_fmt=pix_fmt).save(tmp_path / "in.mkv")
    with vn.open(path, "denoise:ahead=0") as frames:
        frame = next(frames)
    for sent in (pickle.loads(pickle.dumps(frame)), deepcopy(frame)):
        assert torch.equal(sent.image, frame.image)
        assert [plane.dtype for plane in sent.planes] == [plane.dtype for plane in frame.planes]
        assert all(map(torch.equal, sent.planes, frame.planes))
        assert (sent.pts, sent.time_base, sent.colour, sent.touched) == (
            frame.pts,
            frame.time_base,
            frame.colour,
            frame.touched,
        )


def test_frames_are_read_without_with_as_well_and_closed_twice_without_harm(tmp_path):
    path = Clip(4, size=(96, 64)).save(tmp_path / "in.mp4")
    assert len(list(vn.open(path, "median"))) == 4
    frames = vn.open(path, "median")
    assert (frames.info.width, frames.info.height) == (96, 64)
    next(frames)
    frames.close()
    frames.close()
    assert not list(frames)
    assert not workers()


@dataclass(frozen=True)
class Fading(RecurrentFilter[torch.Tensor]):
    """Averages each frame with what it made of those before."""

    def step(self, frame, state, ahead):
        done = frame.image if state is None else (frame.image + state) / 2
        return frame.with_image(done), done


def test_pictures_may_be_changed_in_place_while_others_are_made(tmp_path):
    path = Clip(5, size=(96, 64)).save(tmp_path / "in.mp4")
    with vn.open(path, Fading()) as frames:
        expected = [frame.image for frame in frames]
    with vn.open(path, Fading()) as frames:
        for frame, wanted in zip(frames, expected, strict=True):
            assert torch.equal(frame.image, wanted)
            frame.image.mul_(255)


@dataclass(frozen=True)
class Mirroring(RecurrentFilter[torch.Tensor]):
    """Averages each frame with the mirror image of what it made of those before."""

    def step(self, frame, state, ahead):
        done = frame.image if state is None else (frame.image + state.flip(-1)) / 2
        return frame.with_image(done), done


def test_before_and_after_in_one_picture_changes_nothing_of_what_filters_remember(tmp_path):
    path, lossless = Clip(5, size=(96, 64)).save(tmp_path / "in.mp4"), OutputOptions(codec="ffv1")
    for name, layout in (("alone.mkv", None), ("split.mkv", "split")):
        vn.run(path, Mirroring(), tmp_path / name, compare=layout, output=lossless)
    for one, other in zip(decoded(tmp_path / "split.mkv"), decoded(tmp_path / "alone.mkv"), strict=True):
        right, whole = (frame.to_ndarray(format="rgb24")[:, 56:] for frame in (one, other))
        assert (right == whole).all()


def test_a_filter_that_cannot_be_opened_leaves_the_file_closed(tmp_path):
    path = Clip(2, size=(96, 64)).save(tmp_path / "in.mp4")
    with pytest.raises(FilterError, match=r"lost\.onnx' cannot be read"):
        vn.open(path, "model:path=lost.onnx")
    assert str(path) not in open_files()


def test_the_last_frame_closes_the_file(tmp_path):
    path = Clip(4, size=(96, 64)).save(tmp_path / "in.mp4")
    frames = vn.open(path, "median")
    assert str(path) in open_files()
    assert len(list(frames)) == 4
    assert str(path) not in open_files()


def test_damage_is_told_to_who_reads_frames(tmp_path):
    path = Clip(20).save(tmp_path / "in.mkv")
    with vn.open(path, "none") as frames:
        assert len(list(frames)) == 20
        assert not frames.damage
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with vn.open(path, "none") as frames:
        assert len(list(frames)) < 20
        assert frames.damage == "the input ends too early"


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_frames_of_other_floats_are_filtered_as_those_of_float32(dtype):
    image = torch.rand(3, 48, 64).to(dtype)
    one, other = (
        process(Chain.parse("fuse,median"), [Frame(image=given)]) for given in (image, image.float())
    )
    assert torch.equal(one[0].image, other[0].image)


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (torch.rand(3, 8, 8).numpy(), "ndarray"),
        (torch.rand(8, 8, 3), r"float32 \(8, 8, 3\)"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), "uint8"),
        (torch.rand(1, 3, 8, 8), r"\(1, 3, 8, 8\)"),
        (torch.rand(3, 0, 8), r"\(3, 0, 8\)"),
    ],
)
def test_what_is_no_picture_of_a_frame_is_told_with_what_one_is(image, found):
    with pytest.raises(UsageError, match=rf"tensor of floats \(3,H,W\), RGB in 0..1; this is .*{found}"):
        Frame(image=image)


def test_a_frame_takes_its_confidence_along_to_another_device():
    frame = Frame(image=torch.ones(3, 4, 4), confidence=torch.ones(1, 4, 4)).to(torch.device("meta"))
    assert {frame.device.type, frame.confidence.device.type} == {"meta"}


def test_a_copy_of_a_frame_keeps_all_of_it(tmp_path):
    with vn.open(Clip(2).save(tmp_path / "in.mp4"), "fuse") as frames:
        frame = next(frames)
    same = copy(frame)
    assert same is not frame
    assert frame.carrier is not None
    assert all(getattr(same, name) is getattr(frame, name) for name in Frame.__slots__)


FORKED = """
import gc, os, sys
import vidnoise as vn
def clean():
    return vn.run(sys.argv[1], "steady", sys.argv[2], overwrite=True).frames
gc.disable()
before = clean()
child = os.fork()
if not child:
    gc.collect()
    os._exit(clean() if before == 3 else 99)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_process_forked_after_a_run_cleans_as_well(tmp_path):
    clip = Clip(3).save(tmp_path / "in.mp4")
    with subprocess.Popen(
        [sys.executable, "-c", FORKED, clip, tmp_path / "out.mp4"],
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as made:
        try:
            assert made.communicate(timeout=60)[0].split() == [b"3"]
        finally:
            if made.poll() is None:
                os.killpg(made.pid, 9)
