"""Choose the device and the precision."""

from __future__ import annotations

import platform
from dataclasses import dataclass

import torch

from toccata.errors import InputError


@dataclass(frozen=True)
class Precision:
    """dtype: of the LM's weights, and of what its matrices are multiplied with. In int8 and int4
    the matrices of its layers are kept in so many bits.

    int4 is experimental: it has been measured on no trained weights but `mini`'s.
    """

    name: str
    dtype: torch.dtype

    @property
    def compressed(self) -> bool:
        return self.name.startswith("int")

    @property
    def experimental(self) -> bool:
        return self.name == "int4"


PRECISIONS = {
    "fp32": Precision("fp32", torch.float32),
    "bf16": Precision("bf16", torch.bfloat16),
    "fp16": Precision("fp16", torch.float16),
    "int8": Precision("int8", torch.float32),
    "int4": Precision("int4", torch.float32),
}
AUTO = "auto"
DEFAULTS = {"cpu": "int8", "cuda": "bf16", "mps": "fp32"}
# Where the kernels for int8 are known to be fast.
X86 = ("x86_64", "amd64")


def pick_device(device: str | torch.device | None = None) -> torch.device:
    """`device` checked, or the best there is. Raises InputError for one this machine lacks."""
    if device is None:
        return torch.device(_best())
    name = str(device)
    kind = name.partition(":")[0]
    if kind not in DEFAULTS:
        raise InputError("device", name, "use " + ", ".join(DEFAULTS))
    if not _available(kind):
        raise InputError("device", name, f"this machine or this torch has no {kind}; use cpu")
    return torch.device(name)


def pick_precision(device: torch.device, name: str | None = None) -> Precision:
    """`name` or, for None and auto, the default of `device`.

    Raises InputError for another name, and for one that the device cannot compute in.
    """
    if name is None or name == AUTO:
        name = _default(device)
    if name not in PRECISIONS:
        raise InputError("precision", name, "use " + ", ".join((AUTO, *PRECISIONS)))
    precision = PRECISIONS[name]
    if precision.compressed and device.type != "cpu":
        raise InputError("precision", name, f"it is for CPUs; on {device.type} use bf16 or fp16")
    return precision


def _default(device: torch.device) -> str:
    name = DEFAULTS[device.type]
    # GPUs before Ampere emulate it: slowly, and without kernels for attention.
    if name == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return "fp16"
    if name == "int8" and platform.machine().lower() not in X86:
        return "fp32"
    return name


def _best() -> str:
    return next(kind for kind in ("cuda", "mps", "cpu") if _available(kind))


def _available(kind: str) -> bool:
    if kind == "cuda":
        return torch.cuda.is_available()
    return kind == "cpu" or torch.backends.mps.is_available()
