"""What commands say to machines: one line of JSON."""

from __future__ import annotations

import json
import sys
from contextvars import ContextVar
from typing import Any

ABOUT: ContextVar[dict[str, Any]] = ContextVar("ABOUT")
"""What a command knows of its job so far, which its line tells where it fails."""


def emit(record: dict[str, Any], *, to_stderr: bool = False) -> None:
    """Print it, on the standard output unless told otherwise."""
    print(json.dumps(record, allow_nan=False), file=sys.stderr if to_stderr else sys.stdout, flush=True)
