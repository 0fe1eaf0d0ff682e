"""Errors meant for the people who use vidnoise: what was asked, what was found, what to do."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

_SWITCHES = ("overwrite", "deinterlace", "assume_progressive")
_VALUES = ("start", "duration", "rate", "device", "precision", "tile", "max_latency")
_OUTPUT = ("codec", "crf", "preset", "pix_fmt", "format")
_ARGUMENTS = {name: f"{name}=True" for name in _SWITCHES}
_ARGUMENTS |= {name: f"{name}=..." for name in _VALUES}
_ARGUMENTS |= {name: f"output=OutputOptions({name}=...)" for name in _OUTPUT}
_ARGUMENTS["encoder_opt"] = "output=OutputOptions(encoder_opts={...})"
"""Options of the command line, with _ for -, as arguments of `vidnoise.run`."""


class VidnoiseError(Exception):
    """Base of every error that vidnoise raises on purpose; its text is a message for the user.

    It spells options as the command line does; what they are in Python stands in a note, which Python prints below it.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        typed = dict.fromkeys(re.findall(r"--[a-z-]+", str(self)))
        names = {word: _ARGUMENTS.get(word[2:].replace("-", "_")) for word in typed}
        if known := [f"{word} is {name}" for word, name in names.items() if name]:
            self.add_note(f"(in Python {', '.join(known)})")


class UsageError(VidnoiseError):
    """The request itself cannot be met as written: a wrong option, value, filter or path."""


class InputError(VidnoiseError):
    """The input cannot be opened or holds nothing that can be cleaned."""


class OutputError(VidnoiseError):
    """The output cannot be written: encoder, container, permissions or space."""


def missing_folder(folder: Path) -> OutputError:
    """What to say of an output's folder that is not there, or none."""
    if folder.exists():
        return OutputError(f"{folder} is a file, not a folder; give the output another name")
    return OutputError(
        f"the folder {folder} does not exist; make it with: mkdir -p {shlex.quote(str(folder))}"
    )


class DeviceError(VidnoiseError):
    """The requested device or precision is not available on this machine."""


class FilterError(VidnoiseError):
    """A filter failed while processing, or was used after a failure without `reset()`."""


def did_you_mean(word: str, known: Iterable[str], otherwise: str, cutoff: float = 0.6) -> str:
    """What to say of a name that does not exist: the nearest of those that do, or something else where none is near."""
    near = difflib.get_close_matches(word, known, 1, cutoff)
    return f"did you mean {near[0]!r}?" if near else otherwise


def class_and_text(failure: BaseException) -> str:
    """A failure that was not raised on purpose, as `KeyError: 'size'`; its class alone where it has no text."""
    return f"{type(failure).__name__}: {failure}" if str(failure) else type(failure).__name__


TOO_LITTLE_MEMORY = (
    "the memory does not suffice for frames of this size; process them in tiles: add --tile 512 (in Python tile=512), "
    "or a smaller number"
)


def is_out_of_memory(failure: BaseException) -> bool:
    """Whether memory did not suffice; torch has a class for the GPU's but raises a plain RuntimeError for the system's."""
    words = ("can't allocate memory", "out of memory", "not enough memory")
    return isinstance(failure, MemoryError) or (
        isinstance(failure, RuntimeError) and any(word in str(failure) for word in words)
    )
