"""The options of a fine-tuning run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace

from toccata.decoder.lora import LoraConfig
from toccata.errors import InputError, InputErrors
from toccata.generation.schema import PROMPT
from toccata.generation.values import checked

LORA, FULL = "lora", "full"
KINDS = (LORA, FULL)
PRECISIONS = ("fp32", "bf16", "fp16")
DEFAULT_STEPS = 1000
# Updates from zero tolerate a rate that would destroy pretrained weights.
DEFAULT_LR = {LORA: 5e-4, FULL: 2e-5}
# Options that may change when a run is continued.
MAY_CHANGE = ("steps", "minutes", "validate_every", "patience", "recompute")


@dataclass(frozen=True)
class FinetuneOptions:
    """All options of a run.

    Attributes:
        kind: "lora" trains low-rank updates, "full" the whole decoder.
        lora: Size and place of the updates.
        steps: The length of the run; 0: no limit. Without any limit it is `DEFAULT_STEPS`.
        minutes: The same as time; the limit that is reached first counts.
        batch: Items in a batch on each device.
        accumulate: Batches for each step.
        lr: Peak of the learning rate; 0: `DEFAULT_LR` of the kind.
        lr_end: The learning rate at the end, as a share of `lr`.
        warmup_steps: Steps of linear warm-up.
        weight_decay: AdamW's, for matrices.
        clip: The maximum norm of the gradient.
        drop_caption: Dropout probability of the caption, for classifier-free guidance.
        drop_melody: The same of the melody.
        drop_beats: The same of the beats.
        ema: Decay of the moving average of the weights, which is validated and kept; 0: none.
        validate_every: Steps between two validations.
        patience: Validations without progress before the run ends; 0: no limit.
        precision: "fp32", "bf16" or "fp16"; "": by device.
        recompute: Whether activations are computed again in the backward pass, to save memory.
        seed: Of the order of items, of dropout and of initial updates.
        trigger: Words put before every caption, which later prompts call the style by.
        keep: Clips of the model itself in the dataset, for prior preservation.
    """

    kind: str = LORA
    lora: LoraConfig = field(default_factory=LoraConfig)
    steps: int = 0
    minutes: float = 0.0
    batch: int = 4
    accumulate: int = 1
    lr: float = 0.0
    lr_end: float = 0.1
    warmup_steps: int = 20
    weight_decay: float = 0.01
    clip: float = 1.0
    drop_caption: float = 0.1
    drop_melody: float = 0.5
    drop_beats: float = 0.2
    ema: float = 0.99
    validate_every: int = 50
    patience: int = 5
    precision: str = ""
    recompute: bool = False
    seed: int = 0
    trigger: str = ""
    keep: int = 0

    def resolved(self) -> FinetuneOptions:
        """Check the options and fill in length and learning rate. Raises InputErrors."""
        problems = list(self._problems())
        if problems:
            raise InputErrors(problems)
        steps = self.steps if self.steps or self.minutes else DEFAULT_STEPS
        return replace(self, steps=steps, lr=self.lr or DEFAULT_LR[self.kind])

    def _problems(self) -> Iterator[InputError]:
        for name, words in (("kind", KINDS), ("precision", ("", *PRECISIONS))):
            if (word := getattr(self, name)) not in words:
                yield InputError(name, word, "use one of " + ", ".join(filter(None, words)))
        for name, (low, high) in _LIMITS.items():
            if not low <= (number := getattr(self, name)) <= high:
                yield InputError(name, number, f"use a number from {low:g} to {high:g}")
        try:
            checked(PROMPT, self.trigger)  # later prompts must be able to name it
        except InputError as problem:
            yield problem.renamed("trigger")

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


_LIMITS: Mapping[str, tuple[float, float]] = {
    "steps": (0, 1e9),
    "minutes": (0, 1e6),
    "batch": (1, 4096),
    "accumulate": (1, 4096),
    "lr": (0, 1),
    "lr_end": (0, 1),
    "warmup_steps": (0, 1e6),
    "weight_decay": (0, 1),
    "clip": (1e-6, 1e6),
    "drop_caption": (0, 1),
    "drop_melody": (0, 1),
    "drop_beats": (0, 1),
    "ema": (0, 0.99999),
    "validate_every": (1, 1e6),
    "patience": (0, 1e6),
    "keep": (0, 10_000),
    "seed": (0, 2**63 - 1),
}


def check_same(before: str, now: FinetuneOptions, where: str) -> None:
    """Compare the options of a run that is continued; those of `MAY_CHANGE` may differ.

    Args:
        before: The options so far, as JSON.
        now: The new ones.
        where: The run's folder, for the error.

    Raises:
        InputError: An option differs.
    """
    old = {**asdict(FinetuneOptions()), **json.loads(before)}
    new = json.loads(now.to_json())
    for name, value in new.items():
        if name not in MAY_CHANGE and old[name] != value:
            cure = (
                f"the run in {where} was begun with {old[name]!r}: give that, or another "
                "output, or remove that folder to begin anew"
            )
            raise InputError(name, value, cure)
