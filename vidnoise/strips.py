"""Work on parts of a picture at once, on a CPU: fewer threads wait for each other than where each operation is shared."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from threading import Barrier, local
from typing import TYPE_CHECKING, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

T = TypeVar("T")
U = TypeVar("U")
V = TypeVar("V")

STRIP = 384
"""Lines, about: few enough to stay in the caches, and more than the few that some work repeats at the ends of strips."""
BLOCK = 8
"""Strips begin at multiples of this."""
_thread = local()


def in_strips(like: Tensor, work: Callable[[slice], Tensor]) -> Tensor:
    """A picture (C,H,W), made by strips.

    Args:
        like: what the result resembles in size, type and device.
        work: gives the lines of the result that a slice names; called from several threads at once.
    """
    import torch

    height = like.shape[-2]
    if like.is_cuda:
        return work(slice(0, height))
    done = torch.empty_like(like, memory_format=torch.contiguous_format)

    def fill(lines: slice) -> None:
        done[..., lines, :] = work(lines)

    # As many for each thread.
    count = torch.get_num_threads() * -(-height // (STRIP * torch.get_num_threads()))
    rows = -(-height // (count * BLOCK)) * BLOCK
    strips = [slice(start, min(start + rows, height)) for start in range(0, height, rows)]
    at_once(like, *(partial(fill, lines) for lines in strips))
    return done


@overload
def at_once(like: Tensor, one: Callable[[], T], other: Callable[[], U], /) -> tuple[T, U]: ...
@overload
def at_once(
    like: Tensor, one: Callable[[], T], other: Callable[[], U], third: Callable[[], V], /
) -> tuple[T, U, V]: ...
@overload
def at_once(like: Tensor, *jobs: Callable[[], T]) -> tuple[T, ...]: ...
def at_once(like: Tensor, *jobs: Callable[[], object]) -> tuple[object, ...]:
    """What some jobs give, done at the same time where `like` is on the CPU; those of a job one after another."""
    import torch

    if like.is_cuda or getattr(_thread, "is_worker", False):
        return tuple(job() for job in jobs)
    grad, inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    def run(job: Callable[[], object]) -> object:
        with torch.inference_mode(inference), torch.set_grad_enabled(grad):
            return job()

    return tuple(_workers(torch.get_num_threads()).map(run, jobs))


@cache
def _workers(count: int) -> ThreadPoolExecutor:
    """Threads in which torch computes alone, kept for all streams: the jobs are the parallel work."""
    import torch

    begun = Barrier(count)

    def alone() -> None:
        _thread.is_worker = True
        torch.set_num_threads(1)
        torch.get_num_threads()  # or the first work in this thread sets it again to what is then said

    workers = ThreadPoolExecutor(count, "strip", alone)
    list(workers.map(lambda _: begun.wait(), range(count)))
    # That holds for the threads that called it, and for all begun later: so it is set back.
    torch.set_num_threads(count)
    return workers


def _after_fork() -> None:
    """A process that `os.fork` made has none of these threads, and OpenMP would wait for others that it has not."""
    if _workers.cache_info().currsize:
        import torch

        _workers.cache_clear()
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
