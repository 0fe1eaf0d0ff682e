"""Which inputs may be opened, and what each may open in turn; no secret of a URL in a message.

FFmpeg opens whatever a playlist names, unless it is told otherwise. So every source gets the list of
protocols that it and everything it refers to may use (FFmpeg's `protocol_whitelist`): a remote playlist reads
no local file, a local one nothing from the network. Schemes that join, cut or wrap other sources (`concat:`,
`subfile:`, `data:`) are refused by name, for they hide what is opened. Local paths are handed over as
`file:PATH`, so that no name is taken for a scheme.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vidnoise.errors import UsageError
from vidnoise.io import pipes

WEB = "http,https,httpproxy,tls,tcp,crypto"
"""A web server, and what it serves in pieces (HLS, DASH), encrypted or not."""

ALLOWED = {
    "http": WEB,
    "https": WEB,
    "rtsp": "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https",
    "rtsps": "rtsps,rtp,srtp,udp,tcp,tls,https",
    "rtp": "rtp,srtp,udp",
    "udp": "udp",
    "tcp": "tcp",
    "tls": "tls,tcp",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,tls,tcp",
}
"""Schemes of network sources, and the protocols that a source of each may use."""

PORTLESS = ("udp", "tcp", "rtp")
"""Schemes that have no usual port."""

LOCAL = "file,crypto"
"""A local file, and the local files that it names."""

REFUSED = {
    "concat": "joins files unseen; give one file, or a playlist of your own (.ffconcat)",
    "concatf": "joins files unseen; give one file, or a playlist of your own (.ffconcat)",
    "subfile": "reads a part of another file; use --start and --duration",
    "data": "holds its data in its name; save it as a file",
    "pipe": "reads an open descriptor; type - to read the standard input",
    "fd": "reads an open descriptor; type - to read the standard input",
    "crypto": "wraps another source; decrypt it to a file",
    "async": "wraps another source; give that source",
    "cache": "wraps another source; give that source",
    "srt": "is not in the FFmpeg that PyAV brings; pass it on, ffmpeg -i srt://HOST:PORT -c copy -f mpegts "
    "udp://127.0.0.1:5000, and give udp://127.0.0.1:5000",
}
"""Schemes of FFmpeg that are refused even where no `//` follows, and what to do instead."""

STDIN = "the standard input"
"""What messages call `-`, and `Location.name` with it."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)([:,])(//)?")
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*://)(?P<rest>(?:(?![A-Za-z][A-Za-z0-9+.\-]*://)\S)*)")
_KEY = r"[^=&;\s]*(?:pas|pwd|token|secret|key|sig|auth|user)[^=&;\s]*="
_WORD = r"[^&;#\s'\"]+"
_SECRET = re.compile(rf"(?i)([?&;/_]{_KEY}){_WORD}")
_PARAMETER = re.compile(rf"(?i)([&;]{_KEY}){_WORD}")
# Some cameras take them in the path, where the next name ends one: rtsp://HOST/user=NAME_password=WORD_channel=1.sdp
_IN_PATH = re.compile(rf"(?i)([/_]{_KEY}){_WORD}?(?=[&;#\s'\"]|_\w+=[^=&;#\s'\"]|$)")
_PORT = re.compile(r"\[[^\]]*\](:\d*)?|[^:]*(:\d*)?")


@dataclass(frozen=True)
class Location:
    """What to give to `av.open`: `av.open(url, format=format, options=options)`.

    `kind` is "file" for local files, "stdin", "network", or "camera" for a local capture device; `seekable`
    says whether one may jump in it. `name` is what to call it in messages: it holds no password.
    """

    url: str
    kind: Literal["file", "stdin", "network", "camera"]
    name: str
    seekable: bool = False
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)


