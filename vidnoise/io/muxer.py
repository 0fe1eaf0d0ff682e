"""The container of an output: opened or refused with what to type, written to by several threads."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidnoise.errors import OutputError, UsageError, VidnoiseError
from vidnoise.io import pipes
from vidnoise.io.containers import QUICKTIME
from vidnoise.io.failures import reason_and_log
from vidnoise.io.picture_names import ENCODERS

if TYPE_CHECKING:
    import av
    from av.container import OutputContainer

    from vidnoise.io.target import Target


class Muxer:
    """An opened container, whose failures are the output's.

    Args:
        target: where it lies.
        time_base: of the pictures' times.

    Attributes:
        container: PyAV's.
        name: FFmpeg's name of its kind.

    Raises:
        UsageError: the target's name is that of no container, or of none for one video.
    """

    def __init__(self, target: Target | pipes.StdoutTarget, time_base: Fraction) -> None:
        self._target = target
        self.container = _open(target)
        self.name = self.container.format.name
        self._lock = threading.Lock()
        self._closed = False
        if self.name in QUICKTIME:
            # Edit lists, which carry a late start, are counted in the film's own units: milliseconds unless
            # told.
            unit = time_base.denominator * -(-90_000 // time_base.denominator)
            self.container.container_options["movie_timescale"] = str(min(unit, 2**31 - 1))

    def begin(self) -> None:
        """Write the header, by which some containers find out what they cannot hold."""
        try:
            self.guard(self.container.start_encoding)
        except OutputError as refused:
            if isinstance(refused.__cause__, ValueError):
                raise OutputError(
                    f"{refused}; {self._target.kind} refuses this video or its frame rate, .mkv and .mp4 take all"
                ) from refused
            raise

    def mux(self, packet: av.Packet[Any]) -> None:
        """Write a packet; nothing after `close`."""
        with self._lock:
            if not self._closed:
                self.guard(lambda: self.container.mux(packet))

    def close(self) -> None:
        """Write what is left and end; safe to call twice."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self.guard(self.container.close)

    def guard(self, work: Callable[[], Any], task: str = "") -> Any:
        """Run a step whose failure is the output's fault; `task` says what it was."""
        import av

        try:
            return work()
        except VidnoiseError:
            raise
        except BrokenPipeError as failure:
            raise pipes.DownstreamError(f"what read {self._target.path} has ended") from failure
        except (av.error.FFmpegError, OSError, ValueError, OverflowError) as failure:
            task = task or f"write {self._target.path}"
            raise OutputError(f"cannot {task}: {reason_and_log(failure)}") from failure


def _open(target: Target | pipes.StdoutTarget) -> OutputContainer:
    import av

    try:
        container = av.open(target.url, "w", format=target.format, options=dict(target.options))
    except ValueError as failure:
        said = f"no container is known by {target.kind}" if target.kind else "its name has no ending"
        raise UsageError(f"{target.path}: {said}; use .mp4, .mkv, .mov, .webm or .ts") from failure
    if why := _refused(target.path, container, raw=target.codec is not None):
        raise UsageError(f"{target.path}: {why}")
    return container


def _refused(path: Path, container: OutputContainer, *, raw: bool) -> str:
    """Why a container is no single video file, with what to type; `raw` where it says how its raw video is read."""
    format = container.format
    if format.name == "gif":
        return (
            "GIF holds 256 colours, which spoils what was cleaned, so it is not written; "
            f"type -o {_typed(path, '.mp4')}, or -o - | ffmpeg -i - {_typed(path)}"
        )
    if format.name == "image2":
        return f"pictures are written as {', '.join(ENCODERS)}, not {path.suffix}"
    if format.no_file:
        whole = "-hls_playlist_type vod " if format.name == "hls" else ""
        return (
            f"{path.suffix} is a list of many files; type -o {_typed(path, '.mp4')}, and then: "
            f"ffmpeg -i {_typed(path, '.mp4')} -c copy {whole}{_typed(path)}"
        )
    if container.default_video_codec == "none":
        return f"{path.suffix} is no kind of video; type -o {_typed(path, '.mkv')}"
    if format.name == "rawvideo" and not raw:
        return (
            f"{path.suffix} says neither size nor pixel format, so it cannot be read again; "
            f"type -o {_typed(path, '.y4m')}"
        )
    return ""


def _typed(path: Path, suffix: str = "") -> str:
    """What to type for a file in a shell; with another suffix, where one is given."""
    return shlex.quote(str(path.with_suffix(suffix or path.suffix)))
