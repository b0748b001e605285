from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from recipes.mini.captions import NamedFacts, caption, write_caption
from recipes.mini.captions.vocabulary import generic_word, instrument_words
from recipes.mini.composer.compose import compose
from recipes.mini.composer.composition import Facts
from recipes.mini.composer.examples import caption_rng
from recipes.mini.composer.instruments import KITS
from toccata.conditioners.beats import named_beats

SONGS = [compose(seed, 4.0).facts for seed in range(300)]
PAIRS = [
    (facts, write_caption(facts, caption_rng(10 * song + hearing)))
    for song, facts in enumerate(SONGS)
    for hearing in range(10)
]
# What a caption denies.
DENIAL = re.compile(
    r"\b(?:no|without any|without|minus the|zero|leave out the) [\w&' -]+|\b[\w -]+-free"
    r"|dru\w*-?l\w*|beatless|dr\w+ off",
    re.IGNORECASE,
)


# A genre whose name sounds like instruments.
_GENRE = re.compile(r"drum\S* ?(?:and|&|n|)\S* ?bass", re.IGNORECASE)


def _share(told: list[bool]) -> float:
    return float(np.mean(told))


def test_same_seed_same_words() -> None:
    facts = SONGS[3]
    assert write_caption(facts, caption_rng(3)) == write_caption(facts, caption_rng(3))
    assert caption(facts, caption_rng(3)) == write_caption(facts, caption_rng(3)).text


def test_told_is_true() -> None:
    for facts, words in PAIRS:
        told = words.named
        assert told.genre in ("", facts.genre)
        assert told.lead in ("", *facts.instruments[:1])
        assert told.key in ("", facts.key)
        assert told.mode == (told.key.split()[1] if told.key else "")
        assert told.bpm in (None, facts.bpm)
        assert told.drums in (None, facts.drums)
        assert told.mood in ("", facts.mood)


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("genre", 0.76, 0.85), ("lead", 0.6, 0.7), ("drums", 0.56, 0.66), ("bpm", 0.5, 0.61),
        ("key", 0.35, 0.45), ("mood", 0.56, 0.66),
    ],
)  # fmt: skip
def test_each_fact_is_told_as_often_as_it_should(name: str, least: float, most: float) -> None:
    told = [getattr(words.named, name) not in ("", None) for _, words in PAIRS]
    assert least < _share(told) < most
    assert 0.002 < _share([words.named == NamedFacts() for _, words in PAIRS]) < 0.04


def test_a_text_names_the_tempo_if_and_only_if_it_is_told() -> None:
    for _, words in PAIRS:
        named = named_beats(words.text)
        assert (named.bpm if named else None) == words.named.bpm, words


def test_the_key_is_in_the_text_if_and_only_if_it_is_told() -> None:
    signs = {"c#": "db", "d#": "eb", "f#": "gb", "g#": "ab", "a#": "bb"}
    same = signs | {flat: sharp for sharp, flat in signs.items()}
    named = re.compile(
        r"(?<![\w'])([a-g](?:#|b| sharp| flat)?) ?(major|minor|maj|min|m)(?!\w)"
        r"|(?<!\w)(major|minor) ([a-g](?:#|b)?)(?!\w)"
    )
    for facts, words in PAIRS:
        keys = set()
        for tonic, mode, mode_first, tonic_last in named.findall(words.text.lower()):
            sign = (tonic or tonic_last).replace(" sharp", "#").replace(" flat", "b")
            is_major = (mode or mode_first).startswith("maj")
            keys.add((sign, "major" if is_major else "minor"))
        if not words.named.key:
            assert not keys, words
            continue
        tonic, mode = facts.key.lower().split()
        right = {(tonic, mode), (same.get(tonic, tonic), mode)}
        assert keys & right, words
        # "in a Bb minor ..." leaves room for an article, never for another key.
        assert keys <= right | {("a", mode)}, words


