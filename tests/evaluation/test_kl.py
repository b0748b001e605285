"""KL of distributions that are known."""

from __future__ import annotations

import math

import pytest
import torch

from toccata.errors import InputError
from toccata.evaluation.kl import divergence, kl_divergence

EVEN, UNEVEN, SURE = (torch.tensor([row]) for row in ([0.5, 0.5], [0.25, 0.75], [1.0, 0.0]))


def test_it_is_the_references_view_of_what_was_made() -> None:
    wanted = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert float(kl_divergence(UNEVEN, EVEN)) == pytest.approx(wanted, abs=1e-4)
    found = divergence([UNEVEN], [EVEN])
    assert found.kl == pytest.approx(wanted, abs=1e-4)
    assert found.kl_back == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5), abs=1e-4)


def test_what_is_labelled_alike_does_not_diverge() -> None:
    assert divergence([UNEVEN, SURE], [UNEVEN, SURE]).kl == pytest.approx(0, abs=1e-5)


def test_a_label_that_was_ruled_out_has_a_finite_cost() -> None:
    assert float(kl_divergence(SURE, SURE.flip(1))) == pytest.approx(-math.log(1e-6), abs=1e-3)


def test_windows_count_alike_and_only_in_pairs() -> None:
    made = [torch.cat([EVEN, EVEN, SURE]), EVEN, torch.zeros(0, 1)]
    found = divergence(made, [torch.cat([EVEN, UNEVEN]), UNEVEN, EVEN])
    assert (found.windows, found.pairs) == (3, 2)
    assert found.kl == pytest.approx(2 / 3 * float(kl_divergence(EVEN, UNEVEN)), abs=1e-4)


def test_clips_without_a_window_are_refused() -> None:
    with pytest.raises(InputError, match="longer clips"):
        divergence([torch.zeros(0, 1)], [torch.zeros(0, 1)])
    with pytest.raises(InputError, match="shape"):
        kl_divergence(EVEN, torch.ones(1, 3) / 3)
