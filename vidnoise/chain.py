"""Filters in a row: `Denoise() | Deblur()` in scripts, `denoise:strength=0.8,deblur` on the command line."""

from __future__ import annotations

import dataclasses
import math
import re
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from vidnoise.device import check_device
from vidnoise.errors import (
    TOO_LITTLE_MEMORY,
    FilterError,
    UsageError,
    VidnoiseError,
    class_and_text,
    did_you_mean,
    is_out_of_memory,
)
from vidnoise.filter import Filter, Stage, hints, option, plainly
from vidnoise.frame import Frame, StreamInfo, check_frame
from vidnoise.options import check_kind, convert

if TYPE_CHECKING:
    from vidnoise.device import Device


@dataclass(frozen=True)
class Chain(Filter):
    """Filters applied one after another, those of chains among them too; an empty chain is the identity."""

    name: ClassVar[str] = "chain"
    filters: tuple[Filter, ...] = option((), help="the filters, first to last")

    def __post_init__(self) -> None:
        if not isinstance(self.filters, (tuple, list)):
            _refuse(self.filters)
        flat: list[Filter] = []
        for filter in self.filters:
            if not isinstance(filter, Filter):
                _refuse(filter)
            flat += filter.filters if isinstance(filter, Chain) else [filter]
        object.__setattr__(self, "filters", tuple(flat))

    @classmethod
    def of(cls, *filters: Filter | str) -> Chain:
        """A chain of filters; text among them is read.

        Raises:
            UsageError: one is no filter, or the text cannot be read.
        """
        return cls(tuple(cls.parse(filter) if isinstance(filter, str) else filter for filter in filters))

    @classmethod
    def parse(cls, text: str) -> Chain:
        """Read command-line text: filters apart by commas, options after a colon.

        `denoise:strength=0.8,deblur`; a comma inside a value is protected by quotes:
        `ffmpeg:graph='bm3d=sigma=8,deband'`. A word with `=` belongs to the filter before it. `none` alone is an empty
        chain.

        Raises:
            UsageError: a name or option that does not exist, a value of the wrong kind or out of range, or nothing where a
                filter belongs, such as a variable of the shell that is not set.
        """
        if not isinstance(text, str):
            _refuse(text)
        if text.strip() == "none":
            return cls()
        if not text.strip(" ,"):
            raise UsageError("the text of the filters is empty; write 'none' for no filter, or leave it out")
        filters: list[tuple[str, dict[str, str]]] = []
        for part in _split(text, ","):
            head, colon, rest = part.partition(":")
            if re.fullmatch(r"\s*[\w-]+\s*=.*", part, re.DOTALL) and filters:
                _add_option(filters[-1], part)
                continue
            if not part:
                raise UsageError(
                    f"{text!r} has nothing beside one of its commas; leave that out, or name a filter there"
                )
            filters.append((head.strip(), {}))
            if colon:
                _add_option(filters[-1], rest)
        return cls.of(*(make(name, options) for name, options in filters))

    def with_option(self, name: str, value: Any) -> Chain:
        """The chain with one option set on every filter that has it.

        Raises:
            UsageError: no filter has it, or the value is not allowed.
        """
        having = [f for f in self.filters if any(field.name == name for field in dataclasses.fields(f))]
        if not having:
            raise UsageError(f"{self} has no option {name!r}; leave --{name} out")
        return Chain(
            tuple(dataclasses.replace(f, **{name: value}) if f in having else f for f in self.filters)
        )

    @property
    def wants_noise(self) -> bool:
        """Whether one of the filters does."""
        return any(filter.wants_noise for filter in self.filters)

    @property
    def wants_motion(self) -> bool:
        """Whether one of the filters does."""
        return any(filter.wants_motion for filter in self.filters)

    def open(self, info: StreamInfo, device: Device) -> ChainStage:
        """Open every filter for one stream; what they share (noise, cuts, flow) is measured once, before the first.

        Raises:
            FilterError: a filter cannot work on such a stream.
            UsageError: `info` or `device` is none, or what PyTorch makes new tensors of is not float32.
        """
        check_kind("info", info, StreamInfo, "reader.info, or vidnoise.StreamInfo(width=640, height=480)")
        check_device(device)
        stages = [FilterStage(filter, info, device) for filter in self.filters]
        if not (self.wants_noise or self.wants_motion):
            return ChainStage(stages)
        from vidnoise.analysis import Analysis

        return ChainStage(stages, Analysis(noise=self.wants_noise, motion=self.wants_motion))

    def __str__(self) -> str:
        return ",".join(map(str, self.filters)) or "none"


