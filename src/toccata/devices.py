"""Select the device and the precision of a model."""

from __future__ import annotations

import platform
from dataclasses import dataclass

import torch

from toccata.errors import InputError


@dataclass(frozen=True)
class Precision:
    """A precision of the language model.

    int4 is experimental: of trained weights, it was measured only with `mini`'s.

    Attributes:
        name: fp32, bf16, fp16, int8 or int4.
        dtype: The dtype of weights and activations; in int8 and int4, of those that are not
            quantised.
    """

    name: str
    dtype: torch.dtype

    @property
    def compressed(self) -> bool:
        """Whether the matrices of layers are quantised."""
        return self.name.startswith("int")

    @property
    def experimental(self) -> bool:
        """Whether loading it logs a warning."""
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
# The machines on which the kernels for int8 are fast.
X86 = ("x86_64", "amd64")


def pick_device(device: str | torch.device | None = None) -> torch.device:
    """Check a device, or select the best one.

    Raises:
        InputError: If this machine does not have the device.
    """
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
    """Check a precision, or select the default of the device for None and auto.

    Raises:
        InputError: If there is no such precision, or the device does not support it.
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
    # GPUs before Ampere emulate bfloat16, which is slow, and have no attention kernels for it.
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
