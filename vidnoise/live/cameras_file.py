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

import dataclasses
import difflib
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vidnoise.chain import Chain
from vidnoise.errors import UsageError, VidnoiseError
from vidnoise.live.settings import Settings
from vidnoise.live.units import box, seconds

SPANS = ("timeout", "max_backoff", "max_delay", "duration")


def load(path: Path) -> dict[str, Settings]:
    """The cameras of a file by name. Unlike a camera on the command line, each waits until it can be opened.

    Raises:
        UsageError: the file cannot be read, or something in it is not as it should be; the text says where.
    """
    try:
        content = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError) as failure:
        raise UsageError(f"{path} cannot be read: {getattr(failure, 'strerror', '') or failure}") from failure
    except tomllib.TOMLDecodeError as failure:
        raise UsageError(f"{path} is no TOML: {failure}") from failure
    unknown = set(content) - {"defaults", "cameras"}
    cameras = content.get("cameras", {})
    if unknown or not cameras or not isinstance(cameras, dict):
        found = f", not {sorted(unknown)[0]!r}" if unknown else ""
        raise UsageError(f"{path} holds [defaults] and one [cameras.NAME] for each camera{found}")
    defaults = content.get("defaults", {})
    made = {
        name: _camera(f"{path}, [cameras.{name}]", name, {**defaults, **own}) for name, own in cameras.items()
    }
    _keep_apart(path, made)
    return made


def _keep_apart(path: Path, cameras: dict[str, Settings]) -> None:
    """Refuse two cameras that would write to the same place."""
    known: dict[str, str] = {}
    for name, settings in cameras.items():
        for place in settings.places():
            other = known.setdefault(place.where, name)
            if other != name:
                raise UsageError(
                    f"{path}, [cameras.{name}]: the output {place.name} is that of [cameras.{other}] too; "
                    f"each writes to a place of its own"
                )


def _camera(where: str, name: str, given: dict[str, Any]) -> Settings:
    fields = {field.name for field in dataclasses.fields(Settings)} - {"name"}
    for key in given:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, 1)
            raise UsageError(f"{where}: there is no key {key!r}; " + (f"did you mean {near[0]!r}?" if near else
                             f"there are {', '.join(sorted(fields))}"))  # fmt: skip
    for key in ("source", "outputs"):
        if key not in given:
            raise UsageError(f"{where}: {key} is missing")
    values: dict[str, Any] = {"wait": True, "filters": "denoise:ahead=0"} | given
    try:
        made = {key: _READ.get(key, lambda value: value)(value) for key, value in values.items()}
        return Settings(**made, name=name)
    except (VidnoiseError, TypeError, ValueError) as failure:
        raise UsageError(f"{where}: {failure}") from failure


def _words(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _boxes(value: Any) -> tuple[tuple[int, ...], ...]:
    return tuple(map(box, value))


def _span(value: Any) -> float:
    return seconds(str(value))


_READ: dict[str, Callable[[Any], Any]] = {
    "filters": Chain.of,
    "outputs": _words,
    "roi": box,
    "ignore": _boxes,
    **dict.fromkeys(SPANS, _span),
}
