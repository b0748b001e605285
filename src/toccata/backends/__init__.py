"""Backends run the decoder: one interface (base), a reference (torch_eager) and fast variants."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from toccata.errors import InputError

if TYPE_CHECKING:
    from toccata.backends.base import Backend
    from toccata.decoder.decoder import Decoder

BACKENDS = {
    "torch_eager": ("toccata.backends.torch_eager", "TorchEager"),
    "packed_cpu": ("toccata.backends.packed_cpu", "PackedCpu"),
    "cuda_graphs": ("toccata.backends.cuda_graphs", "CudaGraphs"),
}


def best(decoder: Decoder) -> str:
    """The name of the fastest backend for `decoder`, where it is and as it is."""
    from toccata.backends.packed_cpu import fits

    if decoder.out_norm.weight.device.type == "cuda":
        return "cuda_graphs"
    return "packed_cpu" if fits(decoder) else "torch_eager"


def create(name: str, decoder: Decoder) -> Backend:
    """The backend `name` over `decoder`; imported on use. Raises InputError for an unknown name."""
    if name not in BACKENDS:
        raise InputError("backend", name, "use one of " + ", ".join(BACKENDS))
    module, attribute = BACKENDS[name]
    backend: Backend = getattr(import_module(module), attribute)(decoder)
    return backend
