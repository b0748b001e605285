"""Data-parallel training by several processes, as `torchrun` starts them.

Each has a copy of the model and a part of every batch, and their gradients are summed.
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

# The other processes wait while the first one prepares the data.
DATA_TIMEOUT = timedelta(hours=12)
# Numbers in one all-reduce.
BUCKET = 2**24


@dataclass(frozen=True)
class Ranks:
    """This process is number `rank` of `world`."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and logs."""
        return self.rank == 0

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes. They have one dtype."""
        if self.world > 1:
            for some in _buckets(tensors):
                together = torch.cat([one.flatten() for one in some])
                dist.all_reduce(together)
                start = 0
                for one in some:
                    one.copy_(together[start : start + one.numel()].view_as(one))
                    start += one.numel()

    def agree(self, values: Tensor) -> Tensor:
        """The maximum of each number over all processes."""
        if self.world > 1:
            dist.all_reduce(values, dist.ReduceOp.MAX)
        return values

    def wait(self) -> None:
        """Wait for all processes."""
        if self.world > 1:
            dist.barrier()


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Groups of tensors: fewer messages than one each, less memory than all at once."""
    some: list[Tensor] = []
    for one in tensors:
        if some and sum(other.numel() for other in some) + one.numel() > BUCKET:
            yield some
            some = []
        some.append(one)
    if some:
        yield some


def local_device(name: str | None) -> str | None:
    """The device `name`, or this process's own GPU if there are several processes."""
    number = os.environ.get("LOCAL_RANK")
    if number is None or (name or "cuda") != "cuda" or not torch.cuda.is_available():
        return name
    return f"cuda:{number}"


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """Join the processes that `torchrun` started; without it there is this one alone."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Ranks()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=DATA_TIMEOUT)
    try:
        yield Ranks(dist.get_rank(), world)
    finally:
        dist.destroy_process_group()
