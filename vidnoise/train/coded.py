"""Clips through a real video codec and back."""

import io

import torch
from torch import Tensor

ENCODERS = {
    "h264": ("libx264", {}),
    "hevc": ("libx265", {"x265-params": "log-level=none:pools=none:frame-threads=1"}),
}


def code(clip: Tensor, crf: float, codec: str = "h264", preset: str = "veryfast") -> Tensor:
    """A clip as it comes back from a file, 8 bit and 4:2:0.

    Args:
        clip: (T,3,H,W), RGB, nominal [0,1], clipped; H and W even and at least 32.
        crf: the encoder's constant rate factor, 0 to 51; higher is worse.
        codec: "h264" (ITU-T H.264 by x264) or "hevc" (H.265 by x265).
        preset: the encoder's.

    Returns:
        (T,3,H,W) on the clip's device.
    """
    import av
    from av.container import InputContainer, OutputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    data = (clip.clamp(0, 1) * 255).round().to("cpu", torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        assert isinstance(container, OutputContainer)
        encoder, own = ENCODERS[codec]
        options = {"crf": f"{crf:g}", "preset": preset, **own}
        stream = container.add_stream(encoder, rate=25, options=options)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = data.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1  # the same clip gives the same bytes
        for picture in data:
            container.mux(stream.encode(VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        assert isinstance(container, InputContainer)
        frames = [torch.from_numpy(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    return torch.stack(frames).permute(0, 3, 1, 2).to(clip.device).float() / 255
