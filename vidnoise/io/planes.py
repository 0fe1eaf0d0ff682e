"""Between PyAV's frames and integer planes: pixel formats by name, frames taken apart and put together.

Packed and semi-planar formats are repacked to the planar one that holds the same samples (NV12 as yuv420p,
P010 as yuv420p10le, rgb24 as gbrp), so that the rest of the project knows planar formats only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from vidnoise.colour import PixelFormat, from_rgb
from vidnoise.errors import InputError

if TYPE_CHECKING:
    import torch
    from av.video.format import VideoFormat
    from av.video.frame import CudaContext, VideoFrame
    from av.video.plane import VideoPlane
    from torch import Tensor

    from vidnoise.colour import Colour, Planes
    from vidnoise.frame import Frame

# Floating point, CIE XYZ, mosaics, more than 16 bits, and what swscale repacks with a loss: 2 to 4 bits a
# channel, and bits shifted up in RGB planes.
_UNSUPPORTED = re.compile(r"f16|f32|gray32|p32|rgb96|rgba128|xyz12|bayer|(rgb|bgr)4(44|_byte|$)|gbrp1[02]msb")
_DEEPEST = 16
_CHROMA_SHIFT = {1: 0, 2: 1, 4: 2}
_PROBE_SIZE = 64
_CUDA_LAYOUTS = {"nv12": 8, "p010le": 10, "p016le": 16}
"""Layouts of frames on a GPU that DLPack can pass on, and the bits in use, which are the upper ones."""


@lru_cache(maxsize=256)
def pixel_format(name: str) -> PixelFormat:
    """The planar format that holds the samples of FFmpeg's format `name` without loss.

    Planar little-endian formats, and gray with alpha (`ya8`, two planes here), give themselves; packed,
    semi-planar, big-endian and paletted ones their planar equivalent. `yuvj...` keeps its name, which means
    full range.

    Raises:
        InputError: FFmpeg does not know the format, or it has no planar integer equivalent of 8 to 16 bits.
    """
    import av

    try:
        source = av.VideoFormat(name, _PROBE_SIZE, _PROBE_SIZE)
    except ValueError as error:
        raise InputError(
            f"{name!r} is no pixel format that FFmpeg knows; `ffmpeg -pix_fmts` lists them"
        ) from error
    if (
        not source.components
        or max(c.bits for c in source.components) > _DEEPEST
        or _UNSUPPORTED.search(source.name)
    ):
        raise InputError(
            f"pixel format {source.name} is not supported (8 to 16 bit integers are); "
            "convert the video first, as in: ffmpeg -i INPUT -pix_fmt gbrp16le -c:v ffv1 OUTPUT.mkv"
        )
    return _planar(source)


def is_layout_of(name: str, format: PixelFormat) -> bool:
    """Whether FFmpeg's format `name` holds whatever `format` can: palettes and words of 1 to 6 bits a channel do not.

    On the way back to such words swscale dithers, and stores their colour at half the resolution.

    Raises:
        InputError: as `pixel_format`.
    """
    import av

    source = av.VideoFormat(name, _PROBE_SIZE, _PROBE_SIZE)
    bits = 0 if source.has_palette else min(part.bits for part in source.components)
    return replace(pixel_format(name), name=format.name) == format and bits >= format.depth


def planes_of(frame: VideoFrame) -> tuple[Planes, PixelFormat]:
    """The integer planes (H,W) of a frame, alpha last, and their format.

    Nothing is copied where the format is planar: the tensors keep the frame's buffers alive and **must not be
    written to**, since the decoder predicts later frames from them. Other formats are repacked.

    Frames that NVDEC left on the GPU (`HWAccel("cuda", is_hw_owned=True)`) as NV12, P010 or P016 give CUDA
    tensors without passing through the CPU; they are copied, since the decoder has few surfaces and waits for
    them. P016 gives 16 bits, whatever the stream's depth. Other frames in a device's memory are downloaded.

    Raises:
        InputError: as `pixel_format`, or FFmpeg cannot repack this format.
    """
    import av

    layout = frame.sw_format
    if layout is not None and frame.format.name == "cuda" and layout.name in _CUDA_LAYOUTS:
        return _planes_on_gpu(frame, layout.name)
    source = (layout or frame.format).name
    format = pixel_format(source)
    try:
        frame = _repack(frame, source, format)
    except (OSError, av.FFmpegError) as error:
        raise InputError(f"FFmpeg cannot repack {source} as {format.name}: {error}") from error
    tensors = [_tensor(plane, format) for plane in frame.planes]
    if format.family == "gray" and format.alpha:
        tensors = [samples.contiguous() for samples in tensors[0].unbind(-1)]
    return tuple(tensors), format


def planes_in(frame: Frame, format: PixelFormat, colour: Colour) -> Planes:
    """A frame's picture as planes (H,W) of another format and colour, with its alpha where the format has any.

    Where the frame has none, alpha is opaque.
    """
    import torch

    planes = from_rgb(frame.image, format, colour)
    if not format.alpha:
        return planes
    alpha = torch.ones_like(frame.image[0]) if frame.alpha is None else frame.alpha[0]
    return (*planes, alpha.mul(format.peak).round().to(torch.int32).to(planes[0]))


def to_av(planes: Planes, format: PixelFormat, width: int, height: int) -> VideoFrame:
    """A frame for an encoder, without timestamp or tags; the planes, alpha included, are copied.

    CUDA planes of 4:2:0 and even size become a frame in the GPU's memory, as NV12, P010 or P016, for NVENC.
    Others are brought to the CPU.

    Args:
        planes: (H,W) integer tensors as `format` says; see `planes_of`.
        format: a format whose name FFmpeg knows.
        width: in pixels.
        height: in pixels.
    """
    import av
    import numpy as np
    from torch.utils.dlpack import from_dlpack

    if planes[0].is_cuda and goes_to_nvenc(format, width, height):
        return _frame_on_gpu(planes, format, width, height)
    frame = av.VideoFrame(width, height, format.name)
    targets = [from_dlpack(plane.__dlpack__()) for plane in frame.planes]
    if format.family == "gray" and format.alpha:
        targets = list(targets[0].unbind(-1))
    for target, plane in zip(targets, planes, strict=True):
        # Not torch's copy: sharing so little among threads costs more than it saves, far more on a busy machine.
        np.copyto(target.numpy(), plane.cpu().numpy())
    return frame


def goes_to_nvenc(format: PixelFormat, width: int, height: int) -> bool:
    """Whether `to_av` keeps CUDA planes of this format and size on the GPU."""
    subsampling = (format.family, format.chroma_w, format.chroma_h)
    return subsampling == ("yuv", 1, 1) and not format.alpha and width % 2 == 0 and height % 2 == 0


def _planar(source: VideoFormat) -> PixelFormat:
    parts = source.components
    depth = max(8, *(part.bits for part in parts))
    alpha = source.has_palette or any(part.is_alpha for part in parts)
    suffix = f"{depth}le" if depth > 8 else ""
    mark = "a" if alpha else ""
    if source.is_rgb or source.has_palette:
        return PixelFormat(f"gbr{mark}p{suffix}", "rgb", depth, alpha=alpha)
    if len(parts) <= 2:
        return PixelFormat(f"ya{suffix or 8}" if alpha else f"gray{suffix}", "gray", depth, alpha=alpha)
    wide = _CHROMA_SHIFT[_PROBE_SIZE // parts[1].width]
    tall = _CHROMA_SHIFT[_PROBE_SIZE // parts[1].height]
    sampling = {(0, 0): 444, (1, 0): 422, (1, 1): 420, (0, 1): 440, (2, 0): 411, (2, 2): 410}[wide, tall]
    full = "j" if source.name.startswith("yuvj") else ""
    return PixelFormat(f"yuv{full}{mark}{sampling}p{suffix}", "yuv", depth, wide, tall, alpha)


def _repack(frame: VideoFrame, source: str, format: PixelFormat) -> VideoFrame:
    if frame.sw_format is not None:
        frame = frame.reformat(format=source)
    if source == format.name:
        return frame
    if format.family != "yuv":
        if re.search("5[56]5", source):  # straight to planes swscale would lose a bit
            frame = frame.reformat(format="rgb24", threads=1)
        return frame.reformat(format=format.name, threads=1)
    # The matrix plays no part, but swscale refuses tags that it cannot compute with (YCgCo, ICtCp, ...).
    return frame.reformat(format=format.name, src_colorspace="ITU709", dst_colorspace="ITU709", threads=1)


def _tensor(plane: VideoPlane, format: PixelFormat) -> Tensor:
    import numpy as np
    import torch
    from torch.utils.dlpack import from_dlpack

    if plane.line_size > 0:
        # The capsule, not the plane: torch would ask a plane on a GPU for a stream, which PyAV does not take.
        return from_dlpack(plane.__dlpack__())
    memory: Any = plane
    lines = np.frombuffer(memory, np.uint8 if format.depth == 8 else np.uint16)
    return torch.from_numpy(lines.reshape(plane.height, -1)[::-1, : plane.width].copy())


def _planes_on_gpu(frame: VideoFrame, layout: str) -> tuple[Planes, PixelFormat]:
    from torch.utils.dlpack import from_dlpack

    depth = _CUDA_LAYOUTS[layout]
    luma, chroma = (from_dlpack(plane.__dlpack__()) for plane in frame.planes)
    with _ordered(luma.device):
        planes = tuple(_lower(plane, depth) for plane in (luma, *chroma.unbind(-1)))
    name = "yuv420p" if depth == 8 else f"yuv420p{depth}le"
    return planes, PixelFormat(name, "yuv", depth, 1, 1)


def _frame_on_gpu(planes: Planes, format: PixelFormat, width: int, height: int) -> VideoFrame:
    import av
    import torch

    device = planes[0].device
    layout = {8: "nv12", 10: "p010le"}.get(format.depth, "p016le")
    # NVENC is told of the first plane only: chroma has to follow it in the same buffer, at the same pitch.
    pitch = -(-width // 256) * 256
    buffer = torch.empty((height * 3 // 2, pitch), dtype=planes[0].dtype, device=device)[:, :width]
    luma, chroma = buffer[:height], buffer[height:]
    with _ordered(device):
        luma.copy_(_raise(planes[0], format.depth))
        chroma[:, 0::2] = _raise(planes[1], format.depth)
        chroma[:, 1::2] = _raise(planes[2], format.depth)
    with torch.cuda.device(device):
        return av.VideoFrame.from_dlpack(
            (luma, chroma), layout, width, height, cuda_context=_cuda_context(device.index)
        )


def _lower(plane: Tensor, depth: int) -> Tensor:
    """Samples of which the upper `depth` bits count, copied."""
    import torch

    if depth in (8, _DEEPEST):
        return plane.clone(memory_format=torch.contiguous_format)
    # torch does not shift unsigned 16-bit integers.
    return plane.to(torch.int32).bitwise_right_shift_(_DEEPEST - depth).to(torch.uint16)


def _raise(plane: Tensor, depth: int) -> Tensor:
    """The opposite of `_lower`, without the copy."""
    import torch

    if depth in (8, _DEEPEST):
        return plane
    return plane.to(torch.int32).bitwise_left_shift_(_DEEPEST - depth).to(torch.uint16)


@lru_cache(maxsize=8)
def _cuda_context(index: int) -> CudaContext:
    from av.video.frame import CudaContext

    # FFmpeg refuses the device's own context where PyTorch has begun it with other flags.
    return CudaContext(device_id=index, primary_ctx=False, current_ctx=True)


@contextmanager
def _ordered(device: torch.device) -> Iterator[None]:
    """Work on torch's current stream that begins after FFmpeg's and is seen by what FFmpeg does next.

    FFmpeg works on the default stream, and PyAV synchronises nothing.
    """
    import torch

    here, default = torch.cuda.current_stream(device), torch.cuda.default_stream(device)
    here.wait_stream(default)
    try:
        yield
    finally:
        default.wait_stream(here)
