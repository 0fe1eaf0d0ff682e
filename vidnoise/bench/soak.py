"""What takes too long for the tests: `scripts/soak`.

The memory that the engine takes must not depend on the length of the video, and it must keep up with ffmpeg.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from vidnoise.bench import engine

GROWTH = 1.05
"""The most that the peak of memory may grow from the short to the long video."""
RATIO = 0.7
"""The least share of ffmpeg's speed."""
SIZE = 1280, 720


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print, and give 0 where all bars are held, else 1."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("-f", "--filter", action="append", default=[], help="also with these filters")
    parser.add_argument("--short", type=int, default=200, help="frames of the short video (200)")
    parser.add_argument("--long", type=int, default=2000, help="frames of the long one (2000)")
    parser.add_argument("--rounds", type=int, default=3, help="comparisons with ffmpeg; 0 for none (3)")
    chosen = parser.parse_args(words)
    held = [memory_is_flat(chain, chosen.short, chosen.long) for chain in ["", *chosen.filter]]
    if chosen.rounds:
        held.append(keeps_up(chosen.rounds))
    return 0 if all(held) else 1


def memory_is_flat(chain: str, short: int, long: int) -> bool:
    """Compare the peaks of memory for a short and a long video."""
    low, high = (engine.peak_memory(frames, SIZE, chain) for frames in (short, long))
    held = high <= GROWTH * low
    _say(f"memory, {chain or 'no filter'}: {low:.0f} MiB at {short} frames, {high:.0f} MiB at {long}", held)
    return held


def keeps_up(rounds: int) -> bool:
    """Compare the speed with ffmpeg's; true where there is no ffmpeg program."""
    if not engine.has_program():
        print("speed: there is no ffmpeg program to compare with")
        return True
    ratio = engine.compare(SIZE, rounds=rounds).ratio
    _say(f"speed without a filter: {ratio:.2f} of ffmpeg's", ratio >= RATIO)
    return ratio >= RATIO


def _say(what: str, held: bool) -> None:
    print(f"{what}: {'good' if held else 'NOT GOOD'}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
