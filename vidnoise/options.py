"""Filter options: dataclass fields that know unit, range and effect; help, checks and text of values are made from them."""

from __future__ import annotations

import dataclasses
import math
import re
import sys
import types
import typing
from contextlib import suppress
from dataclasses import dataclass
from numbers import Integral, Real
from os import PathLike, fspath
from types import NoneType
from typing import Any, Literal

from vidnoise.errors import UsageError

QUALITIES = ("fast", "balanced", "best")
"""What the built-in filters' option `quality` takes."""

MOST_THREADS = 1024
"""More take longer to begin than a video takes."""

TYPES: dict[Any, Any] = {bool: bool, int: Integral, float: Real, str: (str, PathLike), NoneType: NoneType}
"""What is taken for the types of options: numbers may be NumPy's, and text a path."""
WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", NoneType: "None"}
"""What the types of options are called."""


@dataclass(frozen=True, slots=True)
class Option:
    """What is known of one option: `low` and `high` bound it (inclusive), `unit` names what it counts.

    `choices` go from the cheapest to the dearest where one costs more than another. Where `step` is not 0, only what is
    whole steps from `low`, or from 0, is taken: odd numbers are `low=1, step=2`.
    """

    help: str
    low: float | None = None
    high: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()
    step: int = 0

    def range_text(self) -> str:
        """The allowed values in words: `0..2`, `at least 1`, `3..15 in steps of 2`, `a|b`, or nothing."""
        if self.choices:
            return "|".join(self.choices)
        steps = f"in steps of {self.step}" if self.step else ""
        return " ".join(text for text in (self._bounds(), steps) if text)

    def _bounds(self) -> str:
        if self.low is not None and self.high is not None:
            return f"{self.low:g}..{self.high:g}"
        if self.low is not None:
            return f"at least {self.low:g}"
        return f"at most {self.high:g}" if self.high is not None else ""


def option(
    default: Any = dataclasses.MISSING,
    *,
    help: str,
    low: float | None = None,
    high: float | None = None,
    unit: str = "",
    choices: tuple[str, ...] = (),
    step: int = 0,
) -> Any:
    """A field of a filter. `help` says what raising the value does; without a default the option is required."""
    described = Option(help=help, low=low, high=high, unit=unit, choices=choices, step=step)
    return dataclasses.field(default=default, metadata={"option": described})


def describe(field: dataclasses.Field[Any]) -> Option:
    """The `Option` of a dataclass field.

    Raises:
        UsageError: the field was not made with `option()`.
    """
    described = field.metadata.get("option")
    if not isinstance(described, Option):
        raise UsageError(
            f"the field {field.name!r} of a filter is no option; write {field.name} = option(..., help=...)"
        )
    return described


def kinds(annotation: Any) -> tuple[Any, ...]:
    """The types that an annotation allows: those of a union, or itself."""
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if union else (annotation,)


def called(kind: Any) -> str:
    """A type of an option in words, `Literal` by its choices."""
    if typing.get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, typing.get_args(kind)))}"
    return WORDS.get(kind, getattr(kind, "__name__", str(kind)))


def check(owner: str, name: str, value: Any, annotation: Any, described: Option) -> None:
    """Hold one value against its option.

    Raises:
        UsageError: of another type, out of range, not finite, or none of the choices.
    """
    allowed = kinds(annotation)
    if not any(_is_of(value, kind) for kind in allowed):
        words = " or ".join(map(called, allowed))
        raise UsageError(f"{owner}: {name}={value!r} is of type {type(value).__name__}; it takes {words}")
    if value is None or is_switch(value):
        return
    if described.choices and value not in described.choices:
        raise UsageError(f"{owner}: {name}={value!r} is not one of {', '.join(described.choices)}")
    if isinstance(value, Real):
        _check_range(f"{owner}: {name}", value, described)


