"""Which processor and which precision to use, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidnoise.errors import DeviceError, UsageError

if TYPE_CHECKING:
    import torch as torch_

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")


@dataclass(frozen=True)
class Device:
    """Where filters compute, in which type their inner arithmetic may run, and the reason in words.

    Frames stay float32 outside the filters; `dtype` is for networks. `tile` forces tiles of that many pixels a side, and
    `batch` that many frames at once on filters without memory; 0 leaves the choice to the memory there is.
    """

    torch: torch_.device
    dtype: torch_.dtype
    why: str
    tile: int = 0
    batch: int = 0

    @property
    def is_cuda(self) -> bool:
        """Whether this is an NVIDIA GPU."""
        return self.torch.type == "cuda"


def choose(device: str = "auto", precision: str = "auto", tile: int = 0, batch: int = 0) -> Device:
    """Pick a device and a precision.

    Raises:
        UsageError: a word that is not in `DEVICES` or `PRECISIONS`.
        DeviceError: `cuda` was asked for and there is none, or the device cannot compute in this precision.
    """
    if device not in DEVICES:
        raise UsageError(f"device {device!r} is not known; it is one of {', '.join(DEVICES)}")
    if precision not in PRECISIONS:
        raise UsageError(f"precision {precision!r} is not known; it is one of {', '.join(PRECISIONS)}")
    import torch

    found = torch.cuda.is_available()
    if device == "cuda" and not found:
        raise DeviceError(f"--device cuda was asked for, but {_why_no_cuda()}; use --device cpu or auto")
    if found and device != "cpu":
        name = torch.cuda.get_device_name()
        where, reason = (
            torch.device("cuda", torch.cuda.current_device()),
            f"an NVIDIA GPU is present ({name})",
        )
    else:
        reason = "asked for" if device == "cpu" else _why_no_cuda()
        where = torch.device("cpu")
    dtype, words = _precision(precision, where)
    return Device(where, dtype, f"{where.type}: {reason}; {words}", tile, batch)


def _why_no_cuda() -> str:
    import torch

    if torch.version.cuda is None:
        return "this build of PyTorch has no CUDA"
    return "no NVIDIA GPU was found"


def _precision(precision: str, where: torch_.device) -> tuple[torch_.dtype, str]:
    import torch

    types = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if precision == "fp16" and where.type == "cpu":
        raise DeviceError("fp16 is slow and inexact on a CPU; use --precision bf16 or fp32")
    if precision != "auto":
        return types[precision], f"{precision}: asked for"
    if where.type == "cuda":
        return torch.float16, "fp16: fastest on a GPU"
    if _cpu_has_bf16():
        return torch.bfloat16, "bf16: this CPU multiplies bfloat16 in hardware"
    return torch.float32, "fp32: this CPU has no bfloat16 arithmetic"


def _cpu_has_bf16() -> bool:
    from pathlib import Path

    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags or " bf16" in flags


SHARE = 0.4
"""The share of the free memory that one filter's working memory may take."""


def working_memory(device: Device) -> float:
    """Bytes that one filter may work with there."""
    return SHARE * free_memory(device)


def free_memory(device: Device) -> int:
    """Bytes that may be used there now: free memory of the GPU, or what the system and its control group leave."""
    import torch

    if device.is_cuda:
        return int(torch.cuda.mem_get_info(device.torch)[0])
    import os

    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [_read_number("/proc/meminfo", "MemAvailable:", 1024), _cgroup_room()]
    return min([limit for limit in limits if limit], default=available)


def _cgroup_room() -> int | None:
    top = _read_number("/sys/fs/cgroup/memory.max")
    used = _read_number("/sys/fs/cgroup/memory.current")
    return None if top is None or used is None else max(top - used, 1)


def _read_number(path: str, key: str = "", unit: int = 1) -> int | None:
    from pathlib import Path

    try:
        lines = Path(path).read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    words = next((line.removeprefix(key).split() for line in lines if line.startswith(key)), [])
    return int(words[0]) * unit if words and words[0].isdigit() else None
