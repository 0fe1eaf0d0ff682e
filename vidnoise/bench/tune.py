"""A search for good settings of the peers, one parameter at a time, on clean clips: `scripts/tune-peers DATA [NAME ...]`.

It prints the settings that belong in `vidnoise/bench/peers.py`. The clips must not be those that are measured on later.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vidnoise.bench import clips, peers
from vidnoise.bench.metrics import mean, mse, psnr
from vidnoise.errors import FilterError

if TYPE_CHECKING:
    from vidnoise.bench.clips import Picture
    from vidnoise.bench.peers import FFmpegPeer

SIZE = 432, 240
"""The middle of each frame is used; width and height."""
FRAMES, SKIP = 10, 4
STEPS = 1.4, 1.12

Values = dict[str, float | int]


def crops(data: Path) -> Iterator[list[Picture]]:
    """The clips under a path, cut to `SIZE`."""
    width, height = SIZE
    for path in clips.find(data):
        frames = clips.load(path, FRAMES).frames
        top, left = ((n - m) // 2 for n, m in zip(frames[0].shape[:2], (height, width), strict=True))
        yield [frame[top : top + height, left : left + width].copy() for frame in frames]


def score(peer: FFmpegPeer, clean: Sequence[list[Picture]], sigma: float) -> float:
    """The mean PSNR in dB; 0 where the filter refuses its settings."""
    found = []
    for seed, frames in enumerate(clean):
        try:
            out, _ = peer.run(clips.add_noise(frames, sigma, seed), sigma)
        except FilterError:
            return 0.0
        found += [psnr(mse(a, b)) for a, b in zip(frames[SKIP:], out[SKIP:], strict=True)]
    return mean(found)


def search(peer: FFmpegPeer, clean: Sequence[list[Picture]], sigma: float) -> tuple[float, Values]:
    """Climb along one parameter after the other, with smaller steps the second time; modes (whole numbers) stay."""
    values = peers.interpolate(peer.recipe.table, sigma)
    best = score(peer, clean, sigma)
    moves = [(name, way) for step in STEPS for name in values for way in (step, 1 / step)]
    for name, factor in moves:
        while not isinstance(values[name], int):
            tried = values | {name: round(values[name] * factor, 3)}
            recipe = replace(peer.recipe, table={sigma: tried})
            result = score(replace(peer, recipe=recipe), clean, sigma)
            if result <= best:
                break
            best, values = result, tried
    return best, values


def main(words: Sequence[str]) -> None:
    """Search for every peer, or for those that are named."""
    clean = list(crops(Path(words[0])))
    for peer in peers.choose(words[1:]):
        if isinstance(peer, peers.FFmpegPeer):
            for sigma in peer.recipe.table:
                best, values = search(peer, clean, sigma)
                print(f"{peer.name} {peer.home} sigma {sigma:g}: {best:.2f} dB {values}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
