"""`vidnoise filters`: what there is to choose from; all of it comes from the filters' own fields."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from types import NoneType
from typing import Any

import click

from vidnoise.cli.options import SectionCommand, debug_option
from vidnoise.filter import Filter, describe, hints
from vidnoise.options import WORDS, called, kinds, quote


@click.command(
    cls=SectionCommand,
    short_help="List the filters, or show one with its options.",
    help="List every filter with its options, or show one whole.\n\n"
    "The options go behind the name: -f fuse:strength=0.8. Filters of installed plugins are among them.",
)
@click.argument("name", required=False)
@debug_option
def filters(name: str | None) -> None:
    """List the filters, or show one."""
    from vidnoise import registry

    if name:
        _show(registry.find(name))
    else:
        _list(registry.filters())


def _list(known: Mapping[str, type[Filter]]) -> None:
    from vidnoise.cli.console import out, table

    rows = table("filter", "what it does", "options, with their defaults")
    for name in sorted(known):
        options = ", ".join(f"{field.name}={_default(field)}" for field in dataclasses.fields(known[name]))
        rows.add_row(name, _summary(known[name]), options or "none")
    out().print(rows)
    out().print(
        "vidnoise filters NAME shows one whole; vidnoise INPUT -o OUTPUT -f NAME:OPTION=VALUE applies it."
    )


def _show(filter: type[Filter]) -> None:
    from vidnoise.cli.console import out, table

    console = out()
    console.print(filter.name, style="bold")
    console.print(f"\n{_flowing(_text(filter))}\n")
    types = hints(filter)
    fields = dataclasses.fields(filter)
    if not fields:
        console.print("It has no options.")
        return
    rows = table("option", "default", "takes", "unit", "effect")
    for field in fields:
        known = describe(field)
        takes = known.range_text() or _kind(types[field.name])
        rows.add_row(field.name, _default(field), takes, known.unit or "-", known.help)
    console.print(rows)
    console.print(f"On the command line: -f {_usage(filter)}")


def _default(field: dataclasses.Field[object]) -> str:
    if field.default is dataclasses.MISSING:
        return "(required)"
    return "auto" if field.default is None else quote(field.default)


def _kind(kind: Any) -> str:
    """The type of an option in words; None among the types is written `auto`."""
    allowed = kinds(kind)
    words = [_typed(k) for k in allowed if k is not NoneType]
    return " or ".join([*words, "auto"] if NoneType in allowed else words)


def _typed(kind: Any) -> str:
    if isinstance(kind, type) and kind not in WORDS:
        return "text"
    return "yes|no" if kind is bool else called(kind).removeprefix("a ")


def _text(filter: type[Filter]) -> str:
    text = filter.__doc__ or ""
    # Dataclasses without one are given their signature.
    return (
        inspect.cleandoc(text if not text.startswith(f"{filter.__name__}(") else "")
        or "It says nothing of itself."
    )


def _flowing(text: str) -> str:
    """Text with each paragraph on one line, for the terminal to break; indented lines are kept."""
    paragraphs = []
    for paragraph in text.split("\n\n"):
        lines = paragraph.split("\n")
        paragraphs.append(paragraph if any(line.startswith(" ") for line in lines) else " ".join(lines))
    return "\n\n".join(paragraphs)


def _summary(filter: type[Filter]) -> str:
    """The first paragraph of its docstring, in one line."""
    return " ".join(_text(filter).split("\n\n")[0].split())


def _usage(filter: type[Filter]) -> str:
    """The filter with all its options, to be copied and changed."""
    fields = dataclasses.fields(filter)
    values = ["..." if field.default is dataclasses.MISSING else _default(field) for field in fields]
    return f"{filter.name}:" + ",".join(f"{f.name}={v}" for f, v in zip(fields, values, strict=True))
