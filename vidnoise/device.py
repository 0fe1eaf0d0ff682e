"""Which processor and which precision to use, and why."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidnoise.errors import DeviceError, UsageError
from vidnoise.options import Option, check

if TYPE_CHECKING:
    import torch as torch_

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")


@dataclass(frozen=True)
class Device:
    """Where filters compute, in which type their inner arithmetic may run, and the reason in words.

    Frames stay float32 outside the filters; `dtype` is for networks, and with `int8` those that were prepared for it
    compute in 8 bits where that costs next to nothing. `tile` forces tiles of that many pixels a side, and `batch` that
    many frames at once on filters without memory; 0 leaves the choice to the memory there is.
    """

    torch: torch_.device
    dtype: torch_.dtype
    why: str
    tile: int = 0
    batch: int = 0
    int8: bool = False

    @property
    def is_cuda(self) -> bool:
        """Whether this is an NVIDIA GPU."""
        return self.torch.type == "cuda"


def check_device(device: object) -> None:
    """Hold what shall be a device against what is one.

    Raises:
        UsageError: it is another thing, such as its name.
    """
    if not isinstance(device, Device):
        raise UsageError(f"device={device!r} is no Device; write vidnoise.device.choose('cpu')")


def choose(device: str = "auto", precision: str = "auto", tile: int = 0, batch: int = 0) -> Device:
    """Pick a device and a precision.

    Raises:
        UsageError: a word that is not in `DEVICES` or `PRECISIONS`, a number that is not whole or below 0.
        DeviceError: `cuda` was asked for and there is none, or the device cannot compute in this precision.
    """
    if device not in DEVICES:
        raise UsageError(f"device {device!r} is not known; it is one of {', '.join(DEVICES)}")
    if precision not in PRECISIONS:
        raise UsageError(f"precision {precision!r} is not known; it is one of {', '.join(PRECISIONS)}")
    check("device", "tile", tile, int, Option(help="", low=0, unit="pixels"))
    check("device", "batch", batch, int, Option(help="", low=0, unit="frames"))
    import torch

    where, reason = (None, "asked for") if device == "cpu" else _gpu()
    if device == "cuda" and where is None:
        raise DeviceError(f"--device cuda was asked for, but {reason}; use --device cpu or auto")
    where = where or torch.device("cpu")
    dtype, int8, words = _precision(precision, where)
    return Device(where, dtype, f"{where.type}: {reason}; {words}", tile, batch, int8)


def _gpu() -> tuple[torch_.device | None, str]:
    """The GPU that PyTorch works on, and that it is there; or None, and why."""
    import torch

    if not torch.cuda.is_available():
        missing = torch.version.cuda is None
        return None, "this build of PyTorch has no CUDA" if missing else "no NVIDIA GPU was found"
    try:
        index, name = torch.cuda.current_device(), torch.cuda.get_device_name()
    except RuntimeError as failure:
        # Another program has it alone, or it was used before this process was forked.
        why = str(failure).strip().partition("\n")[0]
        return None, f"the NVIDIA GPU cannot be used here ({why})"
    return torch.device("cuda", index), f"an NVIDIA GPU is present ({name})"


def _precision(precision: str, where: torch_.device) -> tuple[torch_.dtype, bool, str]:
    """The type that networks compute in, whether in 8 bits where they can, and why."""
    import torch

    types = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if precision == "fp16" and where.type == "cpu":
        raise DeviceError("fp16 is slow and inexact on a CPU; use --precision bf16 or fp32")
    if precision in types:
        # PyTorch's own default, which a program may change, gives convolutions there 11 bits of each sample.
        short = where.type == "cuda" and precision == "fp32" and torch.backends.cudnn.allow_tf32
        words = ", its convolutions in TF32 unless torch.backends.cudnn.allow_tf32 = False" if short else ""
        return types[precision], False, f"{precision}: asked for{words}"
    if where.type == "cuda":
        if precision == "int8":
            raise DeviceError("int8 is for CPUs; on a GPU use --precision fp16")
        return torch.float16, False, "fp16: fastest on a GPU"
    from vidnoise.nets.rounded import works

    if multiplies_bfloat16(where):
        dtype, words = torch.bfloat16, "bf16: this CPU multiplies bfloat16 in hardware"
    else:
        dtype, words = torch.float32, "fp32: this CPU has no bfloat16 arithmetic"
    int8 = "avx2" in cpu_features() and works()
    if precision == "int8" and not int8:
        raise DeviceError(
            "int8 was asked for, but this CPU or this build of PyTorch cannot; use --precision auto"
        )
    if int8:
        words += "; int8: bytes where networks are prepared for them"
    return dtype, int8, words


def multiplies_bfloat16(where: torch_.device) -> bool:
    """Whether a device has bfloat16 arithmetic: without it a CPU takes tens of times as long as in float32."""
    import torch

    if where.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & cpu_features())


def cpu_features() -> set[str]:
    """The instruction sets of this CPU as Linux names them; none where that is not known."""
    return set((_cpuinfo("flags") or _cpuinfo("Features")).split())


def cpu_name() -> str:
    """What this CPU is called; its architecture where nobody says."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _cpuinfo(key: str) -> str:
    """What Linux says of the first CPU; nothing where it does not."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            found = (line.partition(":") for line in lines)
            return next((value.strip() for name, _, value in found if name.strip() == key), "")
    except OSError:
        return ""


SHARE = 0.4
"""The share of the free memory that one filter's working memory may take."""


def working_memory(device: Device) -> float:
    """Bytes that one filter may work with there."""
    return SHARE * free_memory(device)


def free_memory(device: Device) -> int:
    """Bytes that may be used there now: free memory of the GPU, or what the system and its control group leave."""
    import torch

    if device.is_cuda:
        # What earlier work has left with PyTorch is taken before more is asked of the system.
        idle = torch.cuda.memory_reserved(device.torch) - torch.cuda.memory_allocated(device.torch)
        return int(torch.cuda.mem_get_info(device.torch)[0] + idle)
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
