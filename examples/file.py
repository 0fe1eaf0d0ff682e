"""Clean a file, keeping its sound, subtitles and timestamps: python file.py input.mp4 output.mp4"""

import sys

import vidnoise as vn
from vidnoise.filters import Fuse


def main(source: str, target: str) -> None:
    summary = vn.run(source, Fuse(strength=0.9), target, overwrite=True)
    print(f"{summary.frames} frames at {summary.fps:.1f} a second, written by {summary.encoder}")
    if summary.noise:
        print("noise found in R, G, B, of 255:", *(f"{sigma:.1f}" for sigma in summary.noise))
    for warning in summary.warnings:
        print("warning:", warning)


if __name__ == "__main__":
    main(*sys.argv[1:])
