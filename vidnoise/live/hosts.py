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
        if host:
            socket.getaddrinfo(host, None)
    except socket.gaierror as lookup:
        if lookup.errno == socket.EAI_AGAIN:
            return f"the name of the host {host} cannot be looked up now; check the network"
        return f"the host {host} is not known; check its name"
    except ValueError:
        return None  # no URL by Python's rules
    return None
