"""Failures as messages and exit statuses: what was asked, what was found, what to type; no traceback unless asked for."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from itertools import pairwise
from pathlib import Path

import click

from vidnoise.cli.record import ABOUT, emit
from vidnoise.errors import TOO_LITTLE_MEMORY, UsageError, VidnoiseError, class_and_text, is_out_of_memory


class Status(IntEnum):
    """What the command leaves the process with; 141 is how shells report a pipe that nobody reads (128 + SIGPIPE)."""

    WHOLE = 0
    NOTHING = 1
    USAGE = 2
    LOSSES = 3
    INTERRUPTED = 130
    UNREAD = 141


LIBRARIES = {"libGL.so": "libgl1", "libgthread": "libglib2.0-0", "libglib": "libglib2.0-0"}
"""What OpenCV's wheel needs from the system, and the Debian package that has it."""


def guarded(command: Callable[[], object], words: Sequence[str]) -> int:
    """Run a command; print what went wrong, if anything; give the exit status.

    `words` are the command's own words, among which `--debug` asks for tracebacks and `--json` for a line of JSON.
    """
    ABOUT.set({})
    try:
        with _terminated_as_interrupt():
            status = command()
        sys.stdout.flush()
    except BaseException as failure:
        return _report(failure, words)
    return status if isinstance(status, int) else Status.WHOLE


def status_of(failure: BaseException) -> Status:
    """The exit status that a failure means."""
    if isinstance(failure, KeyboardInterrupt | click.Abort):
        return Status.INTERRUPTED
    if isinstance(failure, UsageError | click.UsageError):
        return Status.USAGE
    if _is_broken_pipe(failure):
        return Status.UNREAD
    return Status.NOTHING


def message(failure: BaseException) -> str:
    """A failure in words for the user, in one line and without the passwords of URLs."""
    from vidnoise.io.protocols import mask

    return mask(" ".join(_words(failure).split()))


def _words(failure: BaseException) -> str:
    if isinstance(failure, KeyboardInterrupt | click.Abort):
        # click puts an Abort around it.
        said = next((str(cause) for cause in _causes(failure) if str(cause)), "nothing was saved")
        return f"interrupted; {said}"
    if isinstance(failure, click.ClickException):
        return failure.format_message()
    if hint := _library_hint(failure):
        return hint
    if any(is_out_of_memory(cause) for cause in _causes(failure)):
        return TOO_LITTLE_MEMORY
    if isinstance(failure, VidnoiseError):
        return str(failure)
    if isinstance(failure, OSError):
        return f"{failure.filename}: {failure.strerror}" if failure.filename else str(failure)
    return (
        f"this is a bug in vidnoise: {class_and_text(failure)}{_place(failure)}; "
        f"run it again with --debug and report what that prints"
    )


def _report(failure: BaseException, words: Sequence[str]) -> int:
    if isinstance(failure, click.exceptions.NoArgsIsHelpError):
        click.echo(failure.ctx.get_help() if failure.ctx else "", err=True)
        return Status.USAGE
    if "--json" in words:
        _emit(failure, words)
    if _is_broken_pipe(failure):
        # Whoever read our output has seen enough; Python would complain once more when it flushes at exit.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Status.UNREAD
    if "--debug" in words:
        traceback.print_exception(failure)
    _say(message(failure) + _dashed(failure, words))
    if isinstance(failure, click.UsageError) and failure.ctx is not None:
        command = failure.ctx.command_path.removesuffix(" run")
        click.echo(f"{command} --help explains all options", err=True)
    return status_of(failure)


def _emit(failure: BaseException, words: Sequence[str]) -> None:
    """The line for machines, which goes where no video does."""
    about = ABOUT.get()
    # Where a wrong option has kept the command from knowing its output, the words tell.
    asked = {*words, *map("".join, pairwise(words))}
    piped = about.get("output") == "-" or not asked.isdisjoint(("-o-", "--output-", "--output=-"))
    with contextlib.suppress(OSError):  # of a pipe that nobody reads
        emit({**about, "status": status_of(failure), "error": message(failure)}, to_stderr=piped)


def _say(text: str) -> None:
    """Tell why it ends, as cameras tell what happens where it is one."""
    from vidnoise.live import log

    if log.is_json():
        logging.getLogger(log.NAME).error(text)
    else:
        click.echo(f"vidnoise: {text}", err=True)


def _dashed(failure: BaseException, words: Sequence[str]) -> str:
    """What to type for a file whose name was taken for an option."""
    files = [word for word in words if word.startswith("-") and word != "-" and os.path.exists(word)]
    named = isinstance(failure, click.NoSuchOption) and files
    return f" For the file type ./{files[0]}" if named else ""


@contextlib.contextmanager
def _terminated_as_interrupt() -> Iterator[None]:
    """Requests to end are met like Ctrl-C: temporary files are removed on the way out.

    What the process was started to ignore (`nohup`) stays ignored.
    """

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    # Only the main thread may set handlers; elsewhere the host handles signals.
    mine = threading.current_thread() is threading.main_thread()
    asked = [s for s in (signal.SIGTERM, signal.SIGHUP) if mine and signal.getsignal(s) == signal.SIG_DFL]
    for number in asked:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in asked:
            signal.signal(number, signal.SIG_DFL)


def _causes(failure: BaseException) -> Iterator[BaseException]:
    """A failure and what led to it."""
    current: BaseException | None = failure
    while current is not None:
        yield current
        current = current.__cause__


def _is_broken_pipe(failure: BaseException) -> bool:
    # click leaves the process where a pipe is broken, and for nothing else.
    return isinstance(failure, SystemExit) or any(isinstance(c, BrokenPipeError) for c in _causes(failure))


def _library_hint(failure: BaseException) -> str:
    """What to install where OpenCV's wheel misses a library of the system; empty for other failures."""
    for cause in _causes(failure):
        if not isinstance(cause, ImportError):
            continue
        for library, package in LIBRARIES.items():
            if library in str(cause):
                return (
                    f"OpenCV cannot load ({cause}); install the library (Debian: apt-get install {package}), or use "
                    f"the build that does not need it: pip uninstall opencv-python; pip install opencv-python-headless"
                )
        # A plugin that lacks something is named in the words of the failure itself.
        ours = not isinstance(failure, UsageError) and (cause.name or "").split(".")[0] != "vidnoise"
        if isinstance(cause, ModuleNotFoundError) and ours:
            return f"the Python package {cause.name!r} is missing; install vidnoise again with: pip install vidnoise"
    return ""


def _place(failure: BaseException) -> str:
    frames = traceback.extract_tb(failure.__traceback__)
    return f" (in {Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