def _check_range(what: str, value: Any, described: Option) -> None:
    below = described.low is not None and value < described.low
    above = described.high is not None and value > described.high
    between = described.step and (value - (described.low or 0)) % described.step
    if below or above or between or value != value or abs(value) == math.inf:
        unit = f" {described.unit}" if described.unit else ""
        shown = value if isinstance(value, Integral) else f"{float(value):g}"
        raise UsageError(
            f"{what}={shown} is out of range; it takes {described.range_text() or 'numbers'}{unit}"
        )


def convert(what: str, text: str, annotation: Any) -> Any:
    """One option's text as the first type of its field that can hold it; as text where that is no class.

    Raises:
        UsageError: the text is no such value.
    """
    allowed = kinds(annotation)
    if NoneType in allowed and text.lower() in ("none", "auto"):
        return None
    wanted = [kind for kind in allowed if kind is not NoneType]
    for kind in wanted:
        with suppress(Exception):  # it may be anyone's class
            return _as(kind, text)
    raise UsageError(f"{what}={text!r} is not {' or '.join(map(_called, wanted))}")


def _as(kind: Any, text: str) -> Any:
    if kind is bool:
        return _switch(text.lower())
    if typing.get_origin(kind) is Literal:
        return _choice(typing.get_args(kind), text)
    return kind(text) if isinstance(kind, type) and kind is not Any else text


def _switch(word: str) -> bool:
    if word not in ("1", "yes", "true", "on", "0", "no", "false", "off"):
        raise ValueError(word)
    return word in ("1", "yes", "true", "on")


def _choice(choices: tuple[Any, ...], text: str) -> Any:
    for choice in choices:
        if text in (str(choice), _text(choice)):
            return choice
    raise ValueError(text)


def _called(kind: Any) -> str:
    return "yes or no" if kind is bool else called(kind)


def quote(value: Any) -> str:
    """A value as command-line text, in quotes where it holds a separator."""
    text = _text(value)
    if not re.search(r"[,:'\"\\\s]", text):
        return text
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if is_switch(value):
        return "yes" if value else "no"
    # Fractions too are written as `convert` reads them.
    return str(float(value) if isinstance(value, Real) and not isinstance(value, Integral) else value)


def check_path(name: str, value: object) -> str:
    """What shall be the name of a file, as text.

    Raises:
        UsageError: it is of another type.
    """
    text = fspath(value) if isinstance(value, (str, PathLike)) else None
    if isinstance(text, str):
        return text
    raise UsageError(
        f"{name} is of type {type(value).__name__}; it takes the name of a file as text or pathlib.Path, such as "
        f"'clip.mp4' (for pictures in memory there is vidnoise.opencv.Cleaner)"
    )


def check_kind(name: str, value: object, kind: Any, instead: str) -> None:
    """Hold an argument against its class; `instead` is what to write for it.

    Raises:
        UsageError: it is of another class.
    """
    if not isinstance(value, kind):
        raise UsageError(f"{name} is of type {type(value).__name__}; write {name}={instead}")


def check_callback(name: str, value: object) -> None:
    """Hold what shall be called against what can be.

    Raises:
        UsageError: it cannot, and is not None.
    """
    if value is not None and not callable(value):
        raise UsageError(f"{name}={value!r} cannot be called; give a function, or None")


def is_switch(value: object) -> bool:
    """Whether it is true or false, NumPy's too; while NumPy is not loaded there are none of these."""
    return isinstance(value, (bool, getattr(sys.modules.get("numpy"), "bool_", bool)))


def _is_of(value: object, kind: Any) -> bool:
    """Whether it is of a type; of those that are not in `TYPES`, everything is."""
    if typing.get_origin(kind) is Literal:
        return any(_is_of(value, type(choice)) and value == choice for choice in typing.get_args(kind))
    if is_switch(value):  # which Python takes for a whole number
        return kind is bool or kind not in TYPES
    return isinstance(value, TYPES.get(kind, object))
