"""What the model is told while it learns is what it is told when it makes music."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.fakes import HashTextEncoder, fake_model, tone
from tests.finetuning.helpers import item, items, trainer
from toccata.analysis.key import Key
from toccata.codecs.base import Codec
from toccata.conditioners import key
from toccata.conditioners.base import Conditions
from toccata.conditioners.beats import Beats
from toccata.conditioners.chroma import melody_rows, mono
from toccata.decoder.decoder import Decoder
from toccata.finetuning.beat_cache import BeatCache
from toccata.finetuning.conditions import ActiveConditions, Conditioner, track_beats
from toccata.finetuning.dataset import Item, Tags
from toccata.models.model import Model
from toccata.models.step_conditioning import GENRE, KEY, LEAD


class Knowing(HashTextEncoder):
    """Knows a genre and a lead, as mini's encoder does."""

    @torch.inference_mode()
    def encode(self, prompt: str) -> Tensor:
        return super().encode(prompt)

    def likely_bpm(self, prompt: str, uniform: float) -> float | None:
        return None

    def likely_key(self, prompt: str, uniform: float) -> None:
        return None

    @torch.inference_mode()
    def named(self, prompt: str) -> Mapping[str, Tensor]:
        return {GENRE: torch.tensor([0.2, 0.8]), LEAD: torch.ones(1)}


def knowing_model() -> Model:
    """Every condition that any model takes."""
    model = fake_model(melody=True, beats=True)
    known = {**model.lm.config.cond_dims, KEY: key.FEATURES, GENRE: 2, LEAD: 1}
    torch.manual_seed(0)
    decoder = Decoder(replace(model.lm.config, cond_dims=known)).requires_grad_(False)
    return replace(model, lm=decoder, text_encoder=Knowing())


def rows(given: Conditions) -> dict[str, Tensor]:
    found = {field.name: getattr(given, field.name) for field in fields(given)}
    return {name: tensor for name, tensor in found.items() if tensor is not None}


def same(one: Conditions, other: Conditions) -> bool:
    first, second = rows(one), rows(other)
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


def test_it_is_told_what_a_request_is_told() -> None:
    model, beats = knowing_model(), Beats(120.0, 0.3)
    assert model.chroma is not None
    melody = tone(1.0)
    samples = torch.from_numpy(mono(melody, model.chroma.sample_rate_hz).samples[0])
    one = replace(
        item(1), caption="calm piano, 120 bpm, A minor",
        melody=melody_rows(samples, model.chroma).numpy(),
    )  # fmt: skip
    told = Conditioner(model, with_gradients=False, beats={(one.name, one.start_s): beats})
    minor: Key = (9, "minor")
    asked: Any = {"beats": beats, "key": minor}
    assert same(told(one, ActiveConditions()), model.conditions(one.caption, melody, **asked))
    assert same(told(one, ActiveConditions(melody=False)), model.conditions(one.caption, **asked))
    assert same(
        told(one, ActiveConditions(caption=False)), model.conditions(None, melody, beats=beats)
    )
    assert same(
        told(one, ActiveConditions(beats=False)), model.conditions(one.caption, melody, key=minor)
    )
    heard = replace(one, caption="calm piano", tags=Tags(None, "A minor", -14.0))
    assert same(told(heard, ActiveConditions()), model.conditions("calm piano", melody, **asked))


def test_all_that_is_told_is_learnt(tmp_path: Path) -> None:
    made = trainer(tmp_path, knowing_model(), items(melody=True), kind="full", lr=0.005)
    before = {name: value.clone() for name, value in made.weights.values().items()}
    made.train()
    now = made.weights.values()
    for name in made.model.lm.config.cond_dims:
        if name not in (KEY, "drums"):  # no caption names a key, and "no drums" is rare
            weight = f"projections.{name}.weight"
            assert not torch.equal(now[weight], before[weight]), name


def test_a_caption_is_read_once() -> None:
    asked: list[str] = []

    class Counting(HashTextEncoder):
        def encode(self, prompt: str) -> Tensor:
            asked.append(prompt)
            return super().encode(prompt)

    told = Conditioner(
        replace(fake_model(), text_encoder=Counting()), with_gradients=False, beats={}
    )
    for _ in range(3):
        told(item(1), ActiveConditions())
    assert asked == ["calm piano, 120 bpm"]


@pytest.fixture
def clicking_model() -> Model:
    """Whatever the codes are, there is a click every half of a second."""
    model = fake_model(beats=True)
    rate_hz = model.codec.sample_rate_hz
    clicks = np.zeros(4 * rate_hz, np.float32)
    for start_s in np.arange(0.2, 3.9, 0.5):
        start = round(start_s * rate_hz)
        clicks[start : start + 200] = np.hanning(200) * np.sin(np.arange(200))
    sounding: Any = Clicking(model.codec, torch.from_numpy(clicks)[None, None])
    return replace(model, codec=sounding)


def test_beats_fall_where_they_are_heard(clicking_model: Model, tmp_path: Path) -> None:
    quiet = replace(item(0), tags=Tags(None, None, -14.0))
    cache = BeatCache(tmp_path / "beats.json", clicking_model)
    found = track_beats(clicking_model, [item(1), quiet], cache)
    assert found.keys() == {(item(1).name, item(1).start_s)}
    [beats] = found.values()
    assert beats.bpm == 120.0
    assert beats.bar_s % 0.5 == pytest.approx(0.2, abs=0.05)
    assert not track_beats(fake_model(), [item(1)], cache)


def test_beats_are_looked_for_once(
    clicking_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str | None] = []

    def match(model: Model, prompt: str | None, *_: object) -> Beats | None:
        looked.append(prompt)
        return None if prompt == "no beat" else Beats(120.0, 0.25)

    monkeypatch.setattr("toccata.finetuning.conditions.match_beats", match)
    path, music = tmp_path / "run" / "beats.json", [item(1), replace(item(2), caption="no beat")]

    def heard(model: Model, music: list[Item]) -> Mapping[tuple[str, float], Beats]:
        return track_beats(model, music, BeatCache(path, model))

    first = heard(clicking_model, music)
    assert first == {(item(1).name, item(1).start_s): Beats(120.0, 0.25)}
    assert heard(clicking_model, music) == first
    assert looked == [item(1).caption, "no beat"], "what has no beats is known too"
    heard(clicking_model, [replace(item(1), caption="other words"), *music])
    assert looked[2:] == ["other words"]
    torch.nn.init.ones_(clicking_model.lm.out_norm.bias)
    assert heard(clicking_model, music) == first
    assert looked[3:] == looked[:2], "another model may find others"
    path.write_text('{"cut off')
    assert heard(clicking_model, music) == first
    assert looked[5:] == looked[:2]


class Clicking:
    """A codec from which all codes come as one sound."""

    def __init__(self, codec: Codec, sound: Tensor) -> None:
        self.sample_rate_hz, self.frame_rate_hz = codec.sample_rate_hz, codec.frame_rate_hz
        self.decode = lambda _: sound