class FilterStage:
    """The stage of one filter of a chain, whose failures of any kind are a `FilterError` that names the filter."""

    def __init__(self, filter: Filter, info: StreamInfo, device: Device) -> None:
        from vidnoise.tiles import open_tiled

        self._filter = filter
        self._held: deque[tuple[int | None, int, int]] = deque()
        with self._named(), plainly():
            self._stage = open_tiled(filter, info, device)
            self.latency = index(self._stage.latency)
            if self.latency < 0:
                raise ValueError(
                    f"its stage says latency={self.latency}, and must say how many frames it holds back"
                )

    def push(self, *frames: Frame) -> Sequence[Frame]:
        """See `Stage.push`."""
        with self._named(frames[-1] if frames else None):
            self._held += map(_place, frames)
            return self._checked(self._stage.push(*frames))

    def flush(self) -> Sequence[Frame]:
        """See `Stage.flush`."""
        with self._named():
            done = self._checked(self._stage.flush())
            if self._held:
                raise ValueError(f"of the frames that went in, {len(self._held)} did not come out")
            return done

    def reset(self) -> None:
        """See `Stage.reset`."""
        self._held.clear()
        with self._named():
            self._stage.reset()

    def _checked(self, frames: Sequence[Frame]) -> Sequence[Frame]:
        if len(frames) > len(self._held):
            raise ValueError("more frames come out than went in")
        for frame in frames:
            with self._named(frame):
                if _place(frame) != self._held.popleft():
                    raise ValueError("it gives a frame of another time or size; give frame.with_image(...)")
                if not _is_finite(frame):
                    raise ValueError("it gives NaN or infinity")
        return frames

    @contextmanager
    def _named(self, newest: Frame | None = None) -> Iterator[None]:
        try:
            yield
        except VidnoiseError:
            raise
        except (Exception, SystemExit) as failure:  # it may be anyone's program
            report = "report it to its author, with the traceback (--debug prints it)"
            remedy = TOO_LITTLE_MEMORY if is_out_of_memory(failure) else report
            when = (
                f", at {float(newest.pts * newest.time_base):.3f} s"
                if newest and newest.pts is not None
                else ""
            )
            raise FilterError(
                f"the filter {self._filter.name!r} (of {type(self._filter).__module__}{when}) failed: "
                f"{class_and_text(failure)}; {remedy}"
            ) from failure


class ChainStage:
    """Stages in a row, each fed with what the one before gives.

    Args:
        stages: first to last.
        analysis: what measures frames before the first of them; it holds none back, and waits for none of the others.
    """

    def __init__(self, stages: Sequence[Stage], analysis: Stage | None = None) -> None:
        self._analysis = analysis
        self._stages = stages

    @property
    def latency(self) -> int:
        """The sum of the stages' latencies, in frames."""
        return sum(stage.latency for stage in self._stages)

    def push(self, *frames: Frame) -> Sequence[Frame]:
        """See `Stage.push`."""
        return self.filter(self.measure(frames))

    def measure(self, frames: Sequence[Frame]) -> Sequence[Frame]:
        """The first half of `push`: it may be a frame or more ahead of the second, in another thread.

        Raises:
            UsageError: something is no frame, or a picture holds NaN or infinity, which would spoil all that follow.
        """
        for frame in frames:
            check_frame(frame)
        if not all(map(_is_finite, frames)):
            raise UsageError(
                "a picture holds NaN or infinity; replace these, as by torch.nan_to_num, before it is filtered"
            )
        return self._analysis.push(*frames) if self._analysis else frames

    def filter(self, measured: Sequence[Frame]) -> Sequence[Frame]:
        """The second half of `push`."""
        moving = measured
        for stage in self._stages:
            if not moving:
                break
            moving = stage.push(*moving)
        return moving

    def then(self, stage: Stage) -> ChainStage:
        """The same stages and one more."""
        return ChainStage([*self._stages, stage], self._analysis)

    def flush(self) -> Sequence[Frame]:
        """See `Stage.flush`."""
        moving: Sequence[Frame] = self._analysis.flush() if self._analysis else ()
        for stage in self._stages:
            moving = [*(stage.push(*moving) if moving else ()), *stage.flush()]
        return moving

    def reset(self) -> None:
        """See `Stage.reset`."""
        for stage in (self._analysis, *self._stages):
            if stage is not None:
                stage.reset()


