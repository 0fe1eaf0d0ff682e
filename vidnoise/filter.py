"""Filters and their running state: what an author writes, and what the engine does for all of them.

A `Filter` is what the user chose: immutable, comparable, printable as command-line text. `open()` makes a `Stage`, the
running state of one stream. Authors subclass `SpatialFilter`, `WindowFilter` or `RecurrentFilter` and write only the
maths; cuts, edges, flushing and timestamps are handled here, once.
"""

from __future__ import annotations

import dataclasses
import sys
import typing
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from inspect import get_annotations
from os import PathLike, fspath
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from vidnoise.errors import FilterError, UsageError
from vidnoise.frame import Frame, StreamInfo, check_image
from vidnoise.options import Option, check, describe, kinds, option, quote

if TYPE_CHECKING:
    from torch import Tensor

    from vidnoise.chain import Chain
    from vidnoise.device import Device

__all__ = [
    "BaseStage",
    "Filter",
    "Option",
    "RecurrentFilter",
    "SpatialFilter",
    "Stage",
    "WindowFilter",
    "describe",
    "option",
]

S = TypeVar("S")


class Stage(Protocol):
    """The running state of one stream: no threads, no hidden buffering.

    `latency` frames go in before the first comes out. Frames come out in order, one for each that went in.
    """

    @property
    def latency(self) -> int:
        """Frames pushed before the first comes out."""
        ...

    def push(self, *frames: Frame) -> Sequence[Frame]:
        """Take one frame, or several that are already there; give what is finished."""
        ...

    def flush(self) -> Sequence[Frame]:
        """The stream has ended: give the rest."""
        ...

    def reset(self) -> None:
        """Forget everything, pending frames too: after a reconnect or an error."""
        ...


@dataclass(frozen=True)
class Filter(ABC):
    """What the user chose. Subclasses are frozen dataclasses whose fields are made with `option()`.

    Class attributes tell the engine what the filter needs:
        name: the word for the command line; by default the class name in lower case.
        halo: pixels around a tile that influence its centre, for frames processed in tiles.
        bytes_per_pixel: working memory while filtering, from which tiles are chosen.
        exempt: invariants of the contract tests that it cannot hold, each with the reason; see `tests/test_contract.py`.
    """

    name: ClassVar[str] = ""
    halo: ClassVar[int] = 32
    bytes_per_pixel: ClassVar[int] = 100
    exempt: ClassVar[Mapping[str, str]] = MappingProxyType({})

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = cls.__name__.lower()

    def __post_init__(self) -> None:
        types = hints(type(self))
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            kind = Any if value is field.default else types[field.name]
            check(self.name, field.name, value, kind, describe(field))
            if isinstance(value, PathLike) and str in kinds(kind):
                object.__setattr__(self, field.name, fspath(value))  # so that it equals the same path as text

    @abstractmethod
    def open(self, info: StreamInfo, device: Device) -> Stage:
        """Start filtering one stream.

        Raises:
            FilterError: the filter cannot work on such a stream.
        """

    @property
    def wants_noise(self) -> bool:
        """Whether `frame.sigma` must be measured for this filter."""
        return False

    @property
    def wants_motion(self) -> bool:
        """Whether cuts must be found and `frame.flow` be given for this filter."""
        return False

    @property
    def tileable(self) -> bool:
        """Whether tiles of a frame may be processed apart; not where the whole picture is looked at."""
        return True

    @property
    def weights(self) -> str:
        """The name of the shipped weights that it runs a network with, for `vidnoise export`; nothing without one."""
        return ""

    @classmethod
    def undefined(cls) -> str:
        """The name of a method that must still be defined; nothing where the filter is whole."""
        return min(getattr(cls, "__abstractmethods__", ()), default="")

    @classmethod
    def examples(cls) -> Sequence[Filter]:
        """Instances for the contract tests; filters with required options must say some."""
        return [cls()]

    def __or__(self, other: Filter | str) -> Chain:
        from vidnoise.chain import Chain

        return Chain.of(self, other)

    def __ror__(self, other: str) -> Chain:
        from vidnoise.chain import Chain

        return Chain.of(other, self)

    def __str__(self) -> str:
        """The filter as command-line text, with the options that differ from their defaults."""
        chosen = [
            f"{field.name}={quote(getattr(self, field.name))}"
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        ]
        return f"{self.name}:{','.join(chosen)}" if chosen else self.name


