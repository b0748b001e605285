"""The recipes in configs/ are what the runs take."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipes.mini.codec.train_codec import CodecRun
from recipes.mini.lm.encode_corpus import CorpusRun
from recipes.mini.lm.train_lm import LMRun
from recipes.mini.pack import PackRun
from toccata.finetuning.config_file import load_config

CONFIGS = Path(__file__).parents[2] / "configs"
KINDS: dict[str, type] = {
    "codec": CodecRun, "corpus": CorpusRun, "validation": CorpusRun, "lm": LMRun, "pack": PackRun,
}  # fmt: skip


@pytest.mark.parametrize("recipe", ["mini", "gpu"])
@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_recipe_is_understood(recipe: str, name: str) -> None:
    assert load_config(CONFIGS / recipe / f"{name}.yaml", KINDS[name])


@pytest.mark.parametrize("recipe", ["mini", "gpu"])
def test_the_stages_of_a_recipe_fit_together(recipe: str) -> None:
    folder = CONFIGS / recipe
    codec = load_config(folder / "codec.yaml", CodecRun)
    lm = load_config(folder / "lm.yaml", LMRun)
    corpus = load_config(folder / "corpus.yaml", CorpusRun)
    assert corpus.codec == codec.out
    assert lm.corpus == corpus.out
    assert lm.validation == load_config(folder / "validation.yaml", CorpusRun).out
    assert (lm.codebooks, lm.card) == (codec.codec.codebooks, codec.codec.card)
    packed = load_config(folder / "pack.yaml", PackRun)
    assert (packed.codec, packed.lm) == (codec.out, lm.out)
