"""Cross-entropy of the codes of several items, by codebook."""

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
    """Group items whose prefixes have one length: a prefix shifts all positions of a batch."""
    groups: dict[int, list[Pair]] = defaultdict(list)
    for item, conditions in pairs:
        prefix = conditions.prefix
        groups[0 if prefix is None else len(prefix)].append((item, conditions))
    yield from groups.values()


def book_sums(decoder: Decoder, pairs: Sequence[Pair]) -> Tensor:
    """Sum the losses of one group over its frames.

    Args:
        decoder: The language model.
        pairs: Items and their conditions, with prefixes of one length.

    Returns:
        Nats by codebook [K]; padding does not count.
    """
    config, place = decoder.config, next(decoder.parameters()).device
    codes = _codes([item for item, _ in pairs], config.special_id).to(place)
    steps = delay.apply(codes, config.delays, config.special_id)
    conditions = [one for _, one in pairs]
    memory, mask = _memory(conditions)
    logits = decoder(
        steps[..., :-1],
        prefix=_prefix(conditions),
        memory=memory,
        memory_mask=mask,
        step_conditioning=_step_conditioning(conditions, steps.shape[2] - 1, config.dim),
    )
    # Unbound, not sliced: a slice fills a gradient of the whole for each codebook.
    return torch.stack(
        [
            F.cross_entropy(
                book.flatten(0, 1), targets.flatten(), ignore_index=config.special_id,
                reduction="sum",
            )
            for book, targets in zip(logits.unbind(1), steps[..., 1:].unbind(1), strict=True)
        ]
    )  # fmt: skip


def _codes(items: Sequence[Item], special_id: int) -> Tensor:
    """Codes [B, K, T], padded with the special id to the longest."""
    longest = max(item.codes.shape[1] for item in items)
    codes = [torch.from_numpy(item.codes.astype(np.int64)) for item in items]
    return torch.stack([F.pad(one, (0, longest - one.shape[1]), value=special_id) for one in codes])


def _prefix(conditions: Sequence[Conditions]) -> Tensor | None:
    rows = [one.prefix for one in conditions if one.prefix is not None]
    return torch.stack(rows) if rows else None


def _memory(conditions: Sequence[Conditions]) -> tuple[Tensor | None, Tensor | None]:
    """Texts [B, L, D], padded to the longest, and the mask of their rows [B, L]."""
    texts = [one.text for one in conditions if one.text is not None]
    if not texts:
        return None, None
    longest = max(len(text) for text in texts)
    memory = torch.stack([F.pad(text, (0, 0, 0, longest - len(text))) for text in texts])
    lengths = torch.tensor([len(text) for text in texts], device=memory.device)
    return memory, torch.arange(longest, device=memory.device) < lengths[:, None]


def _step_conditioning(conditions: Sequence[Conditions], steps: int, dim: int) -> Tensor | None:
    """Per-step conditioning [B, steps, D]; zeros for items without one."""
    known = next(
        (one.step_conditioning for one in conditions if one.step_conditioning is not None), None
    )
    if known is None:
        return None
    nothing = known.new_zeros(steps, dim)
    rows = [
        nothing if one.step_conditioning is None else one.step_conditioning[:steps]
        for one in conditions
    ]
    return torch.stack(rows)
