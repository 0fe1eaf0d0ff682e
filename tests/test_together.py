"""One network for several streams: what waits is answered together, and each gets its own."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from vidnoise.nets import load, load_together
from vidnoise.nets.together import MOST, Together

LIMIT = 30
"""Seconds for what would else never come."""


class Doubles(torch.nn.Module):
    """Twice a picture, and its negative if asked to; the first call lasts until it is let go."""

    def __init__(self, *, pair: bool = False, fails: bool = False, room: int = 100) -> None:
        super().__init__()
        self.batches: list[int] = []
        self.begun, self.go = threading.Event(), threading.Event()
        self.pair, self.fails, self.room = pair, fails, room

    def forward(
        self, x: torch.Tensor, level: torch.Tensor
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        self.batches.append(len(x))
        self.begun.set()
        assert self.go.wait(LIMIT)
        if len(x) > self.room:
            raise torch.OutOfMemoryError
        if self.fails:
            raise ValueError("broken")
        return (2 * x * level, -x) if self.pair else 2 * x * level


def pictures(count: int, size: int = 4) -> list[torch.Tensor]:
    return [torch.full((1, 3, size, size), float(n)) for n in range(count)]


def ask(network: Doubles, asked: list[torch.Tensor]) -> list:
    """The answers to the first picture, and to the others, which all come while that one is computed."""
    together, level = Together(network), torch.ones(1, 1, 1, 1)
    with ThreadPoolExecutor(len(asked)) as callers:
        answers = [callers.submit(together, asked[0], level)]
        assert network.begun.wait(LIMIT)
        answers += [callers.submit(together, x, level) for x in asked[1:]]
        until = time.monotonic() + LIMIT
        while len(together._waiting) < len(asked) - 1 and time.monotonic() < until:
            time.sleep(0.01)
        network.go.set()
        return [answer.exception(LIMIT) or answer.result() for answer in answers]


def test_who_comes_while_it_computes_is_answered_in_one_batch_and_gets_what_is_his():
    network = Doubles()
    answers = ask(network, pictures(5))
    assert network.batches == [1, 4]
    assert [float(a.mean()) for a in answers] == [0, 2, 4, 6, 8]


def test_several_answers_belong_together():
    answers = ask(Doubles(pair=True), pictures(3))
    assert [(float(a.mean()), float(b.mean())) for a, b in answers] == [(0, 0), (2, -1), (4, -2)]


def test_pictures_of_another_size_are_asked_apart():
    network = Doubles()
    answers = ask(network, [*pictures(3), *pictures(2, size=6)])
    assert sorted(network.batches) == [1, 2, 2]
    assert [a.shape[-1] for a in answers] == [4, 4, 4, 6, 6]


def test_a_batch_has_its_limit():
    network = Doubles()
    ask(network, pictures(MOST + 4))
    assert network.batches == [1, MOST, 3]


def test_a_failure_reaches_all_whom_it_concerns():
    answers = ask(Doubles(fails=True), pictures(3))
    assert all(isinstance(a, ValueError) for a in answers)


def test_where_memory_is_short_they_are_asked_one_by_one():
    network = Doubles(room=2)
    answers = ask(network, pictures(4))
    assert network.batches == [1, 3, 1, 1, 1]
    assert [float(a.mean()) for a in answers] == [0, 2, 4, 6]


def test_a_cpu_takes_the_network_as_it_is():
    place = torch.device("cpu"), torch.float32
    assert load_together("rcan", *place) is load("rcan", *place)


@pytest.mark.parametrize("count", [1, 3])
def test_who_is_alone_is_answered_at_once(count: int):
    network = Doubles()
    network.go.set()
    together = Together(network)
    for x in pictures(count):
        assert torch.equal(together(x, torch.ones(1, 1, 1, 1)), 2 * x)
    assert network.batches == [1] * count
