"""The text encoder of the published models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.reference import tiny
from toccata.conditioners.base import TextEncoder
from toccata.conditioners.t5 import T5Shape, T5TextEncoder, read_tokenizer
from toccata.errors import CheckpointError

SHAPE = T5Shape(16, d_model=24, d_kv=8, d_ff=32, num_layers=2, num_heads=2)


@pytest.fixture(scope="module")
def encoder() -> T5TextEncoder:
    output: T5TextEncoder = tiny.randomized(T5TextEncoder(SHAPE, tiny.tokenizer()))
    return output


def test_a_prompt_has_a_state_for_each_token_and_its_end(encoder: T5TextEncoder) -> None:
    assert isinstance(encoder, TextEncoder)
    assert encoder.encode("slow warm piano").shape == (4, 24)


@pytest.mark.parametrize("prompt", ["", "  ", "\n"])
def test_no_prompt_is_zero(encoder: T5TextEncoder, prompt: str) -> None:
    assert torch.equal(encoder.encode(prompt), torch.zeros(1, 24))


def test_words_and_their_order_are_heard(encoder: T5TextEncoder) -> None:
    states = [encoder.encode(words) for words in ("slow piano", "piano slow", "fast piano")]
    assert not torch.allclose(states[0], states[1])
    assert not torch.allclose(states[0], states[2])


def test_padding_in_the_tokenizers_file_does_not_matter() -> None:
    padded = tiny.tokenizer()
    padded.enable_padding(length=9)
    padded.enable_truncation(2)
    encoder = T5TextEncoder(SHAPE, padded).eval()
    assert encoder.encode("slow warm piano").shape == (4, 24)


def test_it_can_run_in_bfloat16() -> None:
    encoder = T5TextEncoder(SHAPE, tiny.tokenizer()).eval().to(torch.bfloat16)
    assert encoder.encode("fast drums").dtype is torch.bfloat16
    assert encoder.encode("").dtype is torch.bfloat16


@pytest.mark.parametrize("content", ["", "{", '{"model": 3}', "[]"])
def test_a_broken_tokenizer_is_named(content: str, tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(content)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        read_tokenizer(file)
