"""What an output of a camera is: a server, a receiver, a folder of HLS, a recording in pieces, or one file."""

from __future__ import annotations

import calendar
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from vidnoise.errors import OutputError, UsageError
from vidnoise.io.protocols import check_slashes, check_url, mask
from vidnoise.live.secrets import fill
from vidnoise.live.units import amount, seconds

Kind = Literal["network", "file", "hls", "segments"]

FRAGMENTED = {
    "movflags": "+empty_moov+default_base_moof+frag_keyframe",
    "frag_duration": "500000",
    "flush_packets": "1",
}
"""MP4 in pieces of half a second, each whole in itself: a recording that is cut off plays up to its last piece."""

SERVERS = {
    "rtsp": ("rtsp", {"rtsp_transport": "tcp"}),
    "rtsps": ("rtsp", {"rtsp_transport": "tcp"}),
    "rtmp": ("flv", {"flvflags": "no_duration_filesize"}),
    "rtmps": ("flv", {"flvflags": "no_duration_filesize"}),
    "udp": ("mpegts", {"pkt_size": "1316", "mpegts_flags": "resend_headers", "omit_video_pes_length": "0"}),
    "tcp": ("mpegts", {"omit_video_pes_length": "0"}),
}
"""Schemes of network outputs, with FFmpeg's format for each and its options."""

IN_TIME = {
    "mp4": FRAGMENTED,
    "mov": FRAGMENTED,
    "matroska": {"cluster_time_limit": "500", "flush_packets": "1"},
    "mpegts": {"flush_packets": "1"},
}
"""Options by which what is recorded is in the file within half a second."""

FILES = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".ts": "mpegts"}
"""Endings of files that can be written without an end in sight."""

WIDTHS = {**dict.fromkeys("CdegHIklmMSUVWy", 2), **dict.fromkeys("uw", 1), "j": 3, "Y": 4, "G": 4}
"""Digits of the numbers that may stand in a name, by their letter: `%H` and the like."""

NAMES: Mapping[str, Sequence[str]] = {
    "a": [*calendar.day_abbr],
    "A": [*calendar.day_name],
    "b": [*calendar.month_abbr],
    "h": [*calendar.month_abbr],
    "B": [*calendar.month_name],
    "p": ("AM", "PM"),
    "P": ("AM", "PM"),
}
"""Words that may stand there."""

OTHERS = {"s": r"\d+", "F": r"\d{4}-\d\d-\d\d", "R": r"\d\d:\d\d", "T": r"\d\d:\d\d:\d\d", "%": "%"}
"""What else may."""

LETTER = re.compile(r"%([-_0^#]?.)")
"""`%Y`, `%-H` and the like in a name."""


def stands_for(letter: str) -> str:
    """The regular expression of what `Y`, `-H` and the like stand for; empty where none is known.

    It is no wider than it must be: names beside a recording look like its own, as `cam15.mp4` like a piece of `cam1%H.mp4`.
    """
    flag, letter = letter[:-1], letter[-1]
    if letter in NAMES:
        return f"(?i:{'|'.join(re.escape(name) for name in NAMES[letter] if name)})"
    if letter not in WIDTHS:
        return OTHERS.get(letter, "")
    width = WIDTHS[letter]
    if flag == "-":
        return rf"\d{{1,{width}}}"
    if flag == "_" or (letter in "ekl" and not flag):
        return rf"[ \d]{{{width - 1}}}\d"
    return rf"\d{{{width}}}"


@dataclass(frozen=True)
class Destination:
    """An output, resolved: what FFmpeg has to open, and how.

    `url` may hold a password, or until it is `filled` where that is; `name` is for people and holds none. `segment` is
    the length of a piece in seconds; `keep_seconds` and `keep_bytes` bound what older pieces may stay, None for all.
    A file that exists is replaced where `overwrite` says so; otherwise the recording goes on in a name with a number.
    """

    kind: Kind
    url: str
    name: str
    format: str
    options: dict[str, str] = field(default_factory=dict)
    segment: float = 0.0
    keep_seconds: float | None = None
    keep_bytes: int | None = None
    overwrite: bool = False

    @property
    def where(self) -> str:
        """Equal for two that would write to the same place."""
        return self.url if self.kind == "network" else os.path.realpath(self.url)


