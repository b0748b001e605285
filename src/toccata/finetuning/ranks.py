"""Several processes that train one model, as `torchrun` starts them.

Each has a copy and a part of every step, and their gradients are added up.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

# Others wait while the first prepares the data.
PATIENCE = timedelta(hours=12)
# Numbers that are sent in one message.
BUCKET = 2**24


@dataclass(frozen=True)
class Ranks:
    """This process is number `rank` of `world`."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the one that writes and speaks."""
        return self.rank == 0

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Each becomes, in every process, the sum of all. They are of one dtype."""
        if self.world > 1:
            for some in _buckets(tensors):
                together = torch.cat([one.flatten() for one in some])
                dist.all_reduce(together)
                start = 0
                for one in some:
                    one.copy_(together[start : start + one.numel()].view_as(one))
                    start += one.numel()

    def agree(self, values: Tensor) -> Tensor:
        """The greatest of each number that any process has."""
        if self.world > 1:
            dist.all_reduce(values, dist.ReduceOp.MAX)
        return values

    def wait(self) -> None:
        """Until all are here."""
        if self.world > 1:
            dist.barrier()


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Together they take fewer messages, in parts less memory."""
    some: list[Tensor] = []
    for one in tensors:
        if some and sum(other.numel() for other in some) + one.numel() > BUCKET:
            yield some
            some = []
        some.append(one)
    if some:
        yield some


def local_device(name: str | None) -> str | None:
    """`name`, or this process's own GPU of the machine where there are several processes."""
    number = os.environ.get("LOCAL_RANK")
    if number is None or (name or "cuda") != "cuda" or not torch.cuda.is_available():
        return name
    return f"cuda:{number}"


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """The processes that `torchrun` started; this one alone without it."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Ranks()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Ranks(dist.get_rank(), world)
    finally:
        dist.destroy_process_group()
