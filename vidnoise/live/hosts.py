"""Hosts that have no address, which FFmpeg calls an error of input or output."""

from __future__ import annotations

import errno
import socket
from urllib.parse import urlsplit


def unknown(failure: BaseException, url: str) -> str | None:
    """The failure to open a URL in words, None for one that its host is not to blame for."""
    if "://" not in url or getattr(failure, "errno", None) != errno.EIO:
        return None
    try:
        host = urlsplit(url).hostname
        socket.getaddrinfo(host, None)
    except socket.gaierror:
        return f"the host {host} is not known; check its name"
    except ValueError:
        return None  # no URL by Python's rules
    return None
