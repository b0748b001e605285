"""Cross-entropy of the codes of several items, by codebook, as the decoder hears them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from toccata.conditioners.base import Conditions
from toccata.decoder import delay
from toccata.decoder.decoder import Decoder
from toccata.finetuning.dataset import Item

Pair = tuple[Item, Conditions]


def grouped(pairs: Sequence[Pair]) -> Iterator[list[Pair]]:
    """Those that can be computed together: a prefix shifts all positions, so it must be as long."""
    groups: dict[int, list[Pair]] = defaultdict(list)
    for item, conditions in pairs:
        prefix = conditions.prefix
        groups[0 if prefix is None else len(prefix)].append((item, conditions))
    yield from groups.values()


def book_sums(decoder: Decoder, pairs: Sequence[Pair]) -> Tensor:
    """Nats of each codebook [K], summed over all frames of one group; padding counts nothing."""
    config, place = decoder.config, next(decoder.parameters()).device
    codes = _codes([item for item, _ in pairs], config.special_id).to(place)
    steps = delay.apply(codes, config.delays, config.special_id)
    given = [conditions for _, conditions in pairs]
    memory, mask = _memory(given)
    logits = decoder(
        steps[..., :-1],
        prefix=_prefix(given),
        memory=memory,
        memory_mask=mask,
        step_conditioning=_step_sums(given, steps.shape[2] - 1, config.dim),
    )
    # Unbound, not sliced: a slice fills a gradient of the whole for each codebook.
    return torch.stack(
        [
            F.cross_entropy(
                book.flatten(0, 1), wanted.flatten(), ignore_index=config.special_id,
                reduction="sum",
            )
            for book, wanted in zip(logits.unbind(1), steps[..., 1:].unbind(1), strict=True)
        ]
    )  # fmt: skip


def _codes(items: Sequence[Item], special_id: int) -> Tensor:
    """[B, K, T] of the longest; the special id after the end of shorter ones."""
    longest = max(item.codes.shape[1] for item in items)
    codes = [torch.from_numpy(item.codes.astype(np.int64)) for item in items]
    return torch.stack([F.pad(one, (0, longest - one.shape[1]), value=special_id) for one in codes])


def _prefix(given: Sequence[Conditions]) -> Tensor | None:
    rows = [one.prefix for one in given if one.prefix is not None]
    return torch.stack(rows) if rows else None


def _memory(given: Sequence[Conditions]) -> tuple[Tensor | None, Tensor | None]:
    """Texts [B, L, D] of the longest, and which rows are there [B, L]."""
    texts = [one.text for one in given if one.text is not None]
    if not texts:
        return None, None
    longest = max(len(text) for text in texts)
    memory = torch.stack([F.pad(text, (0, 0, 0, longest - len(text))) for text in texts])
    lengths = torch.tensor([len(text) for text in texts], device=memory.device)
    return memory, torch.arange(longest, device=memory.device) < lengths[:, None]


def _step_sums(given: Sequence[Conditions], steps: int, dim: int) -> Tensor | None:
    """[B, steps, D]; zeros for who has none."""
    known = next(
        (one.step_conditioning for one in given if one.step_conditioning is not None), None
    )
    if known is None:
        return None
    nothing = known.new_zeros(steps, dim)
    rows = [
        nothing if one.step_conditioning is None else one.step_conditioning[:steps] for one in given
    ]
    return torch.stack(rows)
