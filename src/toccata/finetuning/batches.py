"""The items of each step and their dropped conditions, a function of seed and step alone.

A run that is resumed, or distributed over processes, therefore sees the same as any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toccata.errors import InputError
from toccata.finetuning.conditions import ActiveConditions
from toccata.finetuning.dataset import Item
from toccata.finetuning.options import FinetuneOptions

# More would take longer than their information is worth.
MAX_HELD = 64

Example = tuple[Item, ActiveConditions]


@dataclass(frozen=True, eq=False)
class Step:
    """The data of one step: this process's `batches`, and the `frames` of all processes."""

    batches: Sequence[Sequence[Example]]
    frames: int


class Sampler:
    """Draws the items of a step: every item once in an epoch, each epoch in another order."""

    def __init__(
        self, items: Sequence[Item], options: FinetuneOptions, rank: int = 0, world: int = 1
    ) -> None:
        """Raises InputError if there is nothing to train on."""
        self._items = [item for item in items if not item.held_out]
        if not self._items:
            problem = f"has {len(items)} chunks, all of them held out"
            raise InputError("data", None, "add more music", problem)
        self._options, self._rank, self._world = options, rank, world

    def __call__(self, step: int) -> Step:
        options = self._options
        size = options.batch * options.accumulate * self._world
        examples = [self._example(step * size + place) for place in range(size)]
        own = examples[self._rank :: self._world]
        batches = [own[i : i + options.batch] for i in range(0, len(own), options.batch)]
        return Step(batches, sum(item.codes.shape[1] for item, _ in examples))

    def _example(self, number: int) -> Example:
        epoch, place = divmod(number, len(self._items))
        order = np.random.default_rng([self._options.seed, epoch]).permutation(len(self._items))
        return self._items[order[place]], self._active(number)

    def _active(self, number: int) -> ActiveConditions:
        options = self._options
        draws = np.random.default_rng([options.seed, 1, number]).random(3)
        dropped = draws < (options.drop_caption, options.drop_melody, options.drop_beats)
        return ActiveConditions(*(not one for one in dropped.tolist()))


def held_out(items: Sequence[Item], rank: int = 0, world: int = 1) -> list[Example]:
    """Select this process's validation items, of at most `MAX_HELD`, every other without melody."""
    every = [item for item in items if item.held_out]
    own = every[:: -(-len(every) // MAX_HELD) or 1]
    examples = [(item, ActiveConditions(melody=place % 2 == 0)) for place, item in enumerate(own)]
    return examples[rank::world]


def digest(items: Sequence[Item]) -> str:
    """A digest of all that a run is trained on and validated with."""
    total = hashlib.sha256()
    for item in items:
        total.update(f"{item.name}\0{item.start_s}\0{item.caption}\0{item.held_out}\0".encode())
        total.update(np.ascontiguousarray(item.codes).tobytes())
    return total.hexdigest()[:16]
