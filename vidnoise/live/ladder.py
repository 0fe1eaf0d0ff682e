"""Cheaper and cheaper chains of filters, for a machine that cannot keep up."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

from vidnoise.chain import Chain
from vidnoise.filter import Filter, hints
from vidnoise.options import describe


def ladder(chain: Chain) -> tuple[Chain, ...]:
    """The chain as asked for, then cheaper ones, at the end none at all."""
    rungs = [chain]
    while (cheaper := _cheaper(rungs[-1])) is not None:
        rungs.append(cheaper)
    return (*rungs, Chain()) if rungs[-1].filters else tuple(rungs)


def _cheaper(chain: Chain) -> Chain | None:
    """The next step down: no look-ahead, then less quality."""
    for step in (_nearer, _coarser):
        filters = tuple(step(filter) for filter in chain.filters)
        if filters != chain.filters:
            return Chain(filters)
    return None


def _nearer(filter: Filter) -> Filter:
    ahead: Any = _options(filter).get("ahead")
    return _with(filter, ahead=0) if isinstance(ahead, int) and ahead > 0 else filter


def _coarser(filter: Filter) -> Filter:
    quality = _options(filter).get("quality")
    known = next((describe(f).choices for f in dataclasses.fields(filter) if f.name == "quality"), ())
    choices = known or get_args(hints(type(filter)).get("quality"))  # of a Literal
    if quality not in choices[1:]:
        return filter
    return _with(filter, quality=choices[choices.index(quality) - 1])


def _with(filter: Filter, **changes: Any) -> Filter:
    return dataclasses.replace(filter, **changes)


def _options(filter: Filter) -> dict[str, Any]:
    return {field.name: getattr(filter, field.name) for field in dataclasses.fields(filter)}
