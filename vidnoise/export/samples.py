"""What a network is really given: its inputs for the frames of clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vidnoise.bench.clips import find, load, pictures
from vidnoise.errors import InputError

if TYPE_CHECKING:
    from vidnoise.filter import Filter

    from .subject import Subject

Inputs = tuple[Tensor, ...]

CLIPS, FRAMES = 16, 8
"""The most that is looked at: clips, and frames of each."""
SIDE = 256
"""Pixels a side, at most, of the middle of each frame."""


def samples(subject: Subject, data: Path) -> list[Inputs]:
    """Inputs for frames of the clips under a path, one tuple a frame, each (1,C,h,w).

    A network for single pictures takes a folder whose pictures differ in size, too.

    Raises:
        InputError: there are no frames, or too few of them are noisy.
    """
    clips = (
        load(clip, FRAMES).frames if subject.filter else pictures(clip, FRAMES) for clip in find(data)[:CLIPS]
    )
    found = [inputs for frames in clips for inputs in _given(subject, frames)]
    if len(found) < 2:
        raise InputError(
            f"{data} holds {len(found)} noisy frames; give two or more, as noisy as those that will be cleaned"
        )
    return [_middle(subject, inputs) for inputs in found]


def _given(subject: Subject, given: Sequence[object]) -> Iterator[Inputs]:
    frames = [torch.as_tensor(picture).permute(2, 0, 1).float() / 255 for picture in given]
    if subject.filter:
        yield from _heard(subject.filter, frames)
        return
    for frame in frames:
        yield (frame[None],) if len(subject.inputs) == 1 else (frame[None], _level(frame)[None])


def _level(frame: Tensor) -> Tensor:
    from vidnoise.noise import estimate

    return estimate(frame).map(frame)


def _heard(filter: Filter, images: Sequence[Tensor]) -> list[Inputs]:
    """What a filter's network is called with while it cleans a clip."""
    from vidnoise.chain import Chain
    from vidnoise.device import choose
    from vidnoise.frame import Frame, StreamInfo
    from vidnoise.nets import load as network_of

    place, seen = choose("cpu", "fp32"), list[Inputs]()
    network = network_of(filter.weights, place.torch, place.dtype)
    hook = network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    try:
        height, width = images[0].shape[-2:]
        stage = Chain.of(filter).open(StreamInfo(width=width, height=height), place)
        stage.push(*(Frame(image=image, pts=i) for i, image in enumerate(images)))
        stage.flush()
    finally:
        hook.remove()
    return seen


def _middle(subject: Subject, inputs: Inputs) -> Inputs:
    """The middle of each input, in whole multiples."""
    height, width = inputs[0].shape[-2:]
    spans = [_span(length // subject.multiple, SIDE // subject.multiple) for length in (height, width)]
    cut = []
    for port, value in zip(subject.inputs, inputs, strict=True):
        times = subject.multiple // port.cell
        rows, columns = (slice(times * start, times * stop) for start, stop in spans)
        cut.append(value[..., rows, columns].contiguous())
    return tuple(cut)


def _span(count: int, most: int) -> tuple[int, int]:
    kept = min(count, most)
    start = (count - kept) // 2
    return start, start + kept