@cache
def hints(kind: type[Filter]) -> Mapping[str, Any]:
    """The types of a filter's options, by name; `Any` where an annotation means nothing while the program runs.

    A default of None needs no `| None`.

    Raises:
        UsageError: options are declared in a class that was not made a dataclass, which has none.
    """
    lost = next((name for name, value in vars(kind).items() if isinstance(value, dataclasses.Field)), None)
    if lost:
        raise UsageError(
            f"the filter {kind.__name__} declares the option {lost!r} but is no dataclass; "
            f"write @dataclass(frozen=True) above the class"
        )
    return {field.name: _hint(kind, field) for field in dataclasses.fields(kind)}


def _hint(kind: type[Filter], field: dataclasses.Field[Any]) -> Any:
    try:
        owner = next(base for base in kind.__mro__ if field.name in get_annotations(base))
        alone = SimpleNamespace(__annotations__={field.name: field.type})
        # As for a whole class: the module's names, then those of the class.
        module = getattr(sys.modules.get(owner.__module__), "__dict__", {})
        hint = typing.get_type_hints(alone, dict(vars(owner)), module)[field.name]
    except Exception:  # it is anyone's text, and may be a name that is imported for type checkers alone
        hint = Any
    return typing.Union[hint, None] if field.default is None else hint  # noqa: UP007 - it may be what has no |


class BaseStage(ABC):
    """A stage that flushes and starts afresh at cuts, and refuses frames after a failure until `reset()`."""

    latency: int = 0

    def __init__(self) -> None:
        self._failure: BaseException | None = None

    @abstractmethod
    def accept(self, frames: Sequence[Frame]) -> list[Frame]:
        """Take frames of one scene, in order; give what is finished."""

    def drain(self) -> list[Frame]:
        """Give what is still held: the scene has ended."""
        return []

    @abstractmethod
    def restart(self) -> None:
        """Forget the past, and anything still held."""

    def push(self, *frames: Frame) -> list[Frame]:
        """See `Stage.push`.

        Raises:
            FilterError: the stage has failed before and was not reset.
        """
        return self._guarded(lambda: [out for scene in scenes(frames) for out in self._push_scene(scene)])

    def flush(self) -> list[Frame]:
        """See `Stage.flush`; raises as `push` does."""
        return self._guarded(self._end_scene)

    def reset(self) -> None:
        """See `Stage.reset`."""
        self._failure = None
        self.restart()

    def _push_scene(self, frames: Sequence[Frame]) -> list[Frame]:
        done = self._end_scene() if frames[0].cut else []
        return done + self.accept(frames)

    def _end_scene(self) -> list[Frame]:
        done = self.drain()
        self.restart()
        return done

    def _guarded(self, work: Any) -> list[Frame]:
        if self._failure is not None:
            raise FilterError(f"this stage failed ({self._failure}); call reset() before pushing again")
        try:
            with plainly():
                return list(work())
        except BaseException as failure:
            self._failure = failure
            raise


@contextmanager
def plainly() -> Iterator[None]:
    """Without gradients, in the types and on the devices that filters ask for, whatever the caller has switched on.

    Raises:
        UsageError: what PyTorch makes new tensors of is not float32, for all threads.
    """
    import torch

    if (found := torch.get_default_dtype()) is not torch.float32:
        raise UsageError(
            f"vidnoise computes in float32, and PyTorch was told to make tensors of {str(found).removeprefix('torch.')}; "
            f"type torch.set_default_dtype(torch.float32) while it runs"
        )
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))  # under which nobody could switch gradients on
        stack.enter_context(torch.no_grad())
        for kind in filter(torch.is_autocast_enabled, ("cpu", "cuda")):
            stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


