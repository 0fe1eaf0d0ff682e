"""`cameras.toml`: several cameras, what they share, and where they differ.

    [defaults]
    filters = "denoise"
    max_delay = "500ms"

    [cameras.door]
    source = "rtsp://me:{env:DOOR_PASSWORD}@door/stream"
    outputs = ["rtsp://server/door", "door/%Y-%m-%d_%H-%M-%S.mp4"]
    segment = "10m"
    keep = "7d"

The keys are the fields of `vidnoise.live.settings.Settings`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, get_type_hints

from vidnoise.chain import Chain
from vidnoise.errors import UsageError, VidnoiseError, did_you_mean
from vidnoise.io.protocols import mask
from vidnoise.live.settings import Box, Settings, Span
from vidnoise.live.units import box, seconds
from vidnoise.options import kinds


def load(path: Path) -> dict[str, Settings]:
    """The cameras of a file by name. Unlike a camera on the command line, each waits until it can be opened.

    Raises:
        UsageError: the file cannot be read, or something in it is not as it should be; the text says where.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8-sig"))  # some editors begin a file with a mark
    except (OSError, UnicodeDecodeError) as failure:
        raise UsageError(f"{path} cannot be read: {getattr(failure, 'strerror', '') or failure}") from failure
    except tomllib.TOMLDecodeError as failure:
        raise UsageError(f"{path} is no TOML: {failure}") from failure
    unknown = set(content) - {"defaults", "cameras"}
    cameras, defaults = content.get("cameras", {}), content.get("defaults", {})
    if unknown or not cameras or not _are_tables(cameras, defaults):
        found = f", not {sorted(unknown)[0]!r}" if unknown else ""
        raise UsageError(f"{path} holds [defaults] and one [cameras.NAME] for each camera{found}")
    made = {
        name: _camera(f"{path}, [cameras.{name}]", name, {**defaults, **own}) for name, own in cameras.items()
    }
    _keep_apart(path, made)
    return made


def _are_tables(cameras: Any, defaults: Any) -> bool:
    return isinstance(cameras, dict) and all(isinstance(part, dict) for part in (defaults, *cameras.values()))


def _keep_apart(path: Path, cameras: dict[str, Settings]) -> None:
    """Refuse two cameras that would write to the same place, or take from each other what comes through one pipe."""
    known: dict[str, str] = {}
    piped = [name for name, settings in cameras.items() if settings.source == "-"]
    if len(piped) > 1:
        raise UsageError(
            f"{path}, [cameras.{piped[1]}]: the pipe (-) is the source of [cameras.{piped[0]}] already"
        )
    for name, settings in cameras.items():
        for place in settings.places():
            other = known.setdefault(place.where, name)
            if other != name:
                raise UsageError(
                    f"{path}, [cameras.{name}]: the output {place.name} is that of [cameras.{other}] too; "
                    f"each writes to a place of its own"
                )


def _camera(where: str, name: str, given: dict[str, Any]) -> Settings:
    fields = set(_HINTS) - {"name"}
    for key in given:
        if key not in fields:
            hint = did_you_mean(key, fields, f"there are {', '.join(sorted(fields))}")
            raise UsageError(f"{where}: there is no key {key!r}; {hint}")
    for key in ("source", "outputs"):
        if key not in given:
            raise UsageError(f"{where}: {key} is missing")
    values = {"wait": True, "filters": "denoise:ahead=0"} | given
    made = {key: _read(f"{where}: {key}", value, _HINTS[key]) for key, value in values.items()}
    try:
        return Settings(**made, name=name)
    except (UsageError, ValueError) as failure:  # of a name that no file can have
        raise UsageError(f"{where}: {failure}") from failure


def _read(where: str, value: Any, hint: Any) -> Any:
    """A value of the file as the field that has this annotation holds it."""
    words, read = _KINDS[next(kind for kind in kinds(hint) if kind is not NoneType)]
    try:
        return read(value)
    except TypeError:
        raise UsageError(f"{where} takes {words}, not {mask(repr(value))}") from None
    except VidnoiseError as failure:
        raise UsageError(f"{where}: {failure}") from failure


def _exactly(*types: type) -> Callable[[Any], Any]:
    """Gives back what is of these types; true and false are no numbers."""

    def check(value: Any) -> Any:
        if type(value) not in types:
            raise TypeError
        return value

    return check


_number, _text = _exactly(int, float), _exactly(str)


def _span(value: Any) -> float:
    return seconds(value if isinstance(value, str) else str(_number(value)))


def _chain(value: Any) -> Chain:
    return Chain.parse(_text(value))


def _words(value: Any) -> tuple[str, ...]:
    return tuple(map(_text, [value] if isinstance(value, str) else _exactly(list)(value)))


def _table(value: Any) -> dict[str, str]:
    return {key: str(_exactly(str, int, float)(word)) for key, word in _exactly(dict)(value).items()}


def _box(value: Any) -> Box:
    return box(value if isinstance(value, str) else [*map(_exactly(int), _exactly(list)(value))])


def _boxes(value: Any) -> tuple[Box, ...]:
    return tuple(map(_box, _exactly(list)(value)))


_KINDS: dict[Any, tuple[str, Callable[[Any], Any]]] = {
    str: ("text", _text),
    bool: ("true or false", _exactly(bool)),
    int: ("a whole number", _exactly(int)),
    float: ("a number", _number),
    Span: ('a span of time, such as "500ms"', _span),
    Chain: ('filters, such as "denoise,deblur"', _chain),
    tuple[str, ...]: ("text, or a list of texts", _words),
    Mapping[str, str]: ("a table of texts", _table),
    Box: ("x, y, width and height, such as [0, 0, 320, 24]", _box),
    tuple[Box, ...]: ("a list of x, y, width and height, such as [[0, 0, 320, 24]]", _boxes),
}
"""What fields of each annotation take, in words, and how it is read; a TypeError is something else."""

_HINTS = get_type_hints(Settings, include_extras=True)
