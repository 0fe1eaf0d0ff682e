"""What the engine does for every filter: windows, states, cuts, edges, failures, batches."""

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import CPU, Mean, Running, clip, info, process, through

from vidnoise import device
from vidnoise.chain import Chain, ChainStage
from vidnoise.errors import DeviceError, FilterError, UsageError
from vidnoise.filter import Filter, SpatialFilter, option
from vidnoise.frame import Frame
from vidnoise.io import open_reader
from vidnoise.nets import weights


def numbered(count: int, cuts: set[int] = frozenset()) -> list[Frame]:
    return [Frame(image=torch.full((3, 4, 4), float(i)), pts=10 * i, cut=i in cuts) for i in range(count)]


def values(frames: list[Frame]) -> list[float]:
    return [round(float(frame.image.mean()), 4) for frame in frames]


def row(*filters: Filter) -> ChainStage:
    """Filters in a row without the analysis that a chain puts before them."""
    return ChainStage([filter.open(info(4, 4), CPU) for filter in filters])


@dataclass(frozen=True)
class Fragile(SpatialFilter):
    """Fails on dark frames."""

    limit: float = option(0.0, low=0, high=1, help="fails on more frames")

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        if float(x.min()) < self.limit:
            raise FloatingPointError("too dark")
        return x + 1


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 12),
    behind=st.integers(0, 4),
    ahead=st.integers(0, 4),
    cuts=st.sets(st.integers(0, 11), max_size=3),
)
def test_a_window_holds_exactly_the_neighbours_of_its_own_scene(count, behind, ahead, cuts):
    frames = numbered(count, cuts)
    scene = [sum(c <= i for c in cuts if c > 0) for i in range(count)]
    expected = []
    for i in range(count):
        seen = [j for j in range(i - behind, i + ahead + 1) if 0 <= j < count and scene[j] == scene[i]]
        expected.append(round(sum(seen) / len(seen), 4))
    assert values(process(Mean(behind, ahead), frames)) == pytest.approx(expected, abs=1e-3)


@settings(max_examples=60, deadline=None)
@given(count=st.integers(0, 12), ahead=st.integers(0, 4), cuts=st.sets(st.integers(0, 11), max_size=3))
def test_timestamps_and_their_order_survive_any_window_and_any_cut(count, ahead, cuts):
    frames = numbered(count, cuts)
    done = through(row(Mean(2, ahead), Running(ahead)), frames)
    assert [(f.pts, f.cut) for f in done] == [(f.pts, f.cut) for f in frames]


def test_a_recurrent_filter_starts_afresh_at_a_cut_and_sees_less_ahead_before_it():
    done = process(Running(2), numbered(6, cuts={3}))
    assert values(done) == [1.2, 2.1, 3.0, 1.2, 2.1, 3.0]


def test_frames_come_out_after_the_declared_latency():
    stage = row(Mean(0, 3), Running(2))
    assert stage.latency == 5
    given = [len(stage.push(frame)) for frame in numbered(8)]
    assert given == [0, 0, 0, 0, 0, 1, 1, 1]
    assert len(stage.flush()) == 5


def test_frames_pushed_together_come_out_as_if_pushed_one_by_one():
    frames = numbered(7, cuts={4})
    stage = Mean(1, 1).open(info(4, 4), CPU)
    together = [*stage.push(*frames), *stage.flush()]
    assert values(together) == values(process(Mean(1, 1), frames))


def test_a_stage_that_was_reset_behaves_like_a_new_one():
    stage = Running(1).open(info(4, 4), CPU)
    stage.push(*numbered(5))
    stage.reset()
    assert values(through(stage, numbered(3))) == values(process(Running(1), numbered(3)))


def test_a_stage_can_be_used_again_after_a_flush():
    stage = Running().open(info(4, 4), CPU)
    assert values(through(stage, numbered(2))) == values(through(stage, numbered(2))) == [1, 2]


def test_after_a_failure_a_stage_refuses_frames_until_it_is_reset():
    stage = Fragile(limit=0.5).open(info(), CPU)
    dark, bright = (Frame(image=torch.full((3, 4, 4), v)) for v in (0.0, 0.9))
    with pytest.raises(FloatingPointError):
        stage.push(dark)
    with pytest.raises(FilterError, match=r"too dark.*reset\(\)"):
        stage.push(bright)
    stage.reset()
    assert len(stage.push(bright)) == 1


