"""Guidance and sampling of a batch on a CPU, in one compiled call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from toccata.engine.sampling import k_of, p_of
from toccata.kernels import thread_team
from toccata.kernels.sampling import CHOOSE_LOOPS, Branches, Limits, choose
from toccata.models.sampling_params import SamplingParams

TASKS_PER_THREAD = 8
"""Codebooks of requests. Fewer are drawn before a second thread has woken up."""


class CpuSampling:
    """The same codes as `sampling.sample` draws of guided logits; see there for the rules."""

    def __init__(
        self,
        params: Sequence[SamplingParams],
        rows: tuple[Sequence[int], Sequence[int], Sequence[int]],
        card: int,
    ) -> None:
        """rows: those of the logits that are each request's cond, style and null half."""
        cond, style, null = (np.array(half, np.int64) for half in rows)
        self._halves = Branches(
            cond,
            style,
            null,
            np.array([p.cfg for p in params], np.float32),
            np.array([p.cfg_beta for p in params], np.float32),
        )
        self._limits = Limits(
            np.array([p.temperature for p in params], np.float64),
            np.array([k_of(p, card) for p in params], np.int64),
            np.array([p_of(p) for p in params], np.float64),
        )
        self._room = _room(0, card)

    def __call__(
        self, logits: Tensor, uniform: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], list[bool]]:
        """logits [rows, K, card] float32, uniform [N, K] -> codes [N, K], which are finite [N]."""
        codes = np.empty(uniform.shape, np.int64)
        finite = np.empty(uniform.shape, np.bool_)
        threads = max(1, min(torch.get_num_threads(), codes.size // TASKS_PER_THREAD))
        rooms = codes.size if threads > 1 else 1
        if len(self._room[0]) != rooms:
            self._room = _room(rooms, logits.shape[2])
        thread_team.run(
            choose, CHOOSE_LOOPS, threads, logits.contiguous().numpy(),
            self._halves, self._limits, uniform, codes, finite, *self._room,
        )  # fmt: skip
        return codes, [bool(request.all()) for request in finite]


def _room(tasks: int, card: int) -> tuple[NDArray[Any], ...]:
    """For guided logits, weights and heaps."""
    return tuple(np.empty((tasks, card), kind) for kind in (np.float32, np.float64, np.int32))
