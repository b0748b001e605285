"""CLAP through transformers, with random weights in the published layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.evaluation import tiny_clap
from toccata.errors import CheckpointError
from toccata.evaluation import clap
from toccata.evaluation.embedders import Source

CPU = torch.device("cpu")
RATE_HZ = 32_000


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> clap.Clap:
    folder = tiny_clap.save(tmp_path_factory.mktemp("clap"))
    return clap.load(Source(CPU, str(folder), offline=True))


def noise(duration_s: float, seed: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    shape = (2, round(duration_s * RATE_HZ))
    return np.random.default_rng(seed).normal(0, 0.1, shape).astype(np.float32)


def test_it_hears_at_its_own_rate_in_windows_of_its_own_length(loaded: clap.Clap) -> None:
    assert (loaded.sample_rate_hz, loaded.window) == (48_000, 96_000)
    for duration_s, windows in ((0.5, 1), (2.0, 1), (2.9, 1), (4.0, 3)):
        embedded = loaded.embed(noise(duration_s), RATE_HZ)
        assert embedded.shape == (windows, tiny_clap.WIDTH)
        assert torch.allclose(embedded.norm(dim=-1), torch.ones(windows))


def test_the_same_clip_has_the_same_embeddings(loaded: clap.Clap) -> None:
    assert torch.equal(loaded.embed(noise(3.5), RATE_HZ), loaded.embed(noise(3.5), RATE_HZ))
    other = loaded.embed(noise(3.5, seed=1), RATE_HZ)
    assert not torch.equal(loaded.embed(noise(3.5), RATE_HZ), other)


def test_words_have_a_place_in_the_same_space(loaded: clap.Clap) -> None:
    together = loaded.embed_words(["slow piano", "drums " * 200])
    assert together.shape == (2, tiny_clap.WIDTH)
    assert torch.allclose(together[0], loaded.embed_words(["slow piano"])[0], atol=1e-5)


def test_one_that_draws_its_windows_is_refused(tmp_path: Path) -> None:
    folder = tiny_clap.save(tmp_path, fused=True)
    with pytest.raises(CheckpointError, match="at random; use laion/larger_clap_music"):
        clap.load(Source(CPU, str(folder), offline=True))


def test_weights_that_are_not_there_have_a_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (str(tmp_path), "laion/is-not-here"):
        with pytest.raises(CheckpointError, match="--weights clap=FOLDER"):
            clap.load(Source(CPU, place, offline=True))
