"""One network asked by several streams at once: whoever waits while it computes is answered in one batch."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from .weights import load

MOST = 16
"""Pictures in a batch."""


@dataclass(eq=False)
class Question:
    """Inputs of one caller, and what became of them."""

    inputs: tuple[Tensor, ...]
    answer: Tensor | tuple[Tensor, ...] | None = None
    failure: Exception | None = None

    @property
    def kind(self) -> list[tuple[int, ...]]:
        """Questions of one kind may be asked together."""
        return [tuple(x.shape[1:]) for x in self.inputs]


class Together(nn.Module):
    """A network from pictures to pictures, for callers in several threads.

    Nobody waits for others to come: who finds it idle is answered at once, and those who come meanwhile are answered
    together by the first of them.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._waiting: list[Question] = []
        self._lock, self._turn = threading.Lock(), threading.Lock()

    def forward(self, *inputs: Tensor) -> Any:
        """Inputs (B,C,H,W), each of any size -> what the network gives, one picture or several.

        Raises:
            Whatever the network raises, for all of a batch; where memory is too short for it, they are asked one by one.
        """
        question = Question(inputs)
        with self._lock:
            self._waiting.append(question)
        with self._turn:
            if question.answer is None and question.failure is None:
                self._answer(self._alike(question))
        if question.failure is not None:
            raise question.failure
        return question.answer

    def _alike(self, question: Question) -> list[Question]:
        """The question, and others of its kind that wait; they wait no longer."""
        with self._lock:
            others = [q for q in self._waiting if q is not question and q.kind == question.kind]
            chosen = [question, *others[: MOST - 1]]
            self._waiting = [q for q in self._waiting if q not in chosen]
        return chosen

    def _answer(self, questions: Sequence[Question]) -> None:
        try:
            self._ask(questions)
        except Exception as failure:
            if len(questions) > 1 and isinstance(failure, torch.OutOfMemoryError):
                for question in questions:
                    self._answer([question])
                return
            for question in questions:
                question.failure = failure

    def _ask(self, questions: Sequence[Question]) -> None:
        inputs = [torch.cat(each) for each in zip(*(q.inputs for q in questions), strict=True)]
        given = self.network(*inputs)
        if inputs[0].is_cuda:
            # A GPU is given work long before it is done: only who waits for it can be answered with others.
            torch.cuda.current_stream(inputs[0].device).synchronize()
        counts, several = [len(q.inputs[0]) for q in questions], isinstance(given, tuple)
        parts = zip(*(x.split(counts) for x in (given if several else (given,))), strict=True)
        for question, answer in zip(questions, parts, strict=True):
            question.answer = answer if several else answer[0]


def load_together(name: str, device: torch.device, dtype: torch.dtype, int8: bool = False) -> nn.Module:
    """The shipped network `name` for all streams of a process, as `load`; a CPU gains nothing by batches and makes none."""
    network = load(name, device, dtype, int8)
    return _shared(network) if device.type == "cuda" else network


@lru_cache(maxsize=8)
def _shared(network: nn.Module) -> Together:
    """One for each network, whoever asks."""
    return Together(network)
