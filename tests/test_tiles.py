"""Tiles: no seams, for filters with and without memory, and the choice by memory."""

import itertools
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as nnf
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import CPU, Mean, Running, clip, info, process, through

from vidnoise import device, tiles
from vidnoise.chain import Chain
from vidnoise.device import choose
from vidnoise.errors import UsageError
from vidnoise.filter import SpatialFilter
from vidnoise.flow import SharedFlow
from vidnoise.frame import Frame


@dataclass(frozen=True)
class Box(SpatialFilter):
    """A box blur, 17 pixels wide."""

    halo = 8

    def apply(self, x):
        return nnf.avg_pool2d(nnf.pad(x, (8, 8, 8, 8), mode="replicate"), 17, 1)


@settings(deadline=None)
@given(length=st.integers(33, 500), side=st.integers(33, 200))
def test_tiles_cover_everything_and_overlap_enough(length, side):
    found = tiles.spans(length, side, halo=8)
    assert found[0].start == 0
    assert found[-1].stop == length
    assert all(a.stop - b.start >= 24 for a, b in itertools.pairwise(found))
    assert all(span.stop - span.start <= side for span in found)


@pytest.mark.parametrize("size", [(48, 64), (97, 151)])
def test_a_filter_in_tiles_gives_the_picture_it_gives_whole(size):
    frames = clip(2, *size, sigma=20)
    tiled = process(Box() | Mean(), frames, choose("cpu", "fp32", tile=40))
    for whole, joined in zip(process(Box() | Mean(), frames), tiled, strict=True):
        assert torch.allclose(whole.image, joined.image, atol=1e-5)
        assert whole.pts == joined.pts


def test_every_tile_keeps_its_own_state_over_time_and_over_cuts():
    frames = clip(6, 160, 200, cuts=[4])
    tiled = tiles.open_tiled(Running(1), info(160, 200), choose("cpu", "fp32", tile=128))
    values = [round(float(f.image.mean()), 3) for f in through(tiled, frames)]
    assert tiled.latency == 1
    assert values == [1.1, 2.1, 3.1, 4.0, 1.1, 2.0]


def test_what_no_filter_touched_stays_untouched_in_tiles():
    frame = clip(1, 160, 200)[0].replace(touched=False)

    class Nothing(Box):
        def process(self, frames):
            return list(frames)

    assert tiles.open_tiled(Nothing(), info(160, 200), choose("cpu", tile=128)).push(frame)[0] is frame


def test_tiles_have_the_noise_of_the_whole_frame_and_each_a_flow_of_its_own_that_stays():
    seen = []

    class Seeing(Box):
        def process(self, frames):
            seen.extend(frames)
            return list(frames)

    frames = [frame.replace(sigma=object(), flow=SharedFlow()) for frame in clip(2, 160, 200)]
    tiles.open_tiled(Seeing(), info(160, 200), choose("cpu", tile=128)).push(*frames)
    first, second = seen[::2], seen[1::2]
    assert {part.sigma for part in first} == {frames[0].sigma}
    flows = [part.flow for part in first]
    assert len(set(flows)) == len(first) == 4
    assert not set(flows) & {None, frames[0].flow}
    assert [part.flow for part in second] == flows


def test_tiles_of_a_stream_that_is_begun_anew_with_the_same_times_give_what_new_ones_give():
    place, frames = choose("cpu", "fp32", tile=128), clip(3, 160, 200, sigma=20)
    stage, new = (Chain.of("fuse:sigma=20,ahead=1").open(info(160, 200), place) for _ in range(2))
    stage.push(*clip(3, 160, 200, sigma=20, motion=9))
    stage.reset()
    for again, first in zip(through(stage, frames), through(new, frames), strict=True):
        assert torch.equal(again.image, first.image)


def test_the_confidence_of_tiles_is_joined_as_their_pictures_are():
    class Sure(Box):
        def process(self, frames):
            return [frame.with_image(frame.image + 0.1, frame.image[:1]) for frame in frames]

    (frame,) = clip(1, 160, 200)
    (done,) = process(Sure(), [frame], choose("cpu", tile=128))
    assert torch.allclose(done.confidence, frame.image[:1], atol=1e-5)


@pytest.mark.parametrize("room", [1_000_000, 1_000])
def test_tiles_are_chosen_when_the_memory_is_short(monkeypatch, room):
    assert not isinstance(tiles.open_tiled(Box(), info(96, 128), CPU), tiles.TiledStage)
    monkeypatch.setattr(device, "free_memory", lambda device: room)
    stage = tiles.open_tiled(Box(), info(96, 128), CPU)
    assert isinstance(stage, tiles.TiledStage)
    (out,) = stage.push(Frame(image=torch.full((3, 96, 128), 0.5)))
    assert torch.allclose(out.image, torch.full((3, 96, 128), 0.5), atol=1e-6)


def test_tiles_too_small_for_the_filter_are_refused_with_the_least_size():
    with pytest.raises(UsageError, match="use --tile 32 or more"):
        process(Chain.of(Box()), clip(1, 100, 100), choose("cpu", tile=20))
