"""The requests of a step as tensors, built when they change and used for many steps."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from toccata.engine.cpu_sampling import CpuSampling
from toccata.engine.sampling import SamplingBatch, guide, sample
from toccata.engine.sequence import Codes, Sequence


class Batch:
    """`members` by slot; `rows` of the cache, ascending, one to three for each member."""

    def __init__(
        self, members: list[Sequence], rows_per_slot: int, card: int, device: torch.device
    ) -> None:
        self.members = members
        self.rows = [rows_per_slot * m.slot + half for m in members for half in range(m.branches)]
        self._owners = [n for n, m in enumerate(members) for _ in range(m.branches)]
        ends = np.cumsum([m.branches for m in members])
        self._guided = any(m.branches > 1 for m in members)
        self._styled = any(m.branches == 3 for m in members)
        self._null = torch.tensor(ends - 1, device=device)
        self._cond = torch.tensor(ends - [m.branches for m in members], device=device)
        # Where there is no style half, the conditioned one stands for it.
        from_end = np.array([2 if m.branches == 3 else m.branches for m in members])
        self._style = torch.tensor(ends - from_end, device=device)
        params = [m.request.params for m in members]
        self._cfg = torch.tensor([p.cfg for p in params], device=device).view(-1, 1, 1)
        self._beta = torch.tensor([p.cfg_beta for p in params], device=device).view(-1, 1, 1)
        self._sampling = SamplingBatch.of(params, card, device)
        self._device = device
        self._cpu = (
            CpuSampling(
                params, (self._cond.tolist(), self._style.tolist(), self._null.tolist()), card
            )
            if device.type == "cpu"
            else None
        )

    def codes(self) -> Tensor:
        """The last known codes, [rows, K]."""
        inputs = np.stack([member.input for member in self.members])
        return torch.from_numpy(inputs[self._owners])

    def positions(self) -> list[int]:
        """Where those codes stand in their rows."""
        places = [m.prefix + m.step - 1 for m in self.members]
        return [places[owner] for owner in self._owners]

    def choose(self, logits: Tensor) -> tuple[Codes, list[bool]]:
        """logits [rows, K, card] -> codes [N, K], and whether each request's were all finite."""
        uniform = np.stack([member.uniform for member in self.members])
        if self._cpu is not None:
            return self._cpu(logits.to(self._device), uniform)
        guided = self.guide(logits)
        finite = guided.sum(dim=(1, 2)).isfinite()
        codes = sample(guided, self._sampling, torch.from_numpy(uniform).to(self._device))
        return codes.cpu().numpy(), finite.tolist()

    def guide(self, logits: Tensor) -> Tensor:
        """logits [rows, K, card] -> [N, K, card] = null + cfg * (cond - null).

        With a style half, cond is style + beta * (cond - style) (Rouard et al. 2024, section 3.3).
        """
        logits = logits.to(self._device)
        if not self._guided:
            return logits
        null, cond = logits[self._null], logits[self._cond]
        if self._styled:
            cond = guide(cond, logits[self._style], self._beta)
        return guide(cond, null, self._cfg)