def resolve(
    text: str, *, segment: str | None = None, keep: str | None = None, overwrite: bool = False
) -> Destination:
    """What `-o TEXT` means; nothing is made or looked up yet.

    Args:
        text: a URL, a folder or `.m3u8` file for HLS, a name with `%H` and the like for pieces, or a file.
        segment: the length of a piece, such as `10m`.
        keep: how long or how much of the pieces stays: `7d` or `50GB`.
        overwrite: whether a file that exists may be replaced.

    Raises:
        UsageError: no such output, or the options do not fit it.
    """
    if not text:  # as of a variable that is not set; it would be the current folder
        raise UsageError("the name of the output is empty; give a URL, a file, or a folder that ends in /")
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.\-]*)://", text)
    if scheme and scheme[1].lower() != "file":
        return _network(text, scheme[1].lower())
    check_slashes(text)
    # No shell has seen what stands in a file or in quotes.
    path = os.path.expanduser(text.removeprefix("file://"))
    if text == "-":
        raise UsageError("a camera cannot be written to the standard output; give a file, a folder or a URL")
    if "%" in path:
        return _segments(path, segment, keep)
    if path.endswith(("/", ".m3u8")) or Path(path).is_dir():
        return _hls(path)
    format = _format(path)
    return Destination("file", path, path, format, dict(IN_TIME[format]), overwrite=overwrite)


def filled(place: Destination) -> Destination:
    """The same with the password of now in the URL.

    Raises:
        UsageError: there is no such password.
    """
    return replace(place, url=fill(place.url)) if place.kind == "network" else place


def prepare(place: Destination) -> None:
    """Make its folder.

    Raises:
        UsageError: there is no password for it.
        OutputError: the folder cannot be made.
    """
    if filled(place).kind == "network":
        return
    folder = Path(place.url.split("%")[0] + "x").parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise OutputError(f"the folder {folder} cannot be made: {failure.strerror}") from failure


def _network(text: str, scheme: str) -> Destination:
    check_url(text)
    if scheme == "srt":
        raise UsageError(
            f"{mask(text)}: SRT is not in the FFmpeg that PyAV brings; use rtsp://, rtmp:// or udp:// instead"
        )
    if scheme not in SERVERS:
        raise UsageError(
            f"{mask(text)}: {scheme}:// cannot be written to; use {', '.join(SERVERS)}, or a file"
        )
    format, options = SERVERS[scheme]
    return Destination("network", text, mask(text), format, dict(options))


def _segments(path: str, segment: str | None, keep: str | None) -> Destination:
    if segment is None:
        raise UsageError(f"{path} is a name for pieces; say how long each is: --segment 10m")
    format = _format(path)
    unknown = [letter for letter in LETTER.findall(path) if not stands_for(letter)] if keep else []
    if unknown:
        raise UsageError(
            f"{path}: --keep does not find pieces by %{unknown[0]}; write for example %Y-%m-%d_%H-%M-%S"
        )
    if keep and keep.strip()[-1:].isdigit():
        raise UsageError(f"--keep {keep}: say of what, as in {keep.strip()}d or {keep.strip()}GB")
    by_size = keep is not None and keep.strip()[-1:] in "bB"
    return Destination(
        "segments",
        path,
        path,
        format,
        dict(IN_TIME[format]),
        segment=seconds(segment),
        keep_seconds=seconds(keep) if keep and not by_size else None,
        keep_bytes=amount(keep) if keep and by_size else None,
    )


def _hls(path: str) -> Destination:
    playlist = Path(path) if path.endswith(".m3u8") else Path(path) / "index.m3u8"
    options = {
        "hls_time": "2",
        "hls_list_size": "6",
        # No end is written: players would leave at once, and a camera may be started again.
        "hls_flags": "delete_segments+temp_file+program_date_time+discont_start+omit_endlist",
        # Numbers go on after a restart, so that no player takes a new piece for an old one; its times may begin anew.
        "hls_start_number_source": "epoch",
    }
    return Destination("hls", str(playlist), str(playlist), "hls", options)


def _format(path: str) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in FILES:
        raise UsageError(
            f"{path}: a camera is recorded as {', '.join(FILES)}, not as {suffix or 'a name without an ending'}; "
            f"for HLS give a folder that ends in /, or a name that ends in .m3u8"
        )
    return FILES[suffix]
