"""Decoding and encoding on an NVIDIA GPU: tried beforehand, with the reason where it does not work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av

    from vidnoise.device import Device

PATIENCE = 64
"""Packets without a picture after which NVDEC is given up; more than any codec reorders."""

LAYOUTS = ("nv12", "p010le")
"""What NVDEC makes that can be handed to PyTorch, and says how many bits count."""


def accelerator(device: Device) -> Any:
    """PyAV's description of the GPU that PyTorch uses; frames stay in its memory, in PyTorch's own context.

    It must be put to use in the thread that asks for it. FFmpeg is told to take the context that is current there: asked
    for the device's own one it refuses what PyTorch has begun with other flags.
    """
    import torch
    from av.codec.hwaccel import HWAccel

    torch.cuda.set_device(device.torch)
    torch.zeros(1, device=device.torch)  # makes PyTorch's context the current one
    return HWAccel(
        "cuda",
        device=str(device.torch.index or 0),
        allow_software_fallback=True,
        options={"primary_ctx": "0", "current_ctx": "1"},
        is_hw_owned=True,
    )


class Trial:
    """Finds out whether NVDEC decodes a stream, by decoding its beginning.

    Attributes:
        context: the GPU decoder, ready for the first packet again; None where it cannot be used.
        packets: those that were taken for the trial, to be decoded again.
        why: the reason where `context` is None.
    """

    def __init__(self, stream: Any, device: Device, packets: Iterator[av.Packet[Any]]) -> None:
        self.packets: list[av.Packet[Any]] = []
        self.context: Any = None
        self.why = ""
        try:
            context = _open(stream, device)
            if context.is_hwaccel:
                self.why = self._decode(context, packets)
            else:
                self.why = f"NVDEC does not know {context.name}"
        except Exception as failure:  # drivers fail in their own ways; the CPU takes over
            self.why = f"NVDEC failed ({getattr(failure, 'strerror', None) or failure})"
        if not self.why:
            context.flush_buffers()
            self.context = context

    def _decode(self, context: Any, packets: Iterator[av.Packet[Any]]) -> str:
        """Take packets until there is a picture; why it cannot be used, if it cannot."""
        for packet in packets:
            self.packets.append(packet)
            if frames := context.decode(packet):
                return _why_not(frames)
            if len(self.packets) == PATIENCE:
                return f"NVDEC made no picture of the first {PATIENCE} packets"
        return "the video is too short for NVDEC"


def encodes_from_gpu(
    name: str, layout: str, size: tuple[int, int], options: Mapping[str, str], device: Device
) -> bool:
    """Whether NVENC takes frames from PyTorch's memory, found by encoding one; `layout` is `nv12` or `p010le`."""
    import av
    import torch

    from vidnoise.io.planes import pixel_format, to_av

    width, height = size
    format = pixel_format(layout)
    dtype = torch.uint8 if format.depth == 8 else torch.uint16
    sizes = [(height, width), *[format.chroma_size(height, width)] * 2]
    try:
        context: Any = av.CodecContext.create(name, "w", hwaccel=accelerator(device))
        context.width, context.height, context.pix_fmt = width, height, layout
        context.time_base, context.options = Fraction(1, 25), dict(options)
        frame = to_av(
            tuple(torch.zeros(s, dtype=dtype, device=device.torch) for s in sizes), format, width, height
        )
        frame.pts = 0
        return bool([*context.encode(frame), *context.encode(None)])
    except Exception:  # drivers fail in their own ways; system memory or the CPU takes over
        return False


def _open(stream: Any, device: Device) -> Any:
    import av

    source = stream.codec_context
    # The canonical name, since decoders such as libdav1d run on CPUs only.
    context = av.CodecContext.create(source.codec.canonical_name, "r", hwaccel=accelerator(device))
    if source.extradata:
        context.extradata = source.extradata
    return context


def _why_not(frames: Sequence[av.VideoFrame]) -> str:
    from vidnoise.io.sidedata import names

    frame = frames[0]
    if frame.format.name != "cuda":
        return f"NVDEC cannot decode {frame.format.name} here"
    if frame.sw_format is None or frame.sw_format.name not in LAYOUTS:
        layout = frame.sw_format.name if frame.sw_format else "an unknown layout"
        return f"NVDEC gives {layout}, which cannot be handed to PyTorch"
    if frame.width % 2 or frame.height % 2:
        return f"PyAV would cut off colours of {frame.width}x{frame.height} pixels on the GPU"
    if any("A53_CC" in names(f) for f in frames):
        return "the closed captions would be lost on the GPU"
    return ""
