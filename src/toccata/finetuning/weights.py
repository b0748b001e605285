"""The trained weights and their exponential moving average."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from toccata.decoder.decoder import Decoder
from toccata.decoder.lora import adapt
from toccata.finetuning.moving_average import MovingAverage
from toccata.finetuning.options import FULL, FinetuneOptions

Tensors = dict[str, Tensor]


class Weights:
    """The weights of a decoder that are trained, and their moving average, if there is one."""

    def __init__(self, decoder: Decoder, options: FinetuneOptions) -> None:
        prepare(decoder, options)
        self.trained = {name: one for name, one in decoder.named_parameters() if one.requires_grad}
        self.average = MovingAverage(self.trained, options.ema) if options.ema else None

    @property
    def count(self) -> int:
        return sum(one.numel() for one in self.trained.values())

    def groups(self, weight_decay: float) -> list[dict[str, object]]:
        """The optimiser's parameter groups; only matrices have weight decay."""
        matrices = [one for one in self.trained.values() if one.dim() > 1]
        others = [one for one in self.trained.values() if one.dim() < 2]
        groups = ((matrices, weight_decay), (others, 0.0))
        return [{"params": some, "weight_decay": decay} for some, decay in groups if some]

    def follow(self, step: int) -> None:
        """Move the average towards the weights after step number `step`, the first being 0."""
        if self.average is not None:
            self.average.update(self.trained, step)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Swap the weights and their average in the block, which takes no memory."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        averages = {} if self.average is None else self.average.weights
        for name, average in averages.items():
            kept = self.trained[name].clone()
            self.trained[name].copy_(average)
            average.copy_(kept)

    def values(self) -> Tensors:
        """The trained weights themselves, not copies."""
        return {name: one.detach() for name, one in self.trained.items()}

    @torch.no_grad()
    def put(self, values: Mapping[str, Tensor]) -> None:
        for name, one in self.trained.items():
            one.copy_(values[name])

    def state(self) -> dict[str, Tensors | None]:
        average = None if self.average is None else self.average.weights
        return {"trained": self.values(), "average": average}

    def restore(self, state: Mapping[str, Tensors | None]) -> None:
        self.put(state["trained"] or {})
        average = state["average"]
        if self.average is not None and average is not None:
            self.average.load(average)


def prepare(decoder: Decoder, options: FinetuneOptions) -> None:
    """Mark the weights of `decoder` that are trained; a LoRA adds its own."""
    if options.kind == FULL:
        decoder.requires_grad_(True)
    else:
        adapt(decoder, options.lora, options.seed)
    if options.recompute:
        for layer in decoder.layers:
            _recompute(layer)


def _recompute(layer: nn.Module) -> None:
    """Checkpoint activations: compute them again for the gradient (Chen et al. 2016, section 4)."""
    vars(layer)["forward"] = partial(checkpoint, layer.forward, use_reentrant=False)