@pytest.mark.parametrize(("pts", "when"), [(1500, r", at 1\.500 s"), (None, "")])
def test_in_a_chain_a_failure_names_its_filter_whatever_was_raised_and_the_stage_can_be_reset(pts, when):
    stage = Chain.of(Mean(0, 0), Fragile(limit=0.5)).open(info(4, 4), CPU)
    dark, bright = (Frame(image=torch.full((3, 4, 4), v), pts=pts) for v in (0.0, 0.9))
    with pytest.raises(
        FilterError, match=rf"filter 'fragile' \(of [\w.]+{when}\) failed: FloatingPointError: too dark"
    ) as raised:
        stage.push(dark)
    assert isinstance(raised.value.__cause__, FloatingPointError)
    with pytest.raises(FilterError, match=r"reset\(\)"):
        stage.push(bright)
    stage.reset()
    assert len(stage.push(bright)) == 1


@dataclass(frozen=True)
class OfAnotherKind(SpatialFilter):
    """Gives what `ANOTHER_KIND` makes of the frames."""

    kind: str = option(help="what it gives")

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        return ANOTHER_KIND[self.kind][0](x)


@dataclass(frozen=True)
class OfAnotherKindInTime(Mean):
    """The same of a window."""

    kind: str = option("narrow", help="what it gives")

    def apply(self, window: torch.Tensor, centre: int) -> torch.Tensor:
        return ANOTHER_KIND[self.kind][0](window[centre])


ANOTHER_KIND = {
    "narrow": (lambda x: x[..., :-2], r"torch\.float32 \((1, )?3, 4, 2\)"),
    "single": (lambda x: x[..., 0, :, :], r"torch\.float32 \((1, )?4, 4\)"),
    "bytes": (lambda x: (255 * x).byte(), r"torch\.uint8 \((1, )?3, 4, 4\)"),
    "array": (lambda x: x.numpy(), "ndarray"),
    "nothing": (lambda x: None, "NoneType"),
}


@pytest.mark.parametrize("kind", ANOTHER_KIND)
@pytest.mark.parametrize("made", [OfAnotherKind, OfAnotherKindInTime])
def test_a_filter_that_gives_no_picture_of_the_size_is_named_with_both(made, kind):
    filter = made(kind=kind)
    words = rf"'{filter.name}' .* it gives {ANOTHER_KIND[kind][1]}, .* a tensor of floats \((1, )?3, 4, 4\)"
    with pytest.raises(FilterError, match=words):
        process(Chain.of(filter), numbered(3))


@dataclass(frozen=True)
class Inverse(Mean):
    """One part in the middle frame: infinite where that is 2."""

    def apply(self, window: torch.Tensor, centre: int) -> torch.Tensor:
        return 1 / (window[centre] - 2)


@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_a_filter_that_gives_what_is_no_number_is_named_with_the_time_of_the_frame(ahead):
    words = r"filter 'inverse' \(of .*, at 0\.020 s\) failed: ValueError: it gives NaN or infinity"
    with pytest.raises(FilterError, match=words):
        process(Chain.of(Mean(0, 0), Inverse(0, ahead), Mean(1, 1)), numbered(4))


@pytest.mark.parametrize("exact", [torch.float64, torch.float16])
def test_a_filter_may_compute_in_other_floats_and_the_next_gets_float32(exact):
    @dataclass(frozen=True)
    class Halved(SpatialFilter):
        def apply(self, x):
            return x.to(exact) / 2

    frames = process(Halved() | "fuse,median", clip(2))
    assert [frame.image.dtype for frame in frames] == [torch.float32] * 2


@pytest.mark.parametrize(
    ("made", "given"),
    [
        (lambda frames: [], "nothing"),
        (lambda frames: list(frames) * 2, "2 of Frame"),
        (lambda frames: [frame.image for frame in frames], "1 of Tensor"),
    ],
)
def test_a_process_that_gives_not_one_frame_for_each_is_named_with_what_it_gives(made, given):
    @dataclass(frozen=True)
    class Uneven(SpatialFilter):
        def process(self, frames):
            return made(frames)

    with pytest.raises(FilterError, match=rf"'uneven' .* gives {given} for 1, .* frame\.with_image"):
        process(Chain.of(Uneven()), numbered(1))