def locate(source: str | Path) -> Location:
    """Decide what a source is and what it may open.

    A name under which a file exists is that file, whatever it looks like; a `Path` always is one.

    Raises:
        UsageError: the scheme is not allowed; the message says which are.
    """
    text = str(source)
    if text == "-" and isinstance(source, str):
        return _stdin()
    if re.fullmatch(r"/dev/video\d+", text):
        return Location(text, "camera", text, format="v4l2")
    found = _SCHEME.match(text)
    if found is None or isinstance(source, Path) or os.path.exists(text):
        return _local(text)
    scheme, joint, slashes = found[1].lower(), found[2], found[3]
    if slashes and scheme != "file":
        check_url(text)
    if scheme == "file" and joint == ":":
        path = text[len("file:") :]
        return _local(path.removeprefix("//") if path.startswith("///") else path)
    if scheme in ALLOWED and joint == ":" and slashes:
        url = scheme + text[len(scheme) :]
        return Location(url, "network", mask(text), options={"protocol_whitelist": ALLOWED[scheme]})
    if scheme in REFUSED:
        raise UsageError(f"{mask(text)}: {scheme}: is not allowed as an input, as it {REFUSED[scheme]}")
    if slashes:
        raise UsageError(
            f"{mask(text)}: {scheme}:// is not an allowed protocol; files and these are: "
            + ", ".join(ALLOWED)
        )
    check_slashes(text)
    return _local(text)


def mask(text: str) -> str:
    """The text with the user names, passwords and keys of all URLs in it replaced by `***`."""
    return _URL.sub(lambda url: url["scheme"] + _mask_keys(_mask_user(url["rest"])), text)


def check_url(url: str) -> None:
    """Refuse what can never work: of a URL with spaces FFmpeg, servers and `mask` would each see another part.

    Raises:
        UsageError: it holds spaces, or lacks the port that its scheme has no usual one for.
    """
    filled = re.sub(r"\{[^{}]*\}", "0", url)  # a password, or a port, that stands elsewhere
    if re.search(r"\s", filled):
        raise UsageError(f"{mask_whole(url)}: a URL holds no spaces; write %20 for each")
    scheme, _, rest = filled.partition("://")
    host = re.split("[/?]", rest)[0]
    if scheme.lower() in PORTLESS and not re.search(r":\d+$", host):
        raise UsageError(f"{mask(url)}: say which port, as in {scheme}://HOST:5000")


def check_slashes(text: str) -> None:
    """Refuse `rtsp:/HOST/PATH`, which would be taken for a file, and its password for a part of a name.

    Raises:
        UsageError: it is such a text.
    """
    scheme, _, rest = text.partition(":")
    if rest and scheme.lower() in ALLOWED and not rest.startswith("//"):
        meant = f"{scheme}://{rest.removeprefix('/')}"
        raise UsageError(f"a URL has two slashes before its host: {mask_whole(meant)}")


def mask_whole(url: str) -> str:
    """The same for a text that is a URL as a whole, or a path: spaces do not end its password."""
    return mask(re.sub(r"\s", "%20", url)) if "://" in url else url


def _local(path: str) -> Location:
    options = {"protocol_whitelist": LOCAL}
    return Location(f"file:{path}", "file", path, seekable=not pipes.is_named(path), options=options)


def _stdin() -> Location:
    """A pipe, or a file redirected into it (`< clip.mp4`), in which FFmpeg's fd protocol can jump."""
    try:
        mode = os.fstat(0).st_mode
    except OSError as failure:
        raise UsageError(f"{STDIN} is closed; give a file, or pipe a video into -") from failure
    if stat.S_ISREG(mode):
        return Location("fd:", "stdin", STDIN, seekable=True, options={"protocol_whitelist": "fd", "fd": "0"})
    return Location(pipes.STDIN_URL, "stdin", STDIN, options={"protocol_whitelist": "pipe"})


def _mask_user(rest: str) -> str:
    """`user:pass@host/path` without its user; a password may hold what should end the host, and rather hides too much."""
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in rest and ("@" in host or not _PORT.fullmatch(host)):
        return "***@" + rest[rest.rindex("@") + 1 :]
    return rest


def _mask_keys(rest: str) -> str:
    path, mark, query = rest.partition("?")
    path = _IN_PATH.sub(r"\1***", _PARAMETER.sub(r"\1***", path))
    return path + _SECRET.sub(r"\1***", mark + query)
