"""The output's place on disk: a temporary file beside the target, renamed when it is whole. A link is followed."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Self

from vidnoise.errors import OutputError, UsageError, missing_folder
from vidnoise.io.containers import DISCS
from vidnoise.io.protocols import STDIN


class Sink(ABC):
    """What frames are written to: finished at the end of a `with`, aborted where that fails."""

    @abstractmethod
    def finish(self) -> None:
        """Write what is left."""

    @abstractmethod
    def abort(self) -> None:
        """Stop; safe to call at any time."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        if failed:
            self.abort()
        else:
            self.finish()


class Target:
    """Where the output will be, and where it is written until it is whole.

    Args:
        path: the final name.
        source: the input's path, which the output may not be.
        overwrite: whether an existing file may be replaced.

    Raises:
        UsageError: the file exists and `overwrite` is false, or it is the input itself.
        OutputError: the folder is missing or not writable, or the target is no regular file.
    """

    codec: str | None = None
    format: str | None = None
    options: Mapping[str, str] = MappingProxyType({})

    def __init__(
        self, path: str | os.PathLike[str], source: str | None = None, *, overwrite: bool = False
    ) -> None:
        self.path = Path(path)
        self.kind = self.path.suffix  # what messages call the container
        if self.kind.lower() in (".mts", ".m2ts"):  # as camcorders and Blu-ray discs have it
            self.options = DISCS
        if self.kind.lower() == ".y4m":
            self.codec, self.options = "rawvideo", {"strict": "-1"}  # which takes more than 8 bits
        if self.kind.lower() == ".apng":
            self.options = {"plays": "0"}  # again and again, as browsers have them
        self._overwrite = overwrite
        self._whole = False
        try:
            self._place = Path(os.path.realpath(path))  # a link stays one
            if str(path).endswith(os.sep):
                raise self._is_folder()
            self._check(source)
        except (OSError, ValueError) as failure:
            reason = getattr(failure, "strerror", failure)
            raise OutputError(f"{path} cannot be written: {reason}") from failure
        name = f".{self.path.stem[:50]}.{secrets.token_hex(4)}.part{self.path.suffix}"
        self.temporary = self._place.parent / name
        self.url = f"file:{self.temporary}"  # so that FFmpeg takes no name with a colon for a protocol
        self._claim()

    def _check(self, source: str | None) -> None:
        path = self.path
        if path.is_dir():
            raise self._is_folder()
        folder = self._place.parent if path.is_symlink() else path.parent
        if not folder.is_dir():
            raise missing_folder(folder)
        if not path.exists():
            return
        if source is not None and _same(path, source):
            raise UsageError(f"{path} is the input itself; give the output another name")
        if not path.is_file():
            raise OutputError(f"{path} is not a regular file; give the name of a new file")
        if not self._overwrite:
            raise UsageError(f"{path} exists; add --overwrite to replace it, or give another name")

    def _is_folder(self) -> OutputError:
        path = self.path
        return OutputError(f"{path} is a folder; give the name of a file in it, such as {path / 'out.mp4'}")

    def _claim(self) -> None:
        try:
            self.temporary.open("xb").close()
        except OSError as failure:
            raise OutputError(f"cannot write in {self.path.parent}: {failure.strerror}") from failure

    def commit(self) -> None:
        """Give the whole file its final name; what was there under `overwrite` is replaced in one step, by one of its mode.

        Raises:
            OutputError: another file has taken the name in the meantime, or the file system refuses; the file is kept
                under its temporary name, and `discard` leaves it.
        """
        self._whole = True
        kept = f"the result is kept as {self.temporary}"
        try:
            if self.path.exists() and not self._overwrite:
                raise OutputError(f"{self.path} has appeared while this ran; {kept}")
            with contextlib.suppress(OSError):  # there is none to replace, or its file system knows none
                shutil.copymode(self._place, self.temporary)
            os.replace(self.temporary, self._place)
        except OSError as failure:
            raise OutputError(
                f"cannot rename the output to {self.path}: {failure.strerror}; {kept}"
            ) from failure

    def discard(self) -> None:
        """Remove the temporary file, if it is there and not whole."""
        if not self._whole:
            with contextlib.suppress(OSError):
                self.temporary.unlink()


def _same(path: Path, source: str) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(0) if source == STDIN else os.stat(source))
    except OSError:
        return False
