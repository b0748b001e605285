"""The requests of a step as tensors, with guidance and sampling; built again when they change."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from toccata.engine.cpu_sampling import CpuSampling
from toccata.engine.sampling import SamplingBatch, guide, sample
from toccata.engine.sequence import Codes, Sequence


class Batch:
    """The requests that one step computes, with their sampling parameters as tensors.

    Each request has one row of the cache per CFG branch: conditional, unconditional, and for style
    conditioning one between them with the style alone.

    Args:
        members: The N running requests, ordered by slot.
        rows_per_slot: How many rows of the cache a slot owns, at least as many as any member's
            branches.
        card: The number of codes in a codebook.
        device: Where codes are sampled.

    Attributes:
        members: As above.
        rows: The rows of the cache that the step computes, ascending.
    """

    def __init__(
        self, members: list[Sequence], rows_per_slot: int, card: int, device: torch.device
    ) -> None:
        self.members = members
        self.rows = [rows_per_slot * m.slot + row for m in members for row in range(m.branches)]
        self._owners = [n for n, m in enumerate(members) for _ in range(m.branches)]
        ends = np.cumsum([m.branches for m in members])
        self._guided = any(m.branches > 1 for m in members)
        self._styled = any(m.branches == 3 for m in members)
        self._uncond = torch.tensor(ends - 1, device=device)
        self._cond = torch.tensor(ends - [m.branches for m in members], device=device)
        # A request without a style branch uses its conditional branch instead.
        from_end = np.array([2 if m.branches == 3 else m.branches for m in members])
        self._style = torch.tensor(ends - from_end, device=device)
        params = [m.request.params for m in members]
        self._cfg = torch.tensor([p.cfg for p in params], device=device).view(-1, 1, 1)
        self._beta = torch.tensor([p.cfg_beta for p in params], device=device).view(-1, 1, 1)
        self._sampling = SamplingBatch.of(params, card, device)
        self._device = device
        self._cpu = (
            CpuSampling(
                params, (self._cond.tolist(), self._style.tolist(), self._uncond.tolist()), card
            )
            if device.type == "cpu"
            else None
        )

    def codes(self) -> Tensor:
        """Return the last known codes of each row, [rows, K]."""
        inputs = np.stack([member.input for member in self.members])
        return torch.from_numpy(inputs[self._owners])

    def positions(self) -> list[int]:
        """Return the position of those codes in each row."""
        positions = [m.prefix + m.step - 1 for m in self.members]
        return [positions[owner] for owner in self._owners]

    def choose(self, logits: Tensor) -> tuple[Codes, list[bool]]:
        """Guide the logits and sample from them.

        Args:
            logits: [rows, K, card] float32.

        Returns:
            Codes [N, K], and for each request whether all of its logits were finite.
        """
        uniform = np.stack([member.uniform for member in self.members])
        if self._cpu is not None:
            return self._cpu(logits.to(self._device), uniform)
        guided = self.guide(logits)
        finite = guided.sum(dim=(1, 2)).isfinite()
        codes = sample(guided, self._sampling, torch.from_numpy(uniform).to(self._device))
        return codes.cpu().numpy(), finite.tolist()

    def guide(self, logits: Tensor) -> Tensor:
        """Mix the branches of each request: logits [rows, K, card] -> [N, K, card].

        The result is uncond + cfg * (cond - uncond). With a style branch, cond is first replaced by
        style + beta * (cond - style) (Rouard et al. 2024, section 3.3).
        """
        logits = logits.to(self._device)
        if not self._guided:
            return logits
        uncond, cond = logits[self._uncond], logits[self._cond]
        if self._styled:
            cond = guide(cond, logits[self._style], self._beta)
        return guide(cond, uncond, self._cfg)
