"""Filters in a row, and their frames one by one: python chain.py input.mp4"""

import sys

import vidnoise as vn
from vidnoise.chain import Chain
from vidnoise.filters import Fuse, Guided


def main(source: str) -> None:
    chain = Fuse() | Guided()
    # The same as text, as on the command line.
    assert Chain.parse(str(chain)) == chain
    with vn.open(source, chain) as frames:
        for frame in frames:
            # A float tensor (3,H,W), RGB in 0..1, and when it is shown.
            seconds = float((frame.pts or 0) * frame.time_base)
            noise = 255 * float(frame.sigma.sigma.mean()) if frame.sigma else 0
            print(
                f"{seconds:7.3f} s  brightness {float(frame.image.mean()):.3f}  noise was {noise:.1f} of 255"
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