def make(name: str, options: dict[str, str]) -> Filter:
    """A filter from its name and its options as text.

    Raises:
        UsageError: a name or option that does not exist or is missing, a value of the wrong kind or out of range.
    """
    from vidnoise.registry import find

    filter = find(name)
    fields = {field.name: field for field in dataclasses.fields(filter)}
    types = hints(filter)
    values: dict[str, Any] = {}
    for key, text in options.items():
        if key not in fields:
            raise UsageError(_unknown_option(name, key, list(fields)))
        values[key] = convert(f"{name}: {key}", text, types[key])
    missing = [f.name for f in fields.values() if f.default is dataclasses.MISSING and f.name not in values]
    if missing:
        raise UsageError(f"{name} needs {missing[0]}=...; vidnoise filters {name} shows its options")
    try:
        return filter(**values)
    except VidnoiseError:
        raise
    except Exception as failure:  # its author's own checks
        raise UsageError(
            f"{name}: {class_and_text(failure)}; vidnoise filters {name} shows its options"
        ) from failure


def _place(frame: Frame) -> tuple[int | None, int, int]:
    """What no filter changes of a frame: its time and its size."""
    return frame.pts, frame.width, frame.height


def _is_finite(frame: Frame) -> bool:
    """Whether it has neither NaN nor infinity, which a source's integers cannot be."""
    return not frame.touched or math.isfinite(frame.image.sum())


def _refuse(item: object) -> NoReturn:
    """What is no filter, with what to write in its place."""
    if isinstance(item, type) and issubclass(item, Filter):
        raise UsageError(f"{item.__name__} is the class; write {item.__name__}() for the filter")
    raise UsageError(
        f"{type(item).__name__} is no filter; write Denoise(), several as Denoise() | Deblur(), or text: 'denoise,deblur'"
    )


def _unknown_option(name: str, key: str, known: list[str]) -> str:
    hint = did_you_mean(key, known, f"it has: {', '.join(known) or 'none'}")
    return f"{name} has no option {key!r}; {hint} (vidnoise filters {name} shows them)"


def _add_option(filter: tuple[str, dict[str, str]], text: str) -> None:
    name, options = filter
    for part in _split(text, ":"):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise UsageError(f"{name}: {part.strip()!r} is not option=value; write it as {name}:option=value")
        if key in options:
            raise UsageError(
                f"{name}: {key} is given twice, as {options[key]} and {_unquote(value)}; leave one out"
            )
        options[key] = _unquote(value)


def _split(text: str, separator: str) -> list[str]:
    """Cut at separators that are not inside quotes nor after a backslash; quotes and backslashes stay."""
    parts, current, quoted, escaped = [], "", "", False
    for char in text:
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif quoted:
            quoted = "" if char == quoted else quoted
        elif char in "'\"":
            quoted = char
        elif char == separator:
            parts.append(current)
            current = ""
            continue
        current += char
    if quoted:
        raise UsageError(f"the quote {quoted} in {text!r} is not closed")
    parts.append(current)
    return [part.strip() for part in parts]


def _unquote(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    return re.sub(r"\\([\\'\"])", r"\1", text)
