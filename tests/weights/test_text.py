"""T5's tokens by tokenizer.json are those of its sentencepiece model, which it was trained with."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from tests.weights.conftest import Find
from toccata.conditioners.t5 import read_tokenizer

END = 1
PROMPTS = (
    "80s music",
    "Club techno",
    "A slow, warm piano ballad; 72 bpm (in D minor)!",
    "lo-fi  hip   hop\twith\nvinyl crackle",
    " leading and trailing ",
    "Café-Jazz mit Kontrabaß, œuvre de Saint-Saëns",
    "ﬁlm score № 5 – “epic”",
    "drum'n'bass @ 174 bpm #jungle",
    "日本の琴 и балалайка",
    "🎸🎹 rock",
    "a" * 300,
)


@pytest.fixture(scope="module")
def sentencepiece() -> Any:
    try:
        return importlib.import_module("sentencepiece")
    except ImportError:
        pytest.skip("needs sentencepiece: pip install sentencepiece")


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("repository", ["t5-base", "facebook/musicgen-small"])
def test_the_tokens_are_those_of_sentencepiece(
    find: Find, sentencepiece: Any, repository: str, prompt: str
) -> None:
    folder = find(repository, "tokenizer.json", "spiece.model")
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    ids = read_tokenizer(folder / "tokenizer.json").encode(prompt).ids
    assert ids == [*model.encode(prompt), END]
