"""How a fine-tuning run is made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace

from toccata.decoder.lora import LoraConfig
from toccata.errors import InputError, InputErrors

LORA, FULL = "lora", "full"
KINDS = (LORA, FULL)
PRECISIONS = ("fp32", "bf16", "fp16")
DEFAULT_STEPS = 1000
# A LoRA starts from nothing and stands a rate that would wreck the weights themselves.
DEFAULT_LR = {LORA: 5e-4, FULL: 2e-5}
# What another run may have different and still go on with the state of the last one.
MAY_CHANGE = ("steps", "minutes", "validate_every", "patience", "recompute")


@dataclass(frozen=True)
class FinetuneOptions:
    """kind: lora trains low-rank updates, full the whole decoder. lora: their size.

    steps, minutes: the run's length, whichever is reached first; 0 is no limit, and without any
        limit it is `DEFAULT_STEPS`. The learning rate falls to `lr_end` of itself by then.
    batch: items at once, on each device; accumulate: batches to one step. lr 0: by kind.
    drop_caption, drop_melody, drop_beats: how often each is dropped, so that guidance has
        something to lead away from. clip: the gradient's greatest norm.
    ema: decay of the moving average that is measured and kept; 0 keeps the weights themselves.
    validate_every: steps between two looks at the held-out items. patience: how many of them may
        bring nothing new before the run ends; 0: any number.
    precision: fp32, bf16 or fp16; "" is by device. recompute: keep no activations of layers, but
        compute them twice.
    trigger: words put before every caption, to call for what was learnt.
    keep: clips that the model makes before it is trained, and learns beside the music, so that it
        stays able to do the rest.
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

    def settled(self) -> FinetuneOptions:
        """Checked, with the length and the learning rate filled in. Raises InputErrors."""
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
    """Raises InputError for the first option that differs from those of the run so far, which are
    JSON; those of `MAY_CHANGE` may.
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
