"""A camera for an hour: `scripts/soak live`. It is killed and frozen at seeded times; memory and handles stay flat."""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

from cameras import camera, children, missing, receiver, vidnoise

GROWTH = 20
"""The most MiB by which memory may grow after the first minute."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak live", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="how long (60)")
    parser.add_argument("-f", "--filter", default="denoise", help="the filters (denoise)")
    parser.add_argument("--seed", type=int, default=1, help="of the times of kills and stalls (1)")
    chosen = parser.parse_args()
    if missing():
        print(f"scripts/soak live: {missing()}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        return soak(chosen.minutes * 60, chosen.filter, random.Random(chosen.seed), Path(folder))


def soak(seconds: float, filter: str, chance: random.Random, folder: Path) -> int:
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
    print("good" if held else "NOT GOOD")
    return 0 if held else 1


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


def median(values) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


if __name__ == "__main__":
    sys.exit(main())
