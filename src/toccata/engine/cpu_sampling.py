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
"""Codebooks that one thread samples: fewer take less time than waking a second thread."""


class CpuSampling:
    """Samples the codes that `sampling.sample` draws from guided logits, by the same rules.

    Args:
        params: The sampling parameters of N requests.
        rows: The rows of the logits with the conditional, the style and the unconditional branch
            of each request.
        card: The number of codes in a codebook.
    """

    def __init__(
        self,
        params: Sequence[SamplingParams],
        rows: tuple[Sequence[int], Sequence[int], Sequence[int]],
        card: int,
    ) -> None:
        cond, style, uncond = (np.array(branch, np.int64) for branch in rows)
        self._branches = Branches(
            cond,
            style,
            uncond,
            np.array([p.cfg for p in params], np.float32),
            np.array([p.cfg_beta for p in params], np.float32),
        )
        self._limits = Limits(
            np.array([p.temperature for p in params], np.float64),
            np.array([k_of(p, card) for p in params], np.int64),
            np.array([p_of(p) for p in params], np.float64),
        )
        self._workspace = _workspace(0, card)

    def __call__(
        self, logits: Tensor, uniform: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], list[bool]]:
        """Sample one code per request and codebook.

        Args:
            logits: [rows, K, card] float32.
            uniform: Random numbers in [0, 1), [N, K].

        Returns:
            Codes [N, K], and for each of the N requests whether all of its logits were finite.
        """
        codes = np.empty(uniform.shape, np.int64)
        finite = np.empty(uniform.shape, np.bool_)
        threads = max(1, min(torch.get_num_threads(), codes.size // TASKS_PER_THREAD))
        tasks = codes.size if threads > 1 else 1
        if len(self._workspace[0]) != tasks:
            self._workspace = _workspace(tasks, logits.shape[2])
        thread_team.run(
            choose, CHOOSE_LOOPS, threads, logits.contiguous().numpy(),
            self._branches, self._limits, uniform, codes, finite, *self._workspace,
        )  # fmt: skip
        return codes, [bool(request.all()) for request in finite]


def _workspace(tasks: int, card: int) -> tuple[NDArray[Any], ...]:
    """Allocate guided logits, weights and heaps for so many codebooks at once."""
    return tuple(np.empty((tasks, card), kind) for kind in (np.float32, np.float64, np.int32))
