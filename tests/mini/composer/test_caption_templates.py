"""Captions of the user's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recipes.mini.captions import NamedFacts, read_templates, write_caption
from recipes.mini.composer.composition import Facts
from toccata.errors import InputError

FACTS = Facts("jazz", 120, "Bb major", "smooth", ("flute", "piano"), True, "4/4", "brushes")


def _rngs(number: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(number)]


def test_lines_of_text_and_of_json_are_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("# ours\n{genre} for the shop\n\n{bpm} bpm please\n")
    (tmp_path / "a.jsonl").write_text('{"text": "{lead} in {key}", "by": "me"}\n\n')
    assert read_templates(tmp_path) == (
        "{genre} for the shop", "{bpm} bpm please", "{lead} in {key}",
    )  # fmt: skip
    assert read_templates(tmp_path / "a.jsonl") == ("{lead} in {key}",)


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("a.txt", "fine\n{gnere} music", ("a.txt:2", "{gnere}", "{genre}")),
        ("a.txt", "{genre", ("a.txt:1", "{genre", "brace")),
        ("a.txt", "{}", ("a.txt:1", "{bpm}")),
        ("a.txt", "{bpm.real}", ("a.txt:1", "{bpm.real}")),
        ("a.txt", "{bpm:.2f}", ("a.txt:1",)),
        ("a.jsonl", "{genre} music", ("a.jsonl:1", '"text"')),
        ("a.jsonl", '{"text": 3}', ("a.jsonl:1", '"text"')),
        ("a.txt", "# nothing\n", (".txt", ".jsonl")),
    ],
)
def test_a_wrong_template_is_named_with_its_cure(
    tmp_path: Path, name: str, text: str, named: tuple[str, ...]
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as error:
        read_templates(tmp_path)
    assert all(word in str(error.value) for word in named)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        read_templates(tmp_path / "nowhere")


def test_a_fifth_of_captions_are_the_users_and_told_is_what_they_name() -> None:
    template = "OURS {bpm} {mood} {genre} {lead} {key}"
    words = [write_caption(FACTS, rng, (template,)) for rng in _rngs(400)]
    ours = [word for word in words if word.text.startswith("OURS")]
    assert 0.14 < len(ours) / len(words) < 0.26
    assert {word.named for word in ours} == {
        NamedFacts("jazz", "flute", "major", "Bb major", 120, None, "smooth")
    }


def test_a_template_that_asks_for_what_the_song_has_not_is_passed_over() -> None:
    drums_alone = replace(FACTS, key="", instruments=())
    words = [write_caption(drums_alone, rng, ("OURS {key}", "OURS {lead}")) for rng in _rngs(200)]
    assert not any(word.text.startswith("OURS") for word in words)


def test_drums_are_said_as_they_are() -> None:
    for drums in (True, False):
        facts = replace(FACTS, drums=drums, kit="brushes" if drums else "")
        words = [write_caption(facts, rng, ("OURS {drums} {{1}}",)) for rng in _rngs(100)]
        ours = [word for word in words if word.text.startswith("OURS")]
        assert {word.named for word in ours} == {NamedFacts(drums=drums)}
        assert all(word.text.endswith(" {1}") for word in ours)
