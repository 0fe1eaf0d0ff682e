"""Shared by all tests: one thread a worker, and a pretended GPU, or skipped tests, only where no real one is required."""

import logging
import os
from collections.abc import Iterator

import pytest
import torch
from command import vidnoise  # noqa: F401 - a fixture
from pretended_gpu import pretended_gpu

from vidnoise.io import scheduling
from vidnoise.io.encoders import quiet

REQUIRE_LIVE = os.environ.get("VIDNOISE_REQUIRE_LIVE") == "1"
HAS_CUDA = torch.cuda.is_available() or os.environ.get("VIDNOISE_REQUIRE_CUDA") == "1"

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # for programs that tests start

quiet()  # SVT-AV1 looks once a process how much to log: at the first opening, which may be a test's own


@pytest.fixture(autouse=True)
def ordinary_scheduling() -> Iterator[None]:
    """A test that opens an encoder of its own must not leave its worker before all other processes."""
    with scheduling.ordinary():
        yield


@pytest.fixture(autouse=True)
def ordinary_logging() -> Iterator[None]:
    """A test that runs a command must not leave its log, whose stream is gone, to those after it."""
    logger = logging.getLogger("vidnoise.live")
    before = logger.handlers, logger.propagate, logger.level
    yield
    logger.handlers, logger.propagate = before[:2]
    logger.setLevel(before[2])


@pytest.fixture(autouse=True)
def a_gpu(request: pytest.FixtureRequest) -> Iterator[None]:
    """For a test marked `gpu`."""
    if not request.node.get_closest_marker("gpu") or HAS_CUDA:
        yield
        return
    with pretended_gpu():
        yield


@pytest.fixture
def gpu() -> torch.device:
    """For tests that are marked `gpu` or `cuda`."""
    return torch.device("cuda", torch.cuda.current_device())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip_without_gpu(items)
    skip_without_cameras(items)
    # Mostly waits, so they come first and on one worker, while others compute.
    items.sort(key=lambda item: item.get_closest_marker("live") is None)


def skip_without_cameras(items: list[pytest.Item]) -> None:
    live = [item for item in items if item.get_closest_marker("live")]
    if not live or REQUIRE_LIVE:
        return
    from cameras import missing

    for item in live if missing() else []:
        item.add_marker(
            pytest.mark.skip(reason=f"{missing()} (VIDNOISE_REQUIRE_LIVE=1 makes this a failure)")
        )


def skip_without_gpu(items: list[pytest.Item]) -> None:
    if HAS_CUDA:
        return
    for item in items:
        if item.get_closest_marker("cuda"):
            item.add_marker(
                pytest.mark.skip(reason="no NVIDIA GPU (VIDNOISE_REQUIRE_CUDA=1 makes this a failure)")
            )
