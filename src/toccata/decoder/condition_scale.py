"""Scales of condition weights and of logits, applied for generation and not for training.

A condition whose embedding is scaled up is followed more closely, as by guidance, but each
condition has its own scale. A factor on logits is an inverse temperature, which each codebook has.
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
    """Factors on condition embeddings and on logits.

    Attributes:
        conditions: The scale of each condition's embedding, by its name; 1 if it is missing.
        inverse_temperature: The factor on the logits of each codebook; empty for 1.

    Raises:
        CheckpointError: If a factor is out of range.
    """

    conditions: Mapping[str, float] = field(default_factory=dict)
    inverse_temperature: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_limits(self)

    def check(self, config: LMConfig) -> None:
        """Raise CheckpointError if the decoder has other conditions or codebooks."""
        for name in self.conditions:
            if name not in config.cond_dims:
                known = ", ".join(config.cond_dims)
                raise CheckpointError(
                    f"condition_scale has {name!r}, but it must be one of {known}"
                )
        if self.inverse_temperature and len(self.inverse_temperature) != config.codebooks:
            raise CheckpointError(
                "condition_scale has an inverse_temperature for "
                f"{len(self.inverse_temperature)} codebooks, but the model has {config.codebooks}"
            )

    def of(self, name: str) -> float:
        """Return the factor on a decoder's tensor, by the tensor's name."""
        part, _, rest = name.partition(".")
        which = rest.partition(".")[0]
        if part == "projections":
            return self.conditions.get(which, 1.0)
        if part == "heads" and self.inverse_temperature:
            return self.inverse_temperature[int(which)]
        return 1.0


def scaled(scale: ConditionScale, name: str, weight: Tensor) -> Tensor:
    """Return a decoder's tensor times its factor; the tensor itself where the factor is 1."""
    factor = scale.of(name)
    return weight if factor == 1 else weight.detach().float() * factor
