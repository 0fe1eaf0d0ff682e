"""`vidnoise devices`: which processor and precision would be used and why, and what else this machine has."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from typing import Any

import click

from vidnoise.cli.options import SectionCommand, debug_option, device_options, json_option
from vidnoise.cli.record import emit

FEATURES = (
    "avx2", "f16c", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd",
    "bf16", "sve",
)  # fmt: skip
"""Instruction sets that make networks and OpenCV faster."""


@dataclass(frozen=True)
class Machine:
    """What vidnoise finds. `gpus` and `cpu` are in words, versions by name, codecs as FFmpeg calls them.

    `failed_encoders` and `failed_decoders` say by family why it did not work here.
    """

    device: str
    precision: str
    why: str
    memory_free: int
    cpu: str
    cpu_features: list[str]
    processors: int
    gpus: list[str]
    versions: dict[str, str]
    hardware_encoders: list[str]
    hardware_decoders: list[str]
    failed_encoders: dict[str, str]
    failed_decoders: dict[str, str]


@click.command(
    cls=SectionCommand,
    short_help="Explain which processor and precision would be used, and why.",
    help="Explain which processor and precision would be used, and why; list GPUs, what the CPU can do, versions, "
    "and the hardware encoders and decoders that work here (each is tried).",
)
@device_options
@json_option("Print all of it as one line of JSON.")
@debug_option
def devices(device: str, precision: str, as_json: bool) -> None:
    """Look at the machine and say what was found."""
    machine = look(device, precision)
    if as_json:
        emit(asdict(machine))
    else:
        _show(machine)


def look(device: str = "auto", precision: str = "auto") -> Machine:
    """Find out what there is; takes a second or two, since hardware codecs are tried.

    Raises:
        DeviceError: the device or the precision asked for is not available.
    """
    from vidnoise.cli.hardware import decoders, encoders
    from vidnoise.device import choose, cpu_features, cpu_name, free_memory

    chosen = choose(device, precision)
    present = cpu_features()
    encoding, no_encoder = encoders()
    decoding, no_decoder = decoders()
    return Machine(
        device=str(chosen.torch),
        precision=str(chosen.dtype).removeprefix("torch.") + (" and int8" if chosen.int8 else ""),
        why=chosen.why,
        memory_free=free_memory(chosen),
        cpu=cpu_name(),
        cpu_features=[feature for feature in FEATURES if feature in present],
        processors=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        gpus=_gpus(),
        versions=_versions(),
        hardware_encoders=encoding,
        hardware_decoders=decoding,
        failed_encoders=no_encoder,
        failed_decoders=no_decoder,
    )


def _show(machine: Machine) -> None:
    from vidnoise.cli.console import out, table

    rows = table("", "")
    rows.show_header = False
    rows.add_row("would be used", machine.why)
    rows.add_row("free memory there", f"{machine.memory_free / 2**30:.1f} GiB")
    rows.add_row("CPU", f"{machine.cpu}, {machine.processors} processors")
    rows.add_row("CPU features", ", ".join(machine.cpu_features) or "none that matter")
    rows.add_row("GPUs", "\n".join(machine.gpus) or "none that PyTorch can use")
    rows.add_row("versions", "\n".join(f"{name} {version}" for name, version in machine.versions.items()))
    rows.add_row("hardware encoders", _codecs(machine.hardware_encoders, machine.failed_encoders))
    rows.add_row("hardware decoders", _codecs(machine.hardware_decoders, machine.failed_decoders))
    out().print(rows)
    out().print(
        "--device and --precision of the main job change the choice; --codec NAME takes a hardware encoder."
    )


def _codecs(working: list[str], failed: dict[str, str]) -> str:
    tried = f" (tried without success: {', '.join(failed)})" if failed else ""
    return (", ".join(working) or "none works here") + tried


def _gpus() -> list[str]:
    import torch

    if not torch.cuda.is_available():
        return []
    try:
        found = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    except RuntimeError:  # `choose` says why
        return []
    return [
        f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB, compute {gpu.major}.{gpu.minor}" for gpu in found
    ]


def _versions() -> dict[str, str]:
    import av
    import torch

    import vidnoise

    versions: dict[str, Any] = {
        "vidnoise": vidnoise.__version__,
        "Python": platform.python_version(),
        "PyTorch": torch.__version__,
        "CUDA": torch.version.cuda or "not in this build of PyTorch",
        "PyAV": av.__version__,
        "FFmpeg": av.ffmpeg_version_info,
        "OpenCV": _opencv(),
    }
    return {name: str(version) for name, version in versions.items()}


def _opencv() -> str:
    """Its version; where it cannot load, that is worth knowing here rather than a reason to end."""
    from vidnoise.cli.errors import message

    try:
        import cv2
    except ImportError as failure:
        return f"cannot be used: {message(failure)}"
    return str(cv2.__version__)