def test_filters_run_without_gradients_whatever_the_program_has_switched_on():
    @dataclass(frozen=True)
    class Asking(SpatialFilter):
        def apply(self, x):
            return x + torch.is_grad_enabled()

    with torch.enable_grad():
        assert values(process(Asking(), numbered(2))) == [0, 1]


@pytest.mark.parametrize(
    "changed",
    [
        lambda frame: frame.replace(image=frame.image / 2),
        lambda frame: setattr(frame, "image", frame.image / 2),
    ],
)
def test_who_sets_the_image_of_a_frame_is_told_what_to_write(changed):
    with pytest.raises(AttributeError, match=r"write frame\.with_image\(image\)"):
        changed(numbered(1)[0])


class Keeping:
    """A stage of its own kind, which gives each frame so many times, and at the end nothing."""

    latency = 1

    def __init__(self, times: int) -> None:
        self.times = times

    def push(self, *frames: Frame) -> list[Frame]:
        return [*frames] * self.times

    def flush(self) -> list[Frame]:
        return []

    def reset(self) -> None:
        pass


@pytest.mark.parametrize(
    ("times", "words"),
    [(0, "of the frames that went in, 3 did not come out"), (2, "more frames come out than went in")],
)
def test_a_stage_that_loses_or_doubles_frames_is_named(times, words):
    @dataclass(frozen=True)
    class Keeper(Filter):
        def open(self, info, device):
            return Keeping(times)

    with pytest.raises(FilterError, match=rf"filter 'keeper' .* {words}"):
        process(Chain.of(Keeper()), numbered(3))


@pytest.mark.parametrize(
    ("latency", "words"),
    [(-1, "its stage says latency=-1"), (1.5, "'float' object cannot"), (None, "'NoneType' object")],
)
def test_a_stage_whose_latency_is_no_number_of_frames_is_named(latency, words):
    @dataclass(frozen=True)
    class Vague(Filter):
        def open(self, info, device):
            stage = Keeping(1)
            stage.latency = latency
            return stage

    with pytest.raises(FilterError, match=rf"filter 'vague' .* failed: .*{words}"):
        Chain.of(Vague()).open(info(), CPU)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (
            lambda frame, state: (frame.image, 5),
            "step() gives Tensor, int, and must give frame.with_image(...) and a state",
        ),
        (lambda frame, state: frame, "step() gives Frame, and must give"),
        (
            lambda frame, state: (Frame(image=frame.image, pts=3), state),
            "a frame of another time or size; give frame.with_image(...)",
        ),
        (
            lambda frame, state: (Frame(image=frame.image[:, 1:], pts=frame.pts), state),
            "a frame of another time or size",
        ),
    ],
)
def test_a_step_that_gives_something_else_is_named_with_what_to_give(step, words):
    @dataclass(frozen=True)
    class Bare(Running):
        def step(self, frame, state, ahead):
            return step(frame, state)

    with pytest.raises(FilterError, match=rf"'bare' .*{re.escape(words)}"):
        process(Chain.of(Bare()), numbered(1))


def test_a_filter_that_ends_the_program_is_named():
    @dataclass(frozen=True)
    class Leaving(SpatialFilter):
        def apply(self, x):
            raise SystemExit("no licence")

    with pytest.raises(FilterError, match=r"filter 'leaving' .* failed: SystemExit: no licence"):
        process(Chain.of(Leaving()), numbered(1))


def test_a_filter_that_fails_to_open_is_named():
    @dataclass(frozen=True)
    class Closed(Mean):
        def open(self, info, device):
            raise LookupError("nothing here")

    with pytest.raises(FilterError, match=r"filter 'closed' .* failed: LookupError: nothing here"):
        Chain.of(Closed()).open(info(), CPU)


