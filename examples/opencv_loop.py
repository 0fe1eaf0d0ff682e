"""Clean frames in an OpenCV program: python opencv_loop.py input.mp4 (or a camera's number)

Only one line differs from a program that uses cv2.VideoCapture. It looks for movement, which noise would be taken for.
"""

import sys

import cv2
import numpy as np

from vidnoise.opencv import VideoCapture


def main(source: str) -> None:
    # Without looking ahead, which a live camera should not wait for.
    capture = VideoCapture(int(source) if source.isdigit() else source, "fuse:ahead=0")
    if not capture.isOpened():
        sys.exit(str(capture.error))
    before = None
    while True:
        ok, frame = capture.read()
        if not ok or frame is None:
            break
        gray = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        if before is not None:
            moving = float(np.mean(cv2.absdiff(gray, before) > 20))
            print(f"frame {capture.get(cv2.CAP_PROP_POS_FRAMES):.0f}: {100 * moving:.1f} % moves")
        before = gray
    capture.release()


if __name__ == "__main__":
    main(*sys.argv[1:])
