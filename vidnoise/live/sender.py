"""The process of one output: `python -m vidnoise.live.sender`, which vidnoise starts for each.

FFmpeg may wait without end for a receiver that does not answer, and PyAV holds the interpreter's lock meanwhile. So
each output has a process of its own, and an alarm clock that ends it when it makes no progress; whoever started it
ends it where that clock stands still as well, and starts another. Pickled objects come in on the standard input: the
destination, the head, the seconds of patience, then packets. Lines of JSON go out: `{"open": true}`,
`{"warning": ...}` and `{"failed": ...}`. It ends with its standard input, and closes its files whichever way the
process that started it has ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO

from vidnoise.errors import OutputError
from vidnoise.io.protocols import mask
from vidnoise.live import hosts
from vidnoise.live.destination import Destination
from vidnoise.live.mux import Muxer
from vidnoise.live.packets import VIDEO, Packet
from vidnoise.live.recording import Recording, free


def main() -> int:
    """Write what comes in until it ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the end of the input is the request to end
    # The answers have the real standard output to themselves; whatever else prints goes to the standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    given = sys.stdin.buffer
    try:
        _send(given, answers)
    except Exception as failure:
        _tell(answers, failed=_why(failure))
        return 1
    return 0


def _send(given: IO[bytes], answers: IO[str]) -> None:
    import av  # noqa: F401  # takes long on a busy machine, and is not the receiver's fault

    place: Destination = pickle.load(given)
    head: bytes = pickle.load(given)
    patience: float = pickle.load(given)

    def warn(text: str) -> None:
        _tell(answers, warning=text)

    with _alarm(patience):
        try:
            sink = _open(place, head, warn)
        except (OSError, ValueError) as failure:
            if words := hosts.unknown(failure, place.url):
                raise OutputError(words) from failure
            raise
    _tell(answers, open=True)
    try:
        while True:
            packet: Packet = pickle.load(given)
            with _alarm(patience):
                if packet.stream == VIDEO and packet.key:
                    _check(place, sink)
                sink.write(packet)
    except EOFError:
        with _alarm(patience):
            sink.close()


def _open(place: Destination, head: bytes, warn: Callable[[str], None]) -> Muxer | Recording:
    if place.kind == "segments":
        return Recording(place, head, warn)
    # A server sees a new stream each time, and a file begins with itself; who receives UDP may have seen what came before.
    zero = None if place.kind == "file" or place.format in ("rtsp", "flv") else Fraction(0)
    url = place.url
    if place.kind != "network":
        Path(url).parent.mkdir(parents=True, exist_ok=True)  # it may have been removed since
    if place.kind == "hls":
        _tidy(Path(url))
    if place.kind == "file" and not place.overwrite:
        url = str(free(Path(url)))
        if url != place.url:
            warn(f"it exists; the recording goes on in {url}")
    return Muxer(url, place.format, place.options, head, warn, zero)


def _check(place: Destination, sink: Muxer | Recording) -> None:
    """Notice what FFmpeg does not tell of: a file that was removed takes all, and a playlist is left empty.

    Raises:
        OutputError: it is so.
    """
    if isinstance(sink, Recording) or place.kind == "network":
        return
    written = Path(sink.url)
    if place.kind == "file" and not written.exists():
        raise OutputError("the file was removed or renamed")
    if place.kind == "hls" and written.exists() and not written.stat().st_size:
        raise OutputError("the playlist cannot be written; the disk may be full")


def _tidy(playlist: Path) -> None:
    """Remove what processes before this one have left of HLS: pieces that players are no longer at, an empty playlist."""
    named = playlist.read_text(errors="replace") if playlist.is_file() else ""
    for piece in (*playlist.parent.glob("*.ts"), *playlist.parent.glob("*.ts.tmp")):
        name = piece.name.removesuffix(".tmp").removesuffix(".ts")
        number = name.removeprefix(playlist.stem)  # which begins with the seconds since 1970
        if number != name and len(number) == 10 and number.isdigit() and piece.name not in named:
            piece.unlink(missing_ok=True)
    if playlist.is_file() and not named:
        playlist.unlink()


@contextlib.contextmanager
def _alarm(patience: float) -> Iterator[None]:
    """Ends the process when the work takes longer; the signal's own action needs no lock of the interpreter."""
    signal.setitimer(signal.ITIMER_REAL, patience)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _tell(answers: IO[str], **what: object) -> None:
    with contextlib.suppress(OSError):
        answers.write(json.dumps(what) + "\n")  # at once, as pieces are removed meanwhile
        answers.flush()


def _why(failure: BaseException) -> str:
    log = getattr(failure, "log", None)
    words = str(getattr(failure, "strerror", "") or failure) or type(failure).__name__
    return mask(f"{words} ({str(log[2]).strip()})" if log else words)


if __name__ == "__main__":
    sys.exit(main())
