"""Which device and dtype to compute in, unless the user says."""

from __future__ import annotations

import torch

from toccata.errors import InputError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
DEFAULT_DTYPES = {"cpu": "fp32", "cuda": "bf16", "mps": "fp32"}


def pick_device(name: str | None = None) -> torch.device:
    """`name` checked, or the best there is. Raises InputError for one this machine lacks."""
    if name is None:
        return torch.device(_best())
    kind = name.partition(":")[0]
    if kind not in DEFAULT_DTYPES:
        raise InputError("device", name, "use " + ", ".join(DEFAULT_DTYPES))
    if not _available(kind):
        raise InputError("device", name, f"this machine or this torch has no {kind}; use cpu")
    return torch.device(name)


def pick_dtype(device: torch.device, name: str | None = None) -> torch.dtype:
    """`name` (fp32, bf16, fp16) or the default of `device`. Raises InputError for another name."""
    if name is None:
        name = DEFAULT_DTYPES[device.type]
        if name == "bf16" and not torch.cuda.is_bf16_supported():
            name = "fp16"
    if name not in DTYPES:
        raise InputError("dtype", name, "use " + ", ".join(DTYPES))
    return DTYPES[name]


def _best() -> str:
    return next(kind for kind in ("cuda", "mps", "cpu") if _available(kind))


def _available(kind: str) -> bool:
    if kind == "cuda":
        return torch.cuda.is_available()
    return kind == "cpu" or torch.backends.mps.is_available()
