"""Draws that every part of the grammar makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def one(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """Any of them, all alike."""
    return choices[int(rng.integers(len(choices)))]


def weighted(rng: np.random.Generator, shares: Mapping[T, float]) -> T:
    """A key, as often as its share of the sum says."""
    at = rng.random() * sum(shares.values())
    for choice, share in shares.items():
        at -= share
        if at < 0:
            return choice
    return choice


def shuffled(rng: np.random.Generator, items: Sequence[T]) -> list[T]:
    return [items[i] for i in rng.permutation(len(items))]
