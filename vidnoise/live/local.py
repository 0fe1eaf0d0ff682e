"""Local cameras (`/dev/video0`): why one cannot be opened, and what to do about it."""

from __future__ import annotations

import errno
from pathlib import Path

BUSY = "another program uses it; `fuser {path}` says which, and a camera serves one at a time"
RIGHTS = "this user may not open it; `sudo usermod -aG video $USER`, and log in again"
NO_CAMERA = "it gives no pictures: a camera often has several devices, of which the first is the right one; here: {present}"
MISSING = "there is no such camera; here: {present}"

REASONS = {
    errno.EBUSY: BUSY,
    errno.EACCES: RIGHTS,
    errno.EPERM: RIGHTS,
    errno.ENOTTY: NO_CAMERA,
    errno.EINVAL: NO_CAMERA,
    errno.ENODEV: MISSING,
    errno.ENOENT: MISSING,
    errno.ENXIO: MISSING,
}


def why(failure: BaseException, path: str, devices: Path = Path("/dev")) -> str | None:
    """The failure in words, None for one that says nothing of local cameras."""
    words = REASONS.get(getattr(failure, "errno", None) or 0)
    present = ", ".join(sorted(str(device) for device in devices.glob("video*"))) or "none"
    return words and words.format(path=path, present=present)
