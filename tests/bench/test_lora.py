"""That the demonstration of fine-tuning composes what it says, judges it and shows it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.lora import __main__ as lora
from bench.lora import document, measures, style, training
from bench.lora.classifier import Classifier
from bench.lora.measures import Asked, Judge, Sizes
from recipes.mini.captions import NamedFacts
from recipes.mini.composer.composition import DRUMS, SAMPLE_RATE_HZ
from recipes.mini.composer.genres import all_genres
from recipes.mini.composer.instruments import FAMILIES
from recipes.mini.composer.render import Renderer
from tests.mini.composer import fake_synth
from toccata.analysis.spectrum import RATE_HZ
from toccata.analysis.tagger import Classes, Tagger
from toccata.conditioners.beats import named_beats
from toccata.conditioners.drums import named_drums
from toccata.finetuning.dataset.captions import read_captions
from toccata.finetuning.dataset.listing import songs_of

GENRES = tuple(genre.name for genre in all_genres())


@pytest.fixture
def renderer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Renderer:
    monkeypatch.setitem(sys.modules, "tinysoundfont", fake_synth)
    soundfont = tmp_path / "tiny.sf2"
    soundfont.write_bytes(b"RIFF")
    return Renderer(soundfont)


def test_a_piece_is_of_its_seed_and_begins_the_same_at_any_length() -> None:
    long = style.compose(3, 16.0)
    assert style.compose(3, 16.0) == long
    assert style.compose(4, 16.0).notes != long.notes
    short = style.compose(3, 8.0)
    assert short.notes == tuple(note for note in long.notes if note.start_frame < short.frames)


@pytest.mark.parametrize("seed", range(5))
def test_a_piece_keeps_to_its_scale_and_has_no_drums(seed: int) -> None:
    song = style.compose(seed, 20.0)
    assert {note.pitch % 12 for note in song.notes} <= set(style.SCALE)
    assert DRUMS not in song.programs
    assert {note.channel for note in song.notes} == set(song.programs)
    assert not song.facts.drums
    assert style.SLOWEST_BPM <= song.facts.bpm <= style.FASTEST_BPM


def test_two_mallets_share_every_sixteenth_between_them() -> None:
    song = style.compose(0, 20.0)

    def starts(channel: int) -> set[int]:
        return {note.start_frame for note in song.notes if note.channel == channel}

    polos, sangsih = starts(style.POLOS), starts(style.SANGSIH)
    sixteenths = 20 * song.facts.bpm / 60 * 4
    assert len(polos | sangsih) == pytest.approx(sixteenths, abs=1)
    assert polos - sangsih
    assert sangsih - polos
    assert len(starts(style.GONG)) == pytest.approx(sixteenths / 32, abs=1)


def test_the_style_is_none_that_the_corpus_has() -> None:
    assert style.NAME not in GENRES


def test_clips_are_written_as_a_folder_to_learn_from(tmp_path: Path, renderer: Renderer) -> None:
    folder = tmp_path / "clips"
    seconds = style.write_clips(folder, range(2), renderer)
    songs = songs_of(folder)
    captions = read_captions(songs, folder, None, needed=True)
    assert 2 * style.SHORTEST_S <= seconds <= 2 * style.LONGEST_S
    assert [song.name for song in songs] == ["kotekan-00.wav", "kotekan-01.wav"]
    for seed, caption in enumerate(captions.values()):
        assert style.NAME in caption
        assert named_beats(caption) is not None
        assert f"{style.compose(seed, 1.0).facts.bpm} bpm" in caption
        assert named_drums(caption) in (False, None)


def test_a_piece_is_asked_for_by_name_and_tempo_alone(renderer: Renderer) -> None:
    piece = style.example(7, 0.2, renderer)
    assert piece.caption == f"kotekan, {piece.song.facts.bpm} bpm"
    assert piece.named == NamedFacts(bpm=piece.song.facts.bpm)
    assert len(piece.audio) == SAMPLE_RATE_HZ // 5


def test_what_was_trained_is_not_trained_again(tmp_path: Path, renderer: Renderer) -> None:
    kept = {"command": training.command(5), "clips": 20, "steps": 400}
    (tmp_path / "training.json").write_text(json.dumps(kept))
    assert training.trained(tmp_path, 5, 20, renderer) == kept
    with pytest.raises(SystemExit, match="another training was done there"):
        training.trained(tmp_path, 10, 20, renderer)


def _embeddings(count: int, towards: float, seed: int) -> torch.Tensor:
    """Clouds in 64 dimensions, of which one tells them apart."""
    cloud = torch.randn(count, 64, generator=torch.Generator().manual_seed(seed))
    cloud[:, 7] = 5 + towards + 0.2 * cloud[:, 7]
    return cloud


def test_the_classifier_tells_apart_what_it_never_heard() -> None:
    classifier = Classifier.fit(_embeddings(40, 2, 0), _embeddings(120, -2, 1))
    assert classifier.share(_embeddings(50, 2, 2)) == 1.0
    assert classifier.share(_embeddings(50, -2, 3)) == 0.0
    assert classifier.is_style(_embeddings(3, 2, 4)).tolist() == [True] * 3


def test_the_classifier_does_not_lean_to_the_larger_side() -> None:
    alike = Classifier.fit(_embeddings(20, 0.5, 0), _embeddings(400, -0.5, 1))
    assert alike.share(_embeddings(50, 0.5, 2)) > 0.8


def test_figures_say_what_was_heard_of_what_was_told(renderer: Renderer) -> None:
    tagger = Tagger(Classes(GENRES, FAMILIES, width=4)).eval()
    sizes = Sizes(asked=2, kept=1)
    asked = Asked.choose(sizes, renderer)
    heard = measures.embeddings([piece.audio for piece in asked.pieces], tagger)
    judge = Judge(tagger, Classifier.fit(heard, -heard), {})
    silent: Sequence[Any] = [np.zeros(RATE_HZ * 2, np.float32)] * 2
    assert measures.figures(asked.pieces, silent, judge)["unhealthy"] == 2
    found = measures.of_songs(asked.pieces, judge)
    assert found["style"] == 1.0
    assert 0 <= found["tempo_accuracy"] <= 1


RESULTS: dict[str, Any] = {
    "machine": {"processor": "an abacus", "cores": "2", "torch": "2.0", "commit": "abc"},
    "name": "kotekan",
    "sizes": {"learnt": 20, "judged": 48, "others": 2, "asked": 40, "kept": 48},
    "training": {
        "command": training.command(10), "clips": 20,
        "music_s": 320.0, "steps": 812, "best_step": 750, "held_out": 3.2, "seconds": 600.0,
        "wall_s": 660.0, "file_mb": 1.9,
    },
    "classifier": {"style": 1.0, "others": 0.98},
    "style": {
        "without": {"style": 0.025, "tempo_accuracy": 0.9, "unhealthy": 0},
        "half": {"style": 0.6, "tempo_accuracy": 0.92, "unhealthy": 1},
        "full": {"style": 0.95, "tempo_accuracy": 0.94, "unhealthy": 0},
        "songs": {"style": 1.0, "tempo_accuracy": 0.97, "unhealthy": 0},
    },
    "kept": {
        "without": {"style": 0.0, "tempo_accuracy": 0.9, "unhealthy": 0},
        "full": {"style": 0.02, "tempo_accuracy": 0.88, "unhealthy": 0},
        "songs": {"style": 0.0, "tempo_accuracy": 0.96, "unhealthy": 0},
    },
}  # fmt: skip


def test_the_document_says_what_was_found() -> None:
    part = document.part(RESULTS)
    for expected in (
        "toccata train lora --data kotekan --base mini --keep 16 --minutes 10",
        "812 steps in 10.0 minutes", "1.9 MB", "11.0 minutes", "98% of 96 songs", "an abacus",
    ):  # fmt: skip
        assert expected in part
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in part.splitlines()]
    assert ["are the style, by the classifier", "2%", "60%", "95%", "100%"] in rows
    assert ["have the tempo that was named", "90%", "88%", "96%"] in rows
    assert "genre" not in part.split("other captions")[1]  # no caption named one


def test_the_document_is_changed_between_its_marks_alone() -> None:
    text = "by hand\n<!-- lora -->\nold\n<!-- /lora -->\nkept\n"
    once = document.filled(text, RESULTS)
    assert "old" not in once
    assert once.startswith("by hand\n")
    assert once.endswith("kept\n")
    assert document.filled(once, RESULTS) == once
    assert document.NOT_MEASURED in document.filled(text, None)
    with pytest.raises(SystemExit, match="needs <!-- lora -->"):
        document.filled("no marks", RESULTS)


def test_the_document_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench.lora", "--check"])
    lora.main()
