"""Which filters there are: entry points to names, in the group `vidnoise.filters`.

An entry point names a module; the filters are the `Filter` classes listed in its `__all__`. An entry point may also
name a `Filter` class itself.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from vidnoise.errors import UsageError, class_and_text, did_you_mean
from vidnoise.filter import Filter

GROUP = "vidnoise.filters"

F = TypeVar("F", bound=Filter)

_registered: dict[str, type[Filter]] = {}
_loading = False


def register(filter: type[F]) -> type[F]:
    """Make a filter known by its name in this process; works as a decorator.

    A class of the same module and qualified name, such as a notebook's cell that is run again, takes the place of the
    old one.

    Raises:
        UsageError: it is no class of filters, the name cannot be typed or is an option, another filter has it, which
            keeps it, or a method is missing.
    """
    if not (isinstance(filter, type) and issubclass(filter, Filter)):
        raise UsageError(
            f"register() takes a class of filters, as @vidnoise.register above it; this is {filter!r}"
        )
    # A plugin may call this while it is imported, when its package has not got all its filters yet.
    own = _package(filter.__module__)
    others = [] if _loading else [point for point in _plugins() if _package(point.module) != own]
    loaded = [other for point in others for other in _loadable(point)]
    for other in (*loaded, *_registered.values()):
        _add({other.name: other}, filter, "register()")
    _registered[filter.name] = filter
    filters.cache_clear()
    return filter


@cache
def filters() -> Mapping[str, type[Filter]]:
    """Every filter by name: built-in, from plugins and registered.

    Raises:
        UsageError: two filters have one name, one cannot be typed, or a plugin cannot be imported.
    """
    return _known(_plugins())


def find(name: str) -> type[Filter]:
    """The filter of that name.

    Raises:
        UsageError: there is none, where the message names the nearest, or several; or some plugin is broken, and none of
            the others gives it.
    """
    try:
        known = filters()
    except UsageError:
        loaded = [filter for point in _plugins() for filter in _loadable(point)]
        having = {f for f in (*loaded, *_registered.values()) if f.name == name and not f.undefined()}
        if len(having) != 1:
            raise
        return having.pop()
    if name in known:
        return known[name]
    if "|" in name:
        raise UsageError(
            f"no filter is called {name!r}; filters in text are apart by commas: {name.replace('|', ',')}"
        )
    hint = did_you_mean(name, known, f"there are: {', '.join(sorted(known))}")
    raise UsageError(f"no filter is called {name!r}; {hint} (vidnoise filters lists them)")


def _plugins() -> list[EntryPoint]:
    """The built-in filters' entry point, and the others by name."""
    return sorted(entry_points(group=GROUP), key=lambda point: (point.name != "builtin", point.name))


def _known(points: Iterable[EntryPoint]) -> dict[str, type[Filter]]:
    """The filters of these entry points, and the registered ones."""
    found: dict[str, type[Filter]] = {}
    with _marked_as_loading():
        for point in points:
            for filter in _load(point):
                _add(found, filter, f"plugin {point.name!r}")
    for filter in _registered.values():
        _add(found, filter, "register()")
    return found


@contextmanager
def _marked_as_loading() -> Iterator[None]:
    """Meanwhile `register` loads no plugins: one may be half imported. Whoever loads them checks the whole afterwards."""
    global _loading
    before, _loading = _loading, True
    try:
        yield
    finally:
        _loading = before


def _package(module: str) -> str:
    return module.partition(".")[0]


def _loadable(point: EntryPoint) -> list[type[Filter]]:
    """Its filters; none where it cannot be imported now, being broken or importing what is being imported."""
    try:
        with _marked_as_loading():
            return _load(point)
    except UsageError:
        return []


def _load(point: EntryPoint) -> list[type[Filter]]:
    try:
        loaded = point.load()
        named = [getattr(loaded, name) for name in getattr(loaded, "__all__", [])]
    except (Exception, SystemExit) as failure:
        raise UsageError(
            f"the filter plugin {point.name!r} ({point.value}) cannot be imported: {class_and_text(failure)}; "
            f"mend it or uninstall its package"
        ) from failure
    items = [item for item in named or [loaded] if isinstance(item, type) and issubclass(item, Filter)]
    if not items and not any(
        _package(filter.__module__) == _package(point.module) for filter in _registered.values()
    ):
        raise UsageError(
            f"the filter plugin {point.name!r} ({point.value}) gives no filter; name its classes in __all__ of "
            f"{point.module}, or uninstall its package"
        )
    return [item for item in items if _package(item.__module__) != "vidnoise"]  # what it builds upon


def _add(known: dict[str, type[Filter]], filter: type[Filter], origin: str) -> None:
    if missing := filter.undefined():
        raise UsageError(
            f"the filter {filter.__module__}.{filter.__qualname__} (from {origin}) must define {missing}()"
        )
    if any(field.name == "name" for field in dataclasses.fields(filter)):
        raise UsageError(
            f"the filter {filter.__module__}.{filter.__qualname__} (from {origin}) has an option 'name', which is what "
            f"filters are called by; rename the option"
        )
    typed = isinstance(filter.name, str) and re.fullmatch(r"\w[\w-]*", filter.name)
    if not typed or filter.name == "none":
        raise UsageError(
            f"the filter {filter.__module__}.{filter.__qualname__} (from {origin}) is called {filter.name!r}, which cannot "
            f"be typed; let its name be letters, digits, - and _, and not 'none'"
        )
    other = known.get(filter.name)
    if other is not None and (other.__module__, other.__qualname__) != (
        filter.__module__,
        filter.__qualname__,
    ):
        raise UsageError(
            f"two filters are called {filter.name!r}: {other.__module__}.{other.__qualname__} and "
            f"{filter.__module__}.{filter.__qualname__} (from {origin}); uninstall or rename one"
        )
    known[filter.name] = filter
