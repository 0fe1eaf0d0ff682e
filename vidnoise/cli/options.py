"""Options that several commands share, help in sections, and the kinds of values that people type."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vidnoise.device import DEVICES, PRECISIONS
from vidnoise.errors import UsageError
from vidnoise.live.units import seconds

if TYPE_CHECKING:
    from vidnoise.chain import Chain

F = TypeVar("F", bound=Callable[..., Any])

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
"""A folder that is there."""


class SectionOption(click.Option):
    """An option that is listed under a heading."""

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section

    def get_help_extra(self, ctx: click.Context) -> Any:
        """What click adds in brackets, less the range, which the help texts say in words."""
        extra = super().get_help_extra(ctx)
        extra.pop("range", None)
        return extra


class SectionCommand(click.Command):
    """A command whose help lists its options in sections."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The sections, then what belongs to none."""
        self.write_sections(ctx, formatter)
        rest = [p for p in self.get_params(ctx) if not isinstance(p, SectionOption | click.Argument)]
        with formatter.section("Help"):
            formatter.write_dl([record for p in rest if (record := p.get_help_record(ctx))])

    def write_sections(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each section with its options, in the order of their definition."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.params:
            record = param.get_help_record(ctx)
            if isinstance(param, SectionOption) and record:
                sections.setdefault(param.section, []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def section(title: str) -> Callable[..., Callable[[F], F]]:
    """`click.option` for what is listed under one heading."""
    return partial(click.option, cls=SectionOption, section=title)


where, said = section("Where it runs"), section("What is said")


def together(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Several decorators as one, the first outermost."""
    return lambda command: reduce(lambda made, decorator: decorator(made), reversed(decorators), command)


class Within(click.FloatRange):
    """A number in a range, which `nan` passes in click's."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number from text."""
        number = super().convert(value, param, ctx)
        if number != number:
            self.fail(f"{value!r} is no number", param, ctx)
        return number


class Integer(click.IntRange):
    """A whole number in a range; help and errors name it plainly."""

    name = "integer"


SEED = Integer(0, 2**63 - 1)
"""What NumPy and torch both begin with."""


class Seconds(click.ParamType[float]):
    """A time: seconds (`90`, `1.5`), a clock's (`1:30`, `01:02:03.5`) or with a unit (`10m`)."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds from text."""
        if re.fullmatch(r"(\d+:){0,2}\d+(\.\d*)?|\.\d+", value):
            return sum(float(part) * 60.0**place for place, part in enumerate(reversed(value.split(":"))))
        try:
            return seconds(value, zero=True)
        except UsageError:
            self.fail(f"{value!r} is no time; write seconds (90, 1.5), 10m or h:mm:ss (0:01:30)", param, ctx)


class Rate(click.ParamType[Fraction]):
    """Frames a second: `25`, `29.97` or `30000/1001`."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        """A fraction from text."""
        try:
            rate = Fraction(value)
        except (ValueError, ZeroDivisionError):
            rate = Fraction(0)
        if rate <= 0:
            self.fail(f"{value!r} is no frame rate; write 25, 29.97 or 30000/1001", param, ctx)
        return rate


def key_values(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """`("k=v", ...)` as a dictionary; for click's `callback`."""
    pairs = [value.partition("=") for value in values]
    for key, equals, _ in pairs:
        if not key or not equals:
            raise click.BadParameter(f"{key!r} is not key=value; write for example tune=grain", ctx, param)
    return {key: value for key, _, value in pairs}


def chosen_chain(chosen: dict[str, Any], default: Chain) -> Chain:
    """What `-f` and `--quality` ask for: the default without `-f`, and nothing at all for `none`."""
    from vidnoise.chain import Chain

    texts, quality = chosen["filters"], chosen["quality"]
    chain = Chain.of(*texts) if texts else default
    return chain.with_option("quality", quality) if quality else chain


device_options = together(
    where(
        "--device",
        type=click.Choice(DEVICES),
        default="auto",
        show_default=True,
        help="auto takes an NVIDIA GPU where there is one; `vidnoise devices` explains the choice.",
    ),
    where(
        "--precision",
        type=click.Choice(PRECISIONS),
        default="auto",
        show_default=True,
        help="Arithmetic inside networks; auto takes the fastest that loses nothing visible.",
    ),
)
debug_option = said("--debug", is_flag=True, expose_value=False, help="Print the traceback of an error.")
"""It is looked for in the words themselves, so that it also holds for errors in them."""


def json_option(help: str) -> Callable[[F], F]:
    """`--json`."""
    return said("--json", "as_json", is_flag=True, help=help)
