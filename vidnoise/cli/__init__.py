"""The command line: `vidnoise INPUT -o OUTPUT`, and a handful of commands beside it.

Nothing here imports PyTorch, PyAV or OpenCV before a command needs them, so that help comes at once.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Sequence


def main(args: Sequence[str] | None = None) -> None:
    """Run the command `vidnoise` and leave the process with its exit status.

    0: all is well. 1: nothing was written. 2: the request was wrong. 3: saved, but the input had losses.
    130: interrupted. 141: whatever read the output has ended.
    """
    if args is None and [word for word in sys.argv[1:] if word != "--debug"][:1] == ["watch"]:
        # It asks for its file to be read again, which has not been read yet, while what runs the command is imported.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from vidnoise.cli.errors import guarded
    from vidnoise.cli.heap import one_heap
    from vidnoise.cli.root import root

    one_heap()
    _stand_in()
    _show_all()
    words = list(sys.argv[1:] if args is None else args)
    sys.exit(guarded(lambda: root.main(words, prog_name="vidnoise", standalone_mode=False), words))


def _stand_in() -> None:
    """Let what is printed go nowhere where a standard stream was closed from the start, as by some schedulers."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  # for as long as the process lives


def _show_all() -> None:
    """Let the standard output have `?` for what it cannot encode: not every terminal and pipe knows a diagram's bars."""
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper) and (out.encoding, out.errors) != ("utf-8", "surrogateescape"):
        out.reconfigure(errors="replace")