def test_an_absent_instrument_is_named_only_to_deny_it() -> None:
    for facts, words in PAIRS:
        asserted = _GENRE.sub(" ", DENIAL.sub(" ", words.text.lower()))
        played = {w for name in facts.instruments for w in _names(name)}
        allowed = " | ".join((*played, *_kit_words(facts), facts.genre))
        for name, synonyms in instrument_words().items():
            if name in facts.instruments:
                continue
            for word in synonyms:
                if word in asserted and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", asserted):
                    assert word in allowed or word in words.named.genre, (word, facts, words)


def test_a_denied_instrument_is_absent() -> None:
    denied = re.compile(r"\b(?:no|without any|without|minus the) ([a-z ]+)|\b([a-z ]+)-free")
    seen = 0
    for facts, words in PAIRS:
        for match in denied.finditer(words.text.lower()):
            what = (match[1] or match[2]).split(" please")[0].strip()
            tokens = {token for name in facts.instruments for token in name.split()}
            assert not what or what.split()[-1] not in tokens, (facts, words)
            seen += 1
    assert seen > 50


def test_drums_are_told_only_as_they_are() -> None:
    drums = re.compile(r"\bdrum|\bpercussion(?! section)|brush|\bbeats?\b(?! per)|\bgroove\b")
    for facts, words in PAIRS:
        text = words.text.lower()
        if words.named.drums is None:
            assert not drums.search(_GENRE.sub("", text)), words
        if not facts.drums:
            assert not drums.search(_GENRE.sub("", DENIAL.sub(" ", text))), words
    playing = [words for facts, words in PAIRS if facts.drums and words.named.drums]
    assert all(not re.search(r"\bno (drum|perc|beat)|drumless|beatless", w.text) for w in playing)


def test_the_lead_comes_first_among_the_instruments() -> None:
    """If any is named at all, it is the lead's own name in 19 of 20 captions."""
    named, first = 0, 0
    for facts, words in PAIRS:
        asserted = _GENRE.sub(" ", DENIAL.sub(" ", words.text.lower()))
        at = {name: _place(asserted, _names(name)) for name in facts.instruments}
        here = {name: place for name, place in at.items() if place >= 0}
        if not here:
            continue
        named += 1
        first += bool(words.named.lead)
        if words.named.lead in here:
            assert here[words.named.lead] == min(here.values()), words
    assert first > 0.93 * named


def test_captions_of_one_song_differ() -> None:
    texts = [caption(facts, caption_rng(seed)) for facts in SONGS[:10] for seed in range(600)]
    assert len(set(texts)) > 5000


def test_captions_are_short() -> None:
    lengths = sorted(len(words.text.split()) for _, words in PAIRS)
    assert lengths[int(0.95 * len(lengths))] <= 36


def test_words_are_clean() -> None:
    for _, words in PAIRS:
        assert len(words.text) > 2
        assert not re.search(r"  |,,|^[ ,.]|[{}]|\bwith with\b|\b(?:a a|an? an) ", words.text), (
            words
        )


def test_most_is_typed_in_lower_case_and_little_of_it_shouted() -> None:
    counts = Counter(
        "upper" if text.isupper() else "lower" if text.islower() else "mixed"
        for text in (words.text for _, words in PAIRS)
    )
    assert counts["lower"] > 0.5 * len(PAIRS)
    assert 0.01 * len(PAIRS) < counts["upper"] < 0.08 * len(PAIRS)


def test_facts_the_tables_do_not_know_are_said_as_they_are() -> None:
    facts = replace(SONGS[0], genre="polka", mood="zesty", instruments=("accordion",), kit="cans")
    texts = " ".join(caption(facts, caption_rng(seed)).lower() for seed in range(60))
    assert all(word in texts for word in ("polka", "zesty", "accordion"))


def _names(instrument: str) -> tuple[str, ...]:
    generic = generic_word(instrument)
    return (*instrument_words()[instrument], *((generic,) if generic else ()))


def _kit_words(facts: Facts) -> tuple[str, ...]:
    return KITS[facts.kit].words if facts.kit else ()


def _place(text: str, names: tuple[str, ...]) -> int:
    places = [m.start() for n in names if (m := re.search(rf"(?<!\w){re.escape(n)}(?!\w)", text))]
    return min(places, default=-1)
