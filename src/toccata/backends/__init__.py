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
    """Return the name of the fastest backend for a decoder, by its device and quantisation."""
    from toccata.backends.packed_cpu import fits

    if decoder.out_norm.weight.device.type == "cuda":
        return "cuda_graphs"
    return "packed_cpu" if fits(decoder) else "torch_eager"


def create(name: str, decoder: Decoder) -> Backend:
    """Import the backend `name` and create it for `decoder`.

    Raises:
        InputError: If no backend has this name, or it cannot run this decoder.
    """
    if name not in BACKENDS:
        raise InputError("backend", name, "use one of " + ", ".join(BACKENDS))
    module, attribute = BACKENDS[name]
    backend: Backend = getattr(import_module(module), attribute)(decoder)
    return backend
