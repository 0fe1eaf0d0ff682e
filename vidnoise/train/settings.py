"""Tables of a TOML file as dataclasses, whose values are held against the types of their fields and their `option`s."""

from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

from ..errors import UsageError
from ..options import Option, check, describe, option

T = TypeVar("T")

Pair = tuple[float, float]
"""The lowest and the highest of what is drawn; in TOML a list of two numbers."""


def share(default: float | Pair, *, help: str) -> Any:
    """A field from 0 to 1; with a pair as its default, both ends of what is drawn are."""
    return option(default, help=help, low=0, high=1)


def fill(kind: type[T], values: dict[str, Any], where: str) -> T:
    """The dataclass `kind` from a table; fields that are dataclasses are tables in it. `hold` checks the values.

    Raises:
        UsageError: a setting that does not exist or is missing, or a value in place of a table. `where` begins the text.
    """
    known, hints = {f.name: f for f in fields(kind)}, get_type_hints(kind)  # type: ignore[arg-type]
    if unknown := sorted(set(values) - set(known)):
        raise UsageError(f"{where} has no setting {unknown[0]!r}; it has {', '.join(sorted(known))}")
    if missing := [f.name for f in known.values() if _needed(f) and f.name not in values]:
        raise UsageError(f"{where} must say {missing[0]}: {describe(known[missing[0]]).help}")
    return kind(**{key: _read(key, hints[key], value, where) for key, value in values.items()})


def _needed(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _read(name: str, kind: Any, value: Any, where: str) -> Any:
    if not (is_dataclass(kind) and isinstance(kind, type)):
        return tuple(value) if kind == Pair and isinstance(value, list) else value
    if not isinstance(value, dict):
        raise UsageError(f"{where}: {name}={value!r} is no table; begin it with [{name}]")
    return fill(kind, value, f"[{name}] of {where}")


def hold(table: Any, where: str) -> None:
    """Hold each value of a dataclass, and of those in it, against its field.

    Raises:
        UsageError: one is of the wrong type or out of range. `where` begins the text.
    """
    hints = get_type_hints(type(table))
    for field in fields(table):
        kind, value = hints[field.name], getattr(table, field.name)
        if is_dataclass(kind) and isinstance(kind, type):
            if not isinstance(value, kind):
                raise UsageError(f"{where}: {field.name}={value!r} is no {kind.__name__}")
            hold(value, f"[{field.name}] of {where}")
        elif kind == Pair:
            _hold_pair(field.name, value, describe(field), where)
        elif value is not field.default:
            check(where, field.name, value, kind, describe(field))


def _hold_pair(name: str, value: Any, described: Option, where: str) -> None:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise UsageError(f"{where}: {name}={value!r} is not a pair of numbers; write {name} = [LOW, HIGH]")
    for end in value:
        check(where, name, end, float, described)
    low, high = value
    if low > high:
        raise UsageError(
            f"{where}: {name}={value!r} begins with the higher number; write {name} = [{high}, {low}]"
        )
