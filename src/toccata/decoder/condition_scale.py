"""Scales of condition weights and of logits, applied for generation and not for training.

Conditions that are told louder than in training are followed more closely, as by guidance but one
by one. Logits that are sharper are a temperature below 1, codebook by codebook.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from toccata.config_limits import check_limits
from toccata.decoder.decoder import LMConfig
from toccata.errors import CheckpointError


@dataclass(frozen=True)
class ConditionScale:
    """conditions: how many times as loud each is told, by its name; 1 if it is not here.
    sharpness: what the logits of each codebook are multiplied by; none leaves them as they are.

    Raises CheckpointError for what no model needs.
    """

    conditions: Mapping[str, float] = field(default_factory=dict)
    sharpness: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_limits(self)

    def check(self, config: LMConfig) -> None:
        """Raises CheckpointError if it is not of a decoder of that shape."""
        for name in self.conditions:
            if name not in config.cond_dims:
                known = ", ".join(config.cond_dims)
                raise CheckpointError(f"emphasis has {name!r}, but it must be one of {known}")
        if self.sharpness and len(self.sharpness) != config.codebooks:
            raise CheckpointError(
                f"emphasis has a sharpness for {len(self.sharpness)} codebooks, but the model has "
                f"{config.codebooks}"
            )

    def of(self, name: str) -> float:
        """By what a decoder's tensor of that name is multiplied."""
        part, _, rest = name.partition(".")
        which = rest.partition(".")[0]
        if part == "projections":
            return self.conditions.get(which, 1.0)
        return self.sharpness[int(which)] if part == "heads" and self.sharpness else 1.0


def emphasized(emphasis: ConditionScale, name: str, weight: Tensor) -> Tensor:
    """A decoder's tensor of that name as it makes music; itself where nothing is emphasised."""
    times = emphasis.of(name)
    return weight if times == 1 else weight.detach().float() * times
