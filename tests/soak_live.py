"""`scripts/soak live`: a camera killed 20 times, back each time; then one for an hour, killed and frozen, its memory flat.

With --delay: how old the picture is that comes out, by a clock burnt into it at the camera, on an idle machine and while
another process takes one core. With --fleet: four cameras at once. Both want a machine that does nothing else.

All times are seeded, so that a run can be repeated.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

from cameras import camera, children, missing, receiver, vidnoise, wait

GROWTH = 20
"""The most MiB by which memory may grow after the first minute."""
BACK = 3.0
"""The most seconds from a killed camera's return to its next picture."""
OLD, OLDEST = 0.4, 1.0
"""Seconds from a picture's making to its arrival: the median, and all but one in a hundred."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak live", description=__doc__)
    parser.add_argument(
        "--kills", type=int, default=20, help="how often one camera is killed (20); 0 for none"
    )
    parser.add_argument("--minutes", type=float, default=60, help="how long another runs (60); 0 for none")
    parser.add_argument("--delay", type=float, default=0, help="minutes of measuring the delay, twice (0)")
    parser.add_argument("--fleet", type=float, default=0, help="minutes of four cameras at once (0)")
    parser.add_argument("-f", "--filter", default="denoise", help="the filters (denoise)")
    parser.add_argument("--seed", type=int, default=1, help="of the times of kills and stalls (1)")
    chosen = parser.parse_args()
    if missing():
        print(f"scripts/soak live: {missing()}", file=sys.stderr)
        return 1
    held = not chosen.kills or outlives(chosen.kills, chosen.filter, random.Random(chosen.seed))
    if chosen.minutes:
        with tempfile.TemporaryDirectory() as folder:
            held &= soak(chosen.minutes * 60, chosen.filter, random.Random(chosen.seed), Path(folder))
    for busy in (0, 1) if chosen.delay else ():
        held &= delay(chosen.delay * 60, chosen.filter, busy)
    held &= not chosen.fleet or fleet(chosen.fleet * 60, chosen.filter)
    print("good" if held else "NOT GOOD")
    return 0 if held else 1


def outlives(kills: int, filter: str, chance: random.Random) -> bool:
    """Whether the picture is back in time after each kill of the camera, in one output that goes on."""
    words = ("-f", filter, "--max-backoff", "0.5s")
    waits: list[float] = []
    with receiver() as sink, camera() as server, vidnoise(server.url, *words, "-o", sink.url) as job:
        wait(lambda: len(sink.times) > 5, job.told)
        for _ in range(kills):
            server.kill()
            time.sleep(chance.uniform(0.1, 3))
            server.start()
            returned, before = time.monotonic(), len(sink.times)
            wait(lambda n=before: len(sink.times) > n + 1, job.told)
            waits.append(time.monotonic() - returned)
            time.sleep(chance.uniform(0, 3))
        ended = job.stop() == 0
    rising = all(a < b for a, b in pairwise(sink.times))
    told = {"kills": kills, "median": median(waits), "longest": max(waits), "times_rise": rising}
    print(json.dumps(told), flush=True)
    return ended and rising and max(waits) < BACK


def soak(seconds: float, filter: str, chance: random.Random, folder: Path) -> bool:
    """Whether memory and handles stay flat in a long run."""
    pieces = f"{folder}/%H-%M-%S.mp4"
    words = (
        "-f",
        filter,
        "--max-backoff",
        "0.5s",
        "--timeout",
        "3s",
        "--segment",
        "1m",
        "--keep",
        "5m",
        "--json",
    )
    samples: list[tuple[float, float, int]] = []
    began, trouble = time.monotonic(), 90.0
    with (
        receiver() as sink,
        camera("--audio") as server,
        vidnoise(server.url, *words, "-o", sink.url, "-o", pieces) as job,
    ):
        while (elapsed := time.monotonic() - began) < seconds:
            time.sleep(5)
            assert job.running(), job.told()
            samples.append((elapsed, *usage(job.pid)))
            if len(samples) % 12 == 0:
                print(
                    f"{elapsed / 60:.0f} min: {samples[-1][1]:.0f} MiB, {samples[-1][2]} handles", flush=True
                )
            if elapsed > trouble:
                disturb(server, chance)
                trouble = elapsed + chance.uniform(20, 120)
        status, told = job.stop(), json.loads(job.out)
    steady = [sample for sample in samples if sample[0] > 60] or samples
    third = max(1, len(steady) // 3)
    grown = median(s[1] for s in steady[-third:]) - median(s[1] for s in steady[:third])
    handles = median(s[2] for s in steady[-third:]) - median(s[2] for s in steady[:third])
    held = status == 0 and grown < GROWTH and handles <= 2
    print(json.dumps({"grown_mib": round(grown, 1), "handles": handles, "received": len(sink.times), **told}))
    return held


def delay(seconds: float, filter: str, busy: int) -> bool:
    """Whether pictures of 640x360, 15 a second, arrive in time while `busy` cores are taken by others."""
    size = ("--width", "640", "--height", "360", "--fps", "15")
    words = ("-f", filter, "--json")
    with others(busy), receiver() as sink, camera(*size) as server:
        with vidnoise(server.url, *words, "-o", sink.url) as job:
            job.wait(lambda: len(sink.ages) > 5)
            time.sleep(seconds)
            ended, told = job.stop() == 0, json.loads(job.out)
        ages = sorted(sink.ages)
    held = ended and median(ages) < OLD and percentile(ages, 0.99) < OLDEST
    figures = {"busy": busy, "median_s": round(median(ages), 3), "p99_s": round(percentile(ages, 0.99), 3)}
    print(json.dumps(figures | {"longest_s": round(ages[-1], 3), "received": len(ages), **told}), flush=True)
    return held


def fleet(seconds: float, filter: str) -> bool:
    """Whether four cameras of 640x360, 10 pictures a second, keep up: all that they send arrives, and not late."""
    size = ("--width", "640", "--height", "360", "--fps", "10", "--count", "4")
    with tempfile.TemporaryDirectory() as folder, camera(*size) as server, ExitStack() as stack:
        sinks = [stack.enter_context(receiver()) for _ in range(4)]
        urls = [server.url + (str(n) if n else "") for n in range(4)]
        rows = [
            f'[cameras.c{n}]\nsource = "{url}"\noutputs = ["{sink.url}"]\nfilters = "{filter}"\n'
            for n, (url, sink) in enumerate(zip(urls, sinks, strict=True))
        ]
        path = Path(folder, "cameras.toml")
        path.write_text("\n".join(rows))
        with vidnoise("watch", str(path)) as job:
            job.wait(lambda: all(len(sink.ages) > 5 for sink in sinks))
            before = [len(sink.ages) for sink in sinks]
            time.sleep(seconds)
            rates = [(len(sink.ages) - n) / seconds for sink, n in zip(sinks, before, strict=True)]
            ended = job.stop() == 0
        ages = sorted(age for sink in sinks for age in sink.ages)
    lines = [line.split("camera: ", 1)[-1].strip() for line in job.said if "filters:" in line]
    figures = {"rates": [round(rate, 2) for rate in rates], "p99_s": round(percentile(ages, 0.99), 3)}
    print(json.dumps(figures | {"median_s": round(median(ages), 3), "filters": lines}), flush=True)
    return ended and min(rates) > 9.8 and percentile(ages, 0.99) < OLDEST


@contextmanager
def others(count: int) -> Iterator[None]:
    """Processes that take a core each."""
    hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


def disturb(server, chance: random.Random) -> None:
    """Kill the camera, or freeze it."""
    if chance.random() < 0.5:
        server.kill()
        time.sleep(chance.uniform(0, 3))
        server.start("--audio")
    else:
        server.freeze()
        time.sleep(chance.uniform(1, 6))
        server.thaw()


def usage(pid: int) -> tuple[float, int]:
    """Resident MiB and open handles of a process and its children."""
    memory, handles = 0.0, 0
    for process in (pid, *children(pid)):
        try:
            pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
            handles += len(list(Path(f"/proc/{process}/fd").iterdir()))
        except OSError:
            continue  # it has just ended
        memory += pages * 4096 / 2**20
    return memory, handles


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def median(values) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


if __name__ == "__main__":
    sys.exit(main())
