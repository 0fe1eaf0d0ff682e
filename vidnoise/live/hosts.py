"""Hosts that have no address, and addresses that are none, which FFmpeg has no words for."""

from __future__ import annotations

import errno
import socket
from urllib.parse import urlsplit

NO_ADDRESS = (
    "this is no address; check host and port, and write special characters of a password as % and two digits"
)


def unknown(failure: BaseException, url: str) -> str | None:
    """The failure to open a URL in words, None for one that its host is not to blame for."""
    number = getattr(failure, "errno", None)
    if "://" not in url or number not in (errno.EIO, errno.EINVAL):
        return None
    try:
        place = urlsplit(url)
        host, _ = place.hostname, place.port
        if host and number == errno.EIO:
            socket.getaddrinfo(host, None)
    except socket.gaierror as lookup:
        if lookup.errno == socket.EAI_AGAIN:
            return f"the name of the host {host} cannot be looked up now; check the network"
        return f"the host {host} is not known; check its name"
    except ValueError:
        return NO_ADDRESS
    return None