def test_a_filter_that_fails_to_forget_is_named():
    @dataclass(frozen=True)
    class Stubborn(Running):
        def open(self, info, device):
            stage = super().open(info, device)
            stage.restart = lambda: {}["nothing here"]
            return stage

    stage = Chain.of(Stubborn()).open(info(), CPU)
    with pytest.raises(FilterError, match=r"filter 'stubborn' .* failed: KeyError: 'nothing here'"):
        stage.reset()


@pytest.mark.parametrize("failure", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_where_the_memory_does_not_suffice_tiles_are_named(failure):
    @dataclass(frozen=True)
    class Large(SpatialFilter):
        def apply(self, x):
            raise failure

    with pytest.raises(FilterError, match=r"'large' .* tile=512") as raised:
        process(Chain.of(Large()), numbered(1))
    assert "author" not in str(raised.value)


def test_two_streams_of_one_filter_never_see_each_other():
    one, two = (Running().open(info(), CPU) for _ in range(2))
    one.push(*numbered(5))
    assert values(two.push(*numbered(1))) == [1]


@dataclass(frozen=True)
class Counting(SpatialFilter):
    """Tells by its result how many frames were handed to it at once; needs 1000 bytes a pixel."""

    bytes_per_pixel = 1000

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        return torch.full_like(x, len(x))


def at_once(where: device.Device, count: int) -> list[float]:
    return values(list(Counting().open(info(4, 4), where).push(*numbered(count))))


def test_a_cpu_takes_frames_one_by_one_unless_told():
    assert at_once(CPU, 4) == [1, 1, 1, 1]
    assert at_once(replace(CPU, batch=3), 4) == [3, 3, 3, 1]


def test_a_gpu_takes_as_many_frames_as_its_memory_has_room_for(monkeypatch):
    gpu = replace(CPU, torch=torch.device("cuda"))
    for free, expected in (
        (10**9, [4, 4, 4, 4]),
        (2 * 16_000 / device.SHARE, [2, 2, 2, 2]),
        (0, [1, 1, 1, 1]),
    ):
        monkeypatch.setattr(device, "free_memory", lambda _, free=free: free)
        assert at_once(gpu, 4) == expected


def test_a_gpu_that_cannot_be_used_is_left_alone_with_the_reason(monkeypatch):
    def current_device() -> int:
        raise RuntimeError("Cannot re-initialize CUDA in forked subprocess.\nUse spawn")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", current_device)
    assert "cannot be used here (Cannot re-initialize CUDA in forked subprocess.)" in device.choose().why
    assert device.choose().torch.type == "cpu"
    with pytest.raises(DeviceError, match="forked subprocess"):
        device.choose("cuda")


@pytest.mark.parametrize(("limit", "room"), [("3000000", 2_000_000), ("max", 8_192_000), ("1000", 1)])
def test_the_memory_of_a_container_is_room_as_far_as_the_system_has_it(monkeypatch, limit, room):
    texts = {
        "/proc/meminfo": "MemTotal: 16000 kB\nMemAvailable:    8000 kB\n",
        "/sys/fs/cgroup/memory.max": f"{limit}\n",
        "/sys/fs/cgroup/memory.current": "1000000\n",
    }
    monkeypatch.setattr(Path, "read_text", lambda path, **_: texts[str(path)])
    assert device.free_memory(CPU) == room


def test_memory_that_earlier_work_left_with_pytorch_is_room_on_a_gpu(monkeypatch):
    gpu = replace(CPU, torch=torch.device("cuda"))
    for name, found in (
        ("mem_get_info", (3_000, 8_000)),
        ("memory_reserved", 5_000),
        ("memory_allocated", 1_000),
    ):
        monkeypatch.setattr(torch.cuda, name, lambda _, found=found: found)
    assert device.free_memory(gpu) == 7_000


def test_an_option_out_of_range_is_refused_with_its_range():
    with pytest.raises(UsageError, match=r"mean: before=10 is out of range; it takes 0\.\.9 frames"):
        Mean(before=10)


def test_filters_are_values():
    assert Mean(1, 2) == Mean(1, 2)
    assert hash(Mean(1, 2) | Running()) == hash(Mean(1, 2) | Running())
    assert (Mean() | Running()) | Mean() == Mean() | (Running() | Mean())
    with pytest.raises(AttributeError):
        Mean().before = 3


def test_what_no_filter_changed_keeps_the_planes_of_its_source():
    frame = clip(1)[0]
    assert not frame.replace(touched=False).with_image(frame.image).touched
    assert frame.with_image(frame.image + 1).touched


def test_filters_do_not_hear_that_the_program_computes_in_bfloat16():
    frames = clip(3, sigma=15)
    expected = process(Chain.parse("denoise"), frames)
    with torch.autocast("cpu", torch.bfloat16):
        done = process(Chain.parse("denoise"), frames)
    assert all(torch.equal(a.image, b.image) for a, b in zip(done, expected, strict=True))


@pytest.mark.parametrize(("text", "tile"), [("denoise", 0), ("ffmpeg:graph=deband", 0), ("fuse", 128)])
def test_filters_do_not_hear_on_what_device_the_program_makes_new_tensors(text, tile):
    frames, place = clip(2, height=96, width=160), replace(CPU, tile=tile)
    weights.loaded.cache_clear()
    torch.set_default_device("meta")  # where nothing can be computed
    try:
        stage = Chain.parse(text).open(info(96, 160), place)
        done = through(stage, frames)
    finally:
        torch.set_default_device(None)
    expected = process(Chain.parse(text), frames, place)
    assert all(torch.equal(a.image, b.image) for a, b in zip(done, expected, strict=True))


@pytest.mark.parametrize("text", ["denoise", "median"])
@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_picture_that_is_given_with_nan_or_infinity_is_refused(text, wrong):
    frame = clip(1)[0]
    frame.image[0, 3, 3] = wrong
    with pytest.raises(UsageError, match="a picture holds NaN or infinity; replace these"):
        process(Chain.parse(text), [frame])


@pytest.mark.parametrize("text", ["none", "median", "denoise"])
def test_what_is_no_frame_is_refused_with_how_to_make_one(text):
    stage = Chain.parse(text).open(info(), CPU)
    with pytest.raises(
        UsageError, match=r"Tensor is no frame; write vidnoise\.Frame\(image=\.\.\.\) with a tensor"
    ):
        stage.push(torch.zeros(3, 48, 64))


@pytest.mark.parametrize(
    "opened",
    [lambda: Chain.of("median").open(info(), "cpu"), lambda: open_reader("in.mp4", device="cpu")],
    ids=["chain", "reader"],
)
def test_a_chain_or_file_is_opened_on_no_name_of_a_device(opened):
    with pytest.raises(UsageError, match=r"device='cpu' is no Device; write .*choose\('cpu'\)"):
        opened()


def test_a_chain_is_opened_for_no_bare_size():
    with pytest.raises(
        UsageError, match=r"info is of type tuple; write info=reader\.info, or vidnoise\.StreamInfo"
    ):
        Chain.of("median").open((64, 48), CPU)


def test_another_default_type_of_pytorch_is_refused_with_what_to_type():
    begun = Chain.parse("median").open(info(), CPU)
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(UsageError, match=r"float64; type torch\.set_default_dtype\(torch\.float32\)"):
            process(Chain.parse("median"), clip(1))
        with pytest.raises(UsageError, match="vidnoise computes in float32"):
            begun.push(*clip(1))
        assert len(process(Chain(), clip(1))) == 1
    finally:
        torch.set_default_dtype(torch.float32)


@dataclass(frozen=True)
class Fitting(SpatialFilter):
    """Finds its gain by descent, frame by frame."""

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            gain = torch.ones((), requires_grad=True)
            (x * gain).mean().square().backward()
            return x * (gain - 0.1 * gain.grad)


def test_what_a_filter_computed_by_gradients_leaves_it_as_a_plain_picture():
    with torch.inference_mode():
        (done,) = process(Fitting(), clip(1))
    assert not done.image.requires_grad
    assert done.image.numpy().shape == done.image.shape


@pytest.mark.parametrize("text", ["none", "median"])
@pytest.mark.filterwarnings("error")
def test_a_picture_that_had_gradients_is_filtered_as_a_plain_one(text):
    (done,) = process(Chain.parse(text), [Frame(image=torch.rand(3, 48, 64, requires_grad=True))])
    assert not done.image.requires_grad
