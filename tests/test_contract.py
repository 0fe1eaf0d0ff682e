"""What every filter must hold, whoever wrote it: run over the whole registry, plugins included.

A filter that cannot hold one of these says so, with the reason, in its class attribute `exempt`, by the name of the
test without `test_`: `exempt = {"a_constant_clip_stays_constant": "adds grain"}`.
"""

import inspect
from pathlib import Path

import models
import pytest
import torch
from streams import CPU, clip, info, process, through

from vidnoise.chain import Chain
from vidnoise.device import choose
from vidnoise.filter import Filter, RecurrentFilter, SpatialFilter
from vidnoise.frame import Frame
from vidnoise.options import describe
from vidnoise.registry import filters

EXAMPLES = [example for _, kind in sorted(filters().items()) for example in kind.examples()]
EXAMPLES.append(models.EXAMPLE)  # a network is a file, so the filter has no example of its own


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where the files are that the examples name."""
    made: Path = tmp_path_factory.mktemp("examples")
    models.torchscript(models.blur(), made / models.EXAMPLE.path)
    return made


@pytest.fixture(params=EXAMPLES, ids=str)
def filter(request, folder, monkeypatch) -> Filter:
    monkeypatch.chdir(folder)
    chosen: Filter = request.param
    name = request.function.__name__.removeprefix("test_")
    if name in chosen.exempt:
        pytest.skip(chosen.exempt[name])
    return chosen


def same(one: list[Frame], other: list[Frame], tolerance: float = 0.0) -> None:
    assert [f.pts for f in one] == [f.pts for f in other]
    for a, b in zip(one, other, strict=True):
        assert torch.allclose(a.image.cpu(), b.image.cpu(), atol=tolerance, rtol=0)


def chain_stage(filter: Filter, height: int = 48, width: int = 64):
    return Chain.of(filter).open(info(height, width), CPU)


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_as_many_frames_come_out_as_went_in_with_their_timestamps(filter, count):
    frames = clip(count, sigma=15)
    done = process(Chain.of(filter), frames)
    assert [(f.pts, f.time_base, f.duration) for f in done] == [
        (f.pts, f.time_base, f.duration) for f in frames
    ]
    assert all(f.image.shape == (3, 48, 64) and f.image.dtype == torch.float32 for f in done)
    assert all(bool(f.image.isfinite().all()) for f in done)


@pytest.mark.parametrize("size", [(16, 16), (17, 33), (47, 61)])
def test_any_size_keeps_its_size(filter, size):
    done = process(Chain.of(filter), clip(3, *size, sigma=15))
    assert [f.image.shape[1:] for f in done] == [size] * 3


def test_frames_come_out_after_the_declared_latency(filter):
    stage = filter.open(info(), CPU)
    frames = process(Chain.of(filter), [])
    assert frames == []
    given = [len(stage.push(frame)) for frame in analysed(clip(stage.latency + 2, sigma=10), filter)]
    assert given == [0] * stage.latency + [1, 1]


def test_a_filter_that_is_called_by_hand_gives_what_its_stage_gives(filter):
    frames = clip(2, sigma=25)
    staged = process(filter, frames)
    with torch.inference_mode():
        if isinstance(filter, SpatialFilter):
            images = filter.apply(torch.stack([frame.image for frame in frames]))
            done = [frame.with_image(image) for frame, image in zip(frames, images, strict=True)]
        elif isinstance(filter, RecurrentFilter):
            first, state = filter.step(frames[0], None, frames[1 : 1 + filter.ahead])
            done = [first, filter.step(frames[1], state, ())[0]]
        else:
            pytest.skip("it is made of a stage alone")
    same(done, staged, 1e-6)


def test_a_reset_stage_gives_what_a_new_one_gives(filter):
    stage = chain_stage(filter)
    stage.push(*clip(4, sigma=25))
    stage.reset()
    frames = clip(5, sigma=10)
    same(through(stage, frames), process(Chain.of(filter), frames))


def test_after_a_flush_a_stage_gives_what_a_new_one_gives(filter):
    stage = chain_stage(filter)
    through(stage, clip(4, sigma=25))
    frames = clip(5, sigma=10)
    same(through(stage, frames), process(Chain.of(filter), frames))


def test_two_streams_never_see_each_other(filter):
    quiet, loud = clip(5, sigma=5), clip(5, sigma=40, motion=3)
    one, two = chain_stage(filter), chain_stage(filter)
    done = []
    for a, b in zip(quiet, loud, strict=True):
        done += one.push(a)
        two.push(b)
    same([*done, *one.flush()], process(Chain.of(filter), quiet))


def test_nothing_of_one_scene_is_seen_in_the_next(filter):
    frames = clip(8, sigma=10, cuts=[4])
    alone = [f.replace(cut=False) for f in frames[4:]]
    same(process(Chain.of(filter), frames)[4:], process(Chain.of(filter), alone))


def test_a_constant_clip_stays_constant(filter):
    colour = torch.tensor([0.2, 0.5, 0.7])[:, None, None].expand(3, 40, 56).contiguous()
    frames = [Frame(image=colour.clone(), pts=i) for i in range(5)]
    for done in process(Chain.of(filter), frames):
        assert float((done.image - colour).abs().max()) < 0.5 / 255


def test_frames_pushed_together_give_what_they_give_one_by_one(filter):
    frames = clip(6, sigma=15)
    stage = chain_stage(filter)
    same([*stage.push(*frames), *stage.flush()], process(Chain.of(filter), frames), tolerance=1e-5)


def test_the_frame_that_was_given_is_not_changed(filter):
    frames = clip(4, sigma=15)
    before = [f.image.clone() for f in frames]
    process(Chain.of(filter), frames)
    assert all(torch.equal(f.image, image) for f, image in zip(frames, before, strict=True))


@pytest.mark.gpu
def test_the_gpu_gives_what_the_cpu_gives(filter):
    frames = clip(6, 96, 128, sigma=15)
    cuda = choose("cuda", "fp32")
    done = process(Chain.of(filter), [f.to(cuda.torch) for f in frames], cuda)
    assert all(f.image.is_cuda for f in done)
    for a, b in zip(process(Chain.of(filter), frames), done, strict=True):
        assert float((a.image - b.image.cpu()).abs().mean()) < 1 / 255


def test_its_text_reads_back_as_itself(filter):
    assert Chain.parse(str(filter)) == Chain.of(filter)


def test_it_and_each_of_its_options_are_described(filter):
    import dataclasses

    assert inspect.getdoc(type(filter))
    for field in dataclasses.fields(filter):
        assert len(describe(field).help) > 10, field.name
        assert (
            isinstance(field.default, bool | str | None)
            or field.default is dataclasses.MISSING
            or (describe(field).range_text())
        ), f"{field.name} needs a range"


def analysed(frames: list[Frame], filter: Filter) -> list[Frame]:
    """The frames as a chain hands them to its filter."""
    if not (filter.wants_noise or filter.wants_motion):
        return frames
    from vidnoise.analysis import Analysis

    return through(Analysis(filter.wants_noise, filter.wants_motion), frames)
