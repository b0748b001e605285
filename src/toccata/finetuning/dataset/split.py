"""Which songs are held out for validation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from toccata.finetuning.dataset.dataset_options import FolderOptions

_FEW = 5  # of fewer songs, none can be spared


def held_out(names: Iterable[str], options: FolderOptions) -> frozenset[str]:
    """About `held_out_share` of the songs; of 5 and more at least one, of fewer none.

    A song's place depends on its name and the seed, so that new songs move no old one; only the
    one that is held out so that there is one at all may change.
    """
    places = {name: _place(name, options.seed) for name in names}
    if len(places) < _FEW or options.held_out_share == 0:
        return frozenset()
    chosen = frozenset(name for name, place in places.items() if place < options.held_out_share)
    return chosen or frozenset([min(places, key=lambda name: places[name])])


def _place(name: str, seed: int) -> float:
    """From 0 to 1."""
    digest = hashlib.sha256(f"{seed} {name}".encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:8]) / 2**64
