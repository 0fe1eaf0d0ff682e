"""Failures of FFmpeg and the system, in words."""

from __future__ import annotations

PATIENCE = 60.0
"""Seconds for which a server may send nothing."""


def reason(failure: BaseException) -> str:
    """Why something failed."""
    import av

    if isinstance(failure, av.error.ExitError):
        return f"nothing has come for {PATIENCE:g} s"
    return str(getattr(failure, "strerror", "") or failure)


def reason_and_log(failure: BaseException) -> str:
    """The same with FFmpeg's last word on it."""
    log = getattr(failure, "log", None)
    return ": ".join(part for part in (reason(failure), str(log[-1]).strip() if log else "") if part)