def scenes(frames: Iterable[Frame]) -> list[list[Frame]]:
    """Split frames into runs that each start at a cut."""
    runs: list[list[Frame]] = []
    for frame in frames:
        if frame.cut or not runs:
            runs.append([])
        runs[-1].append(frame)
    return runs


@dataclass(frozen=True)
class SpatialFilter(Filter):
    """A filter without memory. On a GPU frames that are already there are handed over as one batch.

    `batch` is the most that make one; fewer do where `bytes_per_pixel` says that the memory has no room for them.
    """

    batch: ClassVar[int] = 4

    @classmethod
    def undefined(cls) -> str:
        """See `Filter.undefined`: one of `apply` and `process` does."""
        neither = cls.apply is SpatialFilter.apply and cls.process is SpatialFilter.process
        return "apply" if neither else super().undefined()

    def apply(self, x: Tensor) -> Tensor:
        """Clean a batch (B,3,H,W) of RGB floats, nominally 0..1; floats of the same shape out."""
        import torch

        if missing := self.undefined():
            raise TypeError(f"it must define {missing}()")
        return torch.stack([frame.image for frame in self.process([Frame(image=image) for image in x])])

    def process(self, frames: Sequence[Frame]) -> list[Frame]:
        """Clean some frames; define it in place of `apply` where the filter needs more of a frame than its image."""
        import torch

        batch = torch.stack([frame.image for frame in frames])
        images = self.apply(batch)
        check_image(images, tuple(batch.shape))
        return [frame.with_image(image) for frame, image in zip(frames, images, strict=True)]

    def open(self, info: StreamInfo, device: Device) -> Stage:
        """See `Filter.open`."""
        return SpatialStage(self, info, device)


class SpatialStage(BaseStage):
    """Runs a `SpatialFilter`; on a CPU frame by frame unless told, since a batch gains nothing there and costs memory.

    A `process` made for the device, with a network on it, may stand in for the filter's.
    """

    def __init__(
        self,
        filter: SpatialFilter,
        info: StreamInfo,
        device: Device,
        process: Callable[[Sequence[Frame]], list[Frame]] | None = None,
    ) -> None:
        super().__init__()
        self._process = process or filter.process
        self._batch = device.batch or _frames_at_once(filter, info, device)

    def accept(self, frames: Sequence[Frame]) -> list[Frame]:
        """Filter the frames at once."""
        starts = range(0, len(frames), self._batch)
        return [out for i in starts for out in self._processed(frames[i : i + self._batch])]

    def _processed(self, frames: Sequence[Frame]) -> list[Frame]:
        done = list(self._process(frames))
        if len(done) != len(frames) or not all(isinstance(out, Frame) for out in done):
            given = f"{len(done)} of {', '.join({type(out).__name__ for out in done})}" if done else "nothing"
            raise TypeError(
                f"process() gives {given} for {len(frames)}, and must give frame.with_image(...) for each"
            )
        return done

    def restart(self) -> None:
        """There is nothing to forget."""


def _frames_at_once(filter: SpatialFilter, info: StreamInfo, device: Device) -> int:
    if not device.is_cuda:
        return 1
    from vidnoise.device import working_memory

    room = working_memory(device) / (filter.bytes_per_pixel * info.width * info.height)
    return max(1, min(filter.batch, int(room)))


@dataclass(frozen=True)
class WindowFilter(Filter):
    """A filter that sees a window of neighbouring frames of the same scene."""

    @property
    @abstractmethod
    def behind(self) -> int:
        """How many frames before the restored one it sees."""

    @property
    @abstractmethod
    def ahead(self) -> int:
        """How many frames after it, which is also the latency."""

    @abstractmethod
    def apply(self, window: Tensor, centre: int) -> Tensor:
        """Clean `window[centre]`; floats (T,3,H,W) -> (3,H,W). At the edges of a scene the window is shorter."""

    @property
    def wants_motion(self) -> bool:
        """Cuts must be known, so that no window reaches over one."""
        return True

    def open(self, info: StreamInfo, device: Device) -> Stage:
        """See `Filter.open`."""
        return WindowStage(self)


