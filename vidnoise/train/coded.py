"""Clips through a real video codec and back."""

import io

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..colour import Colour, PixelFormat, from_rgb, to_rgb

YUV = PixelFormat("yuv420p", "yuv", chroma_w=1, chroma_h=1)
# With AVX-512, x264's macroblock tree reads memory it never wrote: once in some thousand clips the bytes were others.
X264 = "asm=AVX2" if torch.backends.cpu.get_cpu_capability() == "AVX512" else "asm=auto"
ENCODERS = {
    "h264": ("libx264", {"x264-params": X264}),
    "hevc": ("libx265", {"x265-params": "log-level=none:pools=none:frame-threads=1"}),
}


def code(clip: Tensor, crf: float, codec: str = "h264", preset: str = "veryfast") -> Tensor:
    """A clip as it comes back from a file, 8 bit and 4:2:0, read as the engine reads it: RGB is not clipped.

    Args:
        clip: (T,3,H,W), RGB, nominal [0,1], clipped; H and W even and at least 32.
        crf: the encoder's constant rate factor, 0 to 51; higher is worse.
        codec: "h264" (ITU-T H.264 by x264) or "hevc" (H.265 by x265).
        preset: the encoder's, from "ultrafast" to "placebo".

    Returns:
        (T,3,H,W) on the clip's device.
    """
    import av
    from av.container import InputContainer, OutputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        assert isinstance(container, OutputContainer)
        encoder, own = ENCODERS[codec]
        options = {"crf": f"{crf:g}", "preset": preset, **own}
        stream = container.add_stream(encoder, rate=25, options=options)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = clip.shape[2:]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1  # the same clip gives the same bytes
        for picture in clip.clamp(0, 1).cpu():
            container.mux(stream.encode(VideoFrame.from_ndarray(_packed(picture), format=YUV.name)))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        assert isinstance(container, InputContainer)
        frames = [_unpacked(np.asarray(frame.to_ndarray(), np.uint8)) for frame in container.decode(video=0)]
    return torch.stack(frames).to(clip.device)


# Not by swscale: it reads past the ends of rows, so that once in a while a clip came out differently.


def _packed(picture: Tensor) -> NDArray[np.uint8]:
    """(3,H,W) as PyAV takes 4:2:0: Y over U over V, (3H/2,W)."""
    planes = from_rgb(picture, YUV, Colour())
    return np.concatenate([plane.numpy().reshape(-1) for plane in planes]).reshape(-1, picture.shape[2])


def _unpacked(samples: NDArray[np.uint8]) -> Tensor:
    height, width = samples.shape[0] * 2 // 3, samples.shape[1]
    y, u, v = np.split(samples.reshape(-1), [height * width, height * width * 5 // 4])
    planes = (y.reshape(height, width), *(c.reshape(height // 2, width // 2) for c in (u, v)))
    return to_rgb(tuple(torch.from_numpy(plane.copy()) for plane in planes), YUV, Colour())
