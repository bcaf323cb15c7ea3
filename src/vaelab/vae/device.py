"""Where the nets run, and in what precision."""

from __future__ import annotations

import torch

from vaelab.runtime.errors import UserError


def select_device(name: str) -> torch.device:
    """`auto` takes a CUDA device, then Apple's, then the CPU.

    Raises UserError where the device asked for by name is not there.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.mps.is_available()}
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if available[kind]))
    device = torch.device(name)
    there = available[device.type] and (
        device.type != "cuda" or (device.index or 0) < torch.cuda.device_count()
    )
    if not there:
        here = ", ".join(kind for kind, has in available.items() if has)
        raise UserError(f"device is {name!r}, which this machine lacks; it has: {here}")
    return device


def select_precision(name: str, device: torch.device) -> torch.dtype:
    """The nets' dtype: `auto` takes bfloat16 where the device computes faster in it.

    Of CPUs, those with matrix units for it (AMX): AVX512_BF16 alone can be the slower one.
    """
    if name != "auto":
        return torch.bfloat16 if name == "bfloat16" else torch.float32
    if device.type == "cuda":
        faster = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        faster = bool(torch.cpu.get_capabilities().get("amx_bf16"))
    else:
        faster = False
    return torch.bfloat16 if faster else torch.float32
