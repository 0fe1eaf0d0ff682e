"""For programs that use OpenCV: clean frames in place of noisy ones.

capture = vidnoise.opencv.VideoCapture("input.mp4", "fuse")     # where cv2.VideoCapture("input.mp4") was
ok, bgr = capture.read()

clean = vidnoise.opencv.Cleaner("fuse")                         # for pictures from anywhere else
out = clean(bgr)
"""

from vidnoise.opencv.capture import VideoCapture
from vidnoise.opencv.cleaner import Cleaner

__all__ = ["Cleaner", "VideoCapture"]
