"""From a source through a chain to a sink: the only place with threads, cameras apart.

Reading (decode, colour conversion and what filters want measured) and writing (conversion and encode) each have a
thread; filters run in the caller's. The queues between them are short, so memory does not grow with the length of the
video.
"""

from __future__ import annotations

import atexit
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from vidnoise.chain import ChainStage
from vidnoise.filter import Stage
from vidnoise.frame import Frame
from vidnoise.strips import at_once

if TYPE_CHECKING:
    from vidnoise.device import Device

DEPTH, DEPTH_ON_GPU = 1, 4
"""Frames that may wait between two threads; on a GPU they are also filtered at once."""
PATIENCE = 5
"""Seconds that a program which ends waits for a thread; one that hangs in reading a network harms nothing."""


class Source(Protocol):
    """Frames in order."""

    def __iter__(self) -> Iterator[Frame]: ...


class Sink(Protocol):
    """Takes frames in order."""

    def write(self, frame: Frame) -> None:
        """Take the next frame."""
        ...


class Stopped(Exception):
    """The other end of a channel has gone."""


class Channel:
    """A short queue between two threads; closing it wakes both, and what was put before still comes out."""

    def __init__(self, depth: int) -> None:
        self._frames: deque[Frame] = deque()
        self._depth = depth
        self._closed = False
        self._gone = False
        self._changed = threading.Condition()

    def put(self, frame: Frame) -> None:
        """Wait for room.

        Raises:
            Stopped: nobody will take the frame any more.
        """
        with self._changed:
            self._changed.wait_for(lambda: len(self._frames) < self._depth or self._gone)
            if self._gone:
                raise Stopped
            self._frames.append(frame)
            self._changed.notify_all()

    def take(self, most: int = 1) -> list[Frame]:
        """Wait for a frame, then give all that are there, up to `most`; nothing once the end is reached.

        Raises:
            SystemExit: the channel was abandoned, as where the program ends; a thread ends by it without a word.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._closed or self._gone)
            if self._gone:
                raise SystemExit
            taken = [self._frames.popleft() for _ in range(min(most, len(self._frames)))]
            self._changed.notify_all()
            return taken

    def close(self) -> None:
        """No more frames will be put."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """No more frames will be taken."""
        with self._changed:
            self._gone = True
            self._changed.notify_all()


class Worker(AbstractContextManager["Worker"]):
    """A thread whose failure is kept, and raised when it is joined.

    Args:
        name: of the thread.
        work: what it does.
        done: what it does last, whether or not it failed.
        cancel: what has it end early.
    """

    def __init__(
        self, name: str, work: Callable[[], None], done: Callable[[], None], cancel: Callable[[], None]
    ) -> None:
        self.failure: BaseException | None = None
        self._work = work
        self._done = done
        self._cancel = cancel
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Worker:
        self._thread.start()
        _running.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self, patience: float | None = None) -> None:
        """Have it end early, and wait for that, at most so many seconds."""
        self._cancel()
        self._thread.join(patience)

    def join(self) -> None:
        """Wait for its end; raise what it failed with."""
        self._thread.join()
        self.check()

    def check(self) -> None:
        """Raise what it failed with, if it has failed."""
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            self._work()
        except Stopped:
            pass
        except BaseException as failure:
            self.failure = failure
        finally:
            self._done()


_running: WeakSet[Worker] = WeakSet()


@atexit.register
def _end_all() -> None:
    """A thread that computes while Python ends takes the program with it (`terminate called`)."""
    for worker in list(_running):
        worker.end(PATIENCE)


def stream(source: Source, stage: Stage, device: Device, *, convert: bool = True) -> Generator[Frame]:
    """Read ahead in a thread, filter here, and give finished frames one by one.

    Args:
        source: frames in order; read, and measured for the stage, in a thread of its own.
        stage: an open chain.
        device: where the frames are moved to.
        convert: whether the reading thread makes the RGB image; without filters nobody needs it.

    Raises:
        Whatever the source or the stage raises; the first failure ends the stream.
    """
    chain = stage if isinstance(stage, ChainStage) else ChainStage([stage])
    together = device.batch or (DEPTH_ON_GPU if device.is_cuda else 1)
    read = Channel(max(DEPTH, together))

    def ready(frame: Frame) -> Sequence[Frame]:
        if not convert:
            return chain.measure([frame])
        # Where filters want both threads of a CPU, this takes its turn as one piece of work.
        return at_once(frame.image, lambda: chain.measure([frame]))[0]

    def work() -> None:
        for frame in source:
            for moved in ready(frame.to(device.torch)):
                read.put(moved)

    with Worker("vidnoise-read", work, read.close, read.abandon) as reader:
        while frames := read.take(together):
            yield from chain.filter(frames)
        reader.check()
        yield from chain.flush()


def run(
    source: Source,
    stage: Stage,
    sink: Sink,
    device: Device,
    *,
    convert: bool = True,
    progress: Callable[[Frame], None] | None = None,
) -> int:
    """Everything from source through stage to sink; gives the number of frames written.

    Reading and writing have their own threads; `progress` is called in the caller's, once for each finished frame.

    Raises:
        The first failure of any thread; the others stop at once. The sink is neither finished nor aborted here.
    """
    written = Channel(DEPTH_ON_GPU if device.is_cuda else DEPTH)
    count = 0

    def work() -> None:
        nonlocal count
        while frames := written.take():
            sink.write(frames[0])
            count += 1

    with Worker("vidnoise-write", work, written.abandon, written.abandon) as writer:
        try:
            for frame in stream(source, stage, device, convert=convert):
                written.put(frame)
                if progress:
                    progress(frame)
            written.close()
        except Stopped:
            pass
        writer.join()
    return count
