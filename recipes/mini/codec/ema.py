"""A moving average of weights, which is better than the last of them (Polyak and Juditsky 1992)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MovingAverage:
    """Of all parameters and buffers of a module; at first it is their plain mean."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self._module = module
        self.weights = {name: value.clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are now."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        now = self._module.state_dict()
        floats = [name for name, value in self.weights.items() if value.is_floating_point()]
        torch._foreach_lerp_(
            [self.weights[name] for name in floats], [now[name] for name in floats], 1 - decay
        )

    def state_dict(self) -> dict[str, Tensor | int]:
        return {"updates": self.updates, **self.weights}

    def load_state_dict(self, state: dict[str, Tensor | int]) -> None:
        self.updates = int(state["updates"])
        for name, weight in self.weights.items():
            weight.copy_(torch.as_tensor(state[name]))