class WindowStage(BaseStage):
    """Runs a `WindowFilter`, keeping only the frames that its window needs."""

    def __init__(self, filter: WindowFilter) -> None:
        super().__init__()
        self._filter = filter
        self.latency = filter.ahead
        self._frames: deque[Frame] = deque()
        self._centre = 0

    def accept(self, frames: Sequence[Frame]) -> list[Frame]:
        """Take frames; give each whose look-ahead is complete."""
        done = []
        for frame in frames:
            self._frames.append(frame)
            if len(self._frames) - self._centre > self._filter.ahead:
                done.append(self._restore())
        return done

    def drain(self) -> list[Frame]:
        """Restore the last frames with shorter windows."""
        return [self._restore() for _ in range(len(self._frames) - self._centre)]

    def restart(self) -> None:
        """Drop the window."""
        self._frames.clear()
        self._centre = 0

    def _restore(self) -> Frame:
        import torch

        frame = self._frames[self._centre]
        seen = list(self._frames)[: self._centre + 1 + self._filter.ahead]
        image = self._filter.apply(torch.stack([f.image for f in seen]), self._centre)
        self._centre += 1
        while self._centre > self._filter.behind:
            self._frames.popleft()
            self._centre -= 1
        return frame.with_image(image)


@dataclass(frozen=True)
class RecurrentFilter(Filter, Generic[S]):
    """A filter that carries a state from frame to frame, and may look some frames ahead."""

    @property
    def ahead(self) -> int:
        """How many frames it looks ahead, which is also the latency."""
        return 0

    @abstractmethod
    def step(self, frame: Frame, state: S | None, ahead: Sequence[Frame]) -> tuple[Frame, S | None]:
        """Clean one frame.

        Args:
            frame: the frame to restore; give `frame.with_image(...)`.
            state: what the last call returned; None at a start, a cut or a reconnect.
            ahead: up to `self.ahead` frames that follow in the same scene, fewer at its end.
        """

    @property
    def wants_motion(self) -> bool:
        """Cuts must be known, so that the state starts afresh."""
        return True

    def open(self, info: StreamInfo, device: Device) -> Stage:
        """See `Filter.open`."""
        return RecurrentStage(self)


LOUDER = 1.3
"""Times the variance: clearly more noise."""
Step = Callable[[Frame, S | None, Sequence[Frame]], tuple[Frame, S | None]]


class RecurrentStage(BaseStage, Generic[S]):
    """Runs a `RecurrentFilter`; a `step` made for the device, with a network on it, may stand in for the filter's."""

    def __init__(self, filter: RecurrentFilter[S], step: Step[S] | None = None) -> None:
        super().__init__()
        self._step = step or filter.step
        self.latency = filter.ahead
        self._pending: deque[Frame] = deque()
        self._state: S | None = None

    def accept(self, frames: Sequence[Frame]) -> list[Frame]:
        """Take frames; give each whose look-ahead is complete."""
        done = []
        for frame in frames:
            self._pending.append(frame)
            if len(self._pending) > self.latency:
                done.append(self._restore())
        return done

    def drain(self) -> list[Frame]:
        """Restore the last frames with a shorter look-ahead."""
        return [self._restore() for _ in range(len(self._pending))]

    def restart(self) -> None:
        """Drop the state."""
        self._pending.clear()
        self._state = None

    def _restore(self) -> Frame:
        frame = self._pending.popleft()
        if self._state is None and self._pending:
            frame = _heard_with(frame, self._pending[0])
        match self._step(frame, self._state, tuple(self._pending)):
            case (Frame() as restored, state):
                self._state = state
                return restored
            case given:
                items = given if isinstance(given, tuple) else [given]
                raise TypeError(
                    f"step() gives {', '.join(type(item).__name__ for item in items)}, and must give "
                    f"frame.with_image(...) and a state"
                )


def _heard_with(first: Frame, second: Frame) -> Frame:
    """The first frame of a scene, with the noise of the second where that is clearly more: two tell what one cannot."""
    if first.sigma is None or second.sigma is None:
        return first
    alone, together = (float(noise.sigma.square().sum()) for noise in (first.sigma, second.sigma))
    return first.replace(sigma=second.sigma) if together > LOUDER * alone else first
