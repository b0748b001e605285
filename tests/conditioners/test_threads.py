"""Threads that share a model do not disturb each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch

from toccata.conditioners.word_encoder import WordsConfig, WordsTextEncoder


def test_threads_share_a_text_encoder() -> None:
    torch.manual_seed(1)
    config = WordsConfig(dim=32, heads=2, buckets=64, tempo_classes=90, genres=("a",), leads=("b",))
    encoder = WordsTextEncoder(config).eval()
    expected = encoder.encode("slow piano, 80 bpm")

    def work(number: int) -> bool:
        encoder.likely_bpm(f"rock {number}", 0.5)
        encoder.named("rock")
        return torch.equal(encoder.encode("slow piano, 80 bpm"), expected)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(400)))
    assert {weight.dtype for weight in encoder.parameters()} == {torch.float32}
