"""Work on a picture strip by strip: on a CPU each strip stays in the caches, and strips run at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

STRIP = 64
"""Lines."""


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
    grad, inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    def fill(start: int) -> None:
        lines = slice(start, min(start + STRIP, height))
        with torch.inference_mode(inference), torch.set_grad_enabled(grad):
            done[..., lines, :] = work(lines)

    list(_workers(torch.get_num_threads()).map(fill, range(0, height, STRIP)))
    return done


@cache
def _workers(count: int) -> ThreadPoolExecutor:
    """Threads in which torch computes alone, kept for all streams: the strips are the parallel work."""
    import torch

    begun = Barrier(count)
    workers = ThreadPoolExecutor(count, "strip", lambda: torch.set_num_threads(1))
    list(workers.map(lambda _: begun.wait(), range(count)))
    # That holds for the threads that called it, and for all begun later: so it is set back.
    torch.set_num_threads(count)
    return workers
