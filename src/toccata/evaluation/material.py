"""Songs that no model was trained on, and which of them can answer which question."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import count, islice

from toccata.training.corpus.captions import caption
from toccata.training.corpus.compose import compose
from toccata.training.corpus.render import Renderer
from toccata.training.corpus.song import Facts
from toccata.training.corpus.stream import VALIDATION_SEED, Example, caption_rng, example

NO_DRUMS = re.compile(r"\b(no drums|without drums|drumless|no percussion)\b", re.IGNORECASE)
DRUMS = re.compile(r"\bdrum", re.IGNORECASE)
# Songs of the shard that watches over the training end here.
FIRST_SEED = VALIDATION_SEED + 10_000

Fits = Callable[[Facts, str], bool]


def names_tempo(facts: Facts, text: str) -> bool:
    return re.search(rf"\b{facts.bpm}(?!\d)", text) is not None


def asks_for_drums(facts: Facts, text: str) -> bool:
    return facts.drums and bool(DRUMS.search(text)) and not NO_DRUMS.search(text)


def asks_for_no_drums(facts: Facts, text: str) -> bool:
    return not facts.drums and bool(NO_DRUMS.search(text))


def has_key(facts: Facts, _: str) -> bool:
    return bool(facts.key)


def songs(number: int, duration_s: float, fits: Fits, renderer: Renderer) -> list[Example]:
    """The first `number` held-out songs whose facts and caption fit."""
    chosen = islice(_seeds(fits, duration_s), number)
    return [example(seed, duration_s, renderer) for seed in chosen]


def _seeds(fits: Fits, duration_s: float) -> Iterator[int]:
    for seed in count(FIRST_SEED):
        facts = compose(seed, duration_s).facts
        if fits(facts, caption(facts, caption_rng(seed))):
            yield seed
