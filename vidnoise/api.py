"""`run` and `open`: a source, filters, a target."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from inspect import signature
from os import PathLike
from typing import TYPE_CHECKING, Any

from vidnoise import pipeline
from vidnoise.chain import Chain, ChainStage
from vidnoise.device import choose
from vidnoise.errors import UsageError, did_you_mean
from vidnoise.filter import Filter
from vidnoise.frame import Frame, StreamInfo
from vidnoise.options import Option, check, check_callback, check_kind, check_path

if TYPE_CHECKING:
    from vidnoise.device import Device
    from vidnoise.io import OutputOptions, Reader

Filters = Filter | str | None


@dataclass
class Summary:
    """What a run did.

    `noise` is the mean standard deviation found in the source, in units of 1/255 and per channel R, G, B; None where
    no filter asked for it. `losses` counts what damage of the source has cost, by kind; empty where it was whole, and
    `damage` says the same in a sentence.
    """

    frames: int = 0
    seconds: float = 0.0
    noise: tuple[float, float, float] | None = None
    losses: dict[str, int] = field(default_factory=dict)
    damage: str = ""
    warnings: list[str] = field(default_factory=list)
    decoder: str = ""
    encoder: str = ""
    device: str = ""
    filters: str = ""
    latency: int = 0

    @property
    def fps(self) -> float:
        """Frames a second, start and end included."""
        return self.frames / self.seconds if self.seconds else 0.0


def default_chain() -> Chain:
    """What `vidnoise IN -o OUT` applies when no filter is named."""
    return Chain.parse("denoise,deblur")


def as_chain(filters: Filters) -> Chain:
    """A filter, a chain, command-line text, or None for the default chain.

    Raises:
        UsageError: it is none of these, or the text names a filter or option that does not exist.
    """
    return default_chain() if filters is None else Chain.of(filters)


def run(
    source: str | PathLike[str],
    filters: Filters,
    target: str | PathLike[str],
    *,
    device: str = "auto",
    precision: str = "auto",
    tile: int = 0,
    max_latency: int | None = None,
    compare: str | None = None,
    output: OutputOptions | None = None,
    overwrite: bool = False,
    progress: Callable[[Frame], None] | None = None,
    opened: Callable[[Reader, Summary], None] | None = None,
    **reading: Any,
) -> Summary:
    """Clean a video file, keeping everything else in it.

    Args:
        source: a path, URL, image sequence pattern, or `-` for standard input.
        filters: a filter, a chain made with `|`, text such as `"denoise:strength=0.8"` or `"none"`, or None for the
            default.
        target: where to write; the file appears under this name only when it is whole.
        device: `auto`, `cpu` or `cuda`.
        precision: `auto`, `fp32`, `bf16`, `fp16` or `int8`, for the arithmetic inside networks.
        tile: force tiles of that many pixels a side; 0 chooses by the memory there is.
        max_latency: refuse a chain that looks further ahead than this many frames.
        compare: write before and after in one picture: `split` (left half before) or `side` (next to each other).
        output: codec, quality and so on, as `vidnoise.io.OutputOptions(crf=18)`; by default the source's own codec and
            depth, visually lossless.
        overwrite: whether an existing target may be replaced.
        progress: called with each finished frame.
        opened: called once, when source and target are open, with the reader and the summary so far.
        reading: what `vidnoise.io.open_reader` takes: `start`, `duration` (seconds), `deinterlace`, and so on.

    Raises:
        VidnoiseError: its text says what was asked, what was found and what to do.
    """
    from vidnoise.before_after import Compared, compared_info
    from vidnoise.io import OutputOptions, open_reader, open_writer

    check_path("source", source)
    check_path("target", target)
    check_callback("progress", progress)
    check_callback("opened", opened)
    refuse_unknown(reading, run, OutputOptions)
    options = _output_options(output, overwrite)
    chain, place = as_chain(filters), choose(device, precision, tile)
    summary, noise, began = Summary(device=place.why, filters=str(chain)), NoiseMean(), time.monotonic()
    with open_reader(source, device=place, **reading) as reader:
        stage = open_chain(chain, reader.info, place, max_latency)
        summary.latency = stage.latency
        info = reader.info
        if compare:
            matrix = reader.facts.matrix
            stage, info = stage.then(Compared(compare, matrix)), compared_info(info, compare, matrix)
        with open_writer(target, reader, info, options) as writer:
            summary.decoder, summary.encoder = reader.decoder, writer.encoder
            summary.warnings = [*reader.warnings, *writer.warnings]
            if opened:
                opened(reader, summary)
            summary.frames = pipeline.run(
                reader, stage, writer, place, convert=bool(chain.filters), progress=noise.watching(progress)
            )
        summary.warnings = list(dict.fromkeys([*reader.warnings, *writer.warnings]))
        summary.losses = {kind: int(n) for kind, n in asdict(reader.losses).items() if n}
        summary.damage = str(reader.losses)
        summary.noise = noise.mean()
    summary.seconds = time.monotonic() - began
    return summary


def _output_options(output: OutputOptions | None, overwrite: bool) -> OutputOptions:
    from vidnoise.io import OutputOptions

    check_kind("output", output, OutputOptions | None, "vidnoise.io.OutputOptions(crf=18)")
    options = output or OutputOptions()
    return replace(options, overwrite=overwrite or options.overwrite)


class Frames(Iterator[Frame]):
    """Cleaned frames, one after another; `close()`, or the end of a `with`, ends the reading, and after it there are none.

    The last frame closes it as well. Any thread may ask for the next or call `close()`, which waits until another has
    its frame.

    Attributes:
        info: the source's size, rate and format.
    """

    def __init__(self, reader: Reader, frames: Generator[Frame]) -> None:
        self.info = reader.info
        self._reader = reader
        self._frames = frames
        self._lock = threading.RLock()
        self._closed = False

    @property
    def damage(self) -> str:
        """What damage of the source has cost so far, in a sentence; empty where it was whole."""
        return str(self._reader.losses)

    def __next__(self) -> Frame:
        with self._lock:
            if self._closed:
                raise StopIteration
            try:
                return next(self._frames)
            except BaseException:  # the end too: the decoder's memory and the file are given back
                self.close()
                raise

    def close(self) -> None:
        """Read no more; a second time it does nothing."""
        self._closed = True  # who reads on and on might not let go of the lock for long
        with self._lock:
            self._frames.close()
            self._reader.close()

    def __enter__(self) -> Frames:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open(
    source: str | PathLike[str],
    filters: Filters = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    tile: int = 0,
    **reading: Any,
) -> Frames:
    """Iterate over cleaned frames: `with vn.open("in.mp4", Fuse()) as frames: ...`.

    Arguments and errors are those of `run`; `frame.image` is a float tensor (3,H,W) in 0..1, which may be changed in place.
    """
    from vidnoise.io import open_reader

    refuse_unknown(reading, open)
    chain = as_chain(filters)
    place = choose(device, precision, tile)
    reader = open_reader(source, device=place, **reading)
    try:
        stage = open_chain(chain, reader.info, place, None)
    except BaseException:
        reader.close()
        raise
    frames = pipeline.stream(reader, stage, place)
    return Frames(reader, _apart(frames) if chain.filters else frames)


def _apart(frames: Generator[Frame]) -> Generator[Frame]:
    """The same, with pictures that no filter goes on with when they are changed in place."""
    with closing(frames):
        for frame in frames:
            yield frame.apart()


def refuse_unknown(
    given: Mapping[str, Any],
    function: Callable[..., object],
    output: type[OutputOptions] | None = None,
    without: Collection[str] = (),
) -> None:
    """Refuse arguments that nobody takes, with what may have been meant."""
    from vidnoise.io import open_reader

    known = {*signature(open_reader).parameters, *signature(function).parameters} - {"reading", *without}
    for name, value in given.items():
        if name in known:
            continue
        if output and name in output.__dataclass_fields__:
            hint = f"write output=vidnoise.io.OutputOptions({name}={value!r})"
        else:
            hint = did_you_mean(name, known, f"it takes {', '.join(sorted(known))}", cutoff=0.7)
        package = function.__module__.rpartition(".")[0]  # whose `__init__` gives it
        raise UsageError(f"{package}.{function.__name__} takes no {name!r}; {hint}")


def open_chain(chain: Chain, info: StreamInfo, device: Device, max_latency: int | None) -> ChainStage:
    """Open a chain and hold its latency against the most that is allowed.

    Raises:
        UsageError: it looks further ahead, or that is no whole number from 0 on.
        FilterError: a filter cannot work on such a stream.
    """
    check("chain", "max_latency", max_latency, int | None, Option(help="", low=0, unit="frames"))
    stage = chain.open(info, device)
    if max_latency is not None and stage.latency > max_latency:
        raise UsageError(
            f"{chain} looks {stage.latency} frames ahead, and --max-latency allows {max_latency}; "
            f"have it look less far ahead (denoise:ahead=0) or raise --max-latency"
        )
    return stage


class NoiseMean:
    """The mean of the noise found over a run."""

    def __init__(self) -> None:
        self._sums = [0.0, 0.0, 0.0]
        self._count = 0

    def watching(self, then: Callable[[Frame], None] | None) -> Callable[[Frame], None]:
        """A progress callback that also counts the frame's noise."""

        def watch(frame: Frame) -> None:
            if frame.sigma is not None:
                sigma = [255 * value for value in frame.sigma.sigma.tolist()]
                self._sums = [a + b for a, b in zip(self._sums, sigma, strict=True)]
                self._count += 1
            if then:
                then(frame)

        return watch

    def mean(self) -> tuple[float, float, float] | None:
        """Per channel in units of 1/255, or None where no frame had an estimate."""
        if not self._count:
            return None
        r, g, b = (total / self._count for total in self._sums)
        return r, g, b
