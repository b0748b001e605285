"""From words and a melody to conditions: the parts that no golden file shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.fakes import HashTextEncoder, fake_model, tone
from tests.golden_lm import expected
from tests.models.helpers import GivenText, golden_model
from toccata.analysis.key import Key
from toccata.audio.waveform import Waveform
from toccata.conditioners.base import Conditions
from toccata.conditioners.beats import Beats
from toccata.errors import CheckpointError, InputError
from toccata.models.model import Model

RATE_HZ = 8000
PREFIX = 32


def changed(kind: str, **fields: Any) -> Model:
    return replace(golden_model(kind), **fields)


def notes(*pitches_hz: float, channels: int = 1) -> Waveform:
    """A second of each."""
    time_s = np.arange(RATE_HZ) / RATE_HZ
    sound = np.concatenate([np.sin(2 * np.pi * pitch * time_s) for pitch in pitches_hz])
    return Waveform(np.tile(sound, (channels, 1)).astype(np.float32), RATE_HZ)


def prefix(given: Conditions) -> torch.Tensor:
    assert given.prefix is not None
    return given.prefix


@pytest.mark.parametrize("blank", [None, "", "  \n"])
def test_no_prompt_is_exactly_zero(blank: str | None) -> None:
    model = golden_model("text")
    text = model.conditions(blank).text
    assert text is not None
    assert text.shape == (1, model.lm.config.dim)
    assert not text.any()
    assert not prefix(golden_model("melody").conditions(blank))[PREFIX:].any()


def test_both_halves_are_equally_long_and_the_null_half_hears_nothing() -> None:
    model = golden_model("melody")
    inputs, blank = model.conditions("a", notes(440, 494)), model.conditions(None)
    assert inputs.unconditional_prefix is not None
    assert blank.unconditional_prefix is not None
    assert inputs.unconditional_prefix.shape == prefix(inputs).shape
    assert torch.equal(inputs.unconditional_prefix[:PREFIX], blank.unconditional_prefix[:PREFIX])
    assert torch.equal(prefix(blank), blank.unconditional_prefix)
    assert not torch.equal(prefix(inputs)[:PREFIX], inputs.unconditional_prefix[:PREFIX])


def test_the_sides_of_a_stereo_melody_are_averaged() -> None:
    model = golden_model("melody")
    left, right = notes(440), notes(440)
    quiet = Waveform(np.concatenate([left.samples, 0 * right.samples]), RATE_HZ)
    wanted = prefix(model.conditions(None, left))
    assert torch.equal(prefix(model.conditions(None, quiet)), wanted)
    assert torch.equal(prefix(model.conditions(None, notes(440, channels=2))), wanted)


def test_later_windows_go_on_in_the_melody() -> None:
    model = golden_model("melody")
    melody = notes(262, 294, 330, 349, 392, 440, 494)
    first, later = (prefix(model.conditions(None, melody, start_s)) for start_s in (0.0, 2.0))
    # The frames a second apart from both edges see the same notes in both windows.
    shift = round(2.0 * 32000 / 4096)
    assert not torch.equal(first, later)
    middle = slice(4, PREFIX - shift - 4)
    moved = first[shift:PREFIX][middle]
    assert (moved == later[middle]).all(dim=1).float().mean() > 0.7


def test_words_and_melody_are_added_to_each_step_of_the_conditioned_half() -> None:
    model, melody = fake_model(melody=True, beats=True), tone(1.0)
    words = model.conditions("a").step_conditioning
    assert words is not None
    assert words.eq(words[0]).all()
    both = model.conditions("a", melody, beats=Beats(97))
    alone = model.conditions(None, melody).step_conditioning
    assert both.step_conditioning is not None
    assert both.unconditional_step_conditioning is not None
    assert alone is not None
    torch.testing.assert_close(
        both.step_conditioning, words + alone + both.unconditional_step_conditioning
    )


def test_guidance_leads_from_the_opposite_of_what_is_said_of_drums() -> None:
    model = fake_model(melody=True, beats=True)
    none, some = model.conditions("no drums"), model.conditions("drums")
    assert none.unconditional_step_conditioning is not None
    assert some.unconditional_step_conditioning is not None
    assert not torch.allclose(
        none.unconditional_step_conditioning, some.unconditional_step_conditioning
    )
    words = model.lm.projections["description_steps"]
    words.get_parameter("weight").zero_()
    words.get_parameter("bias").zero_()
    torch.testing.assert_close(
        model.conditions("drums").step_conditioning, none.unconditional_step_conditioning
    )
    torch.testing.assert_close(
        model.conditions("no drums").step_conditioning, some.unconditional_step_conditioning
    )
    assert model.conditions("a").unconditional_step_conditioning is None


def test_beats_are_added_to_both_halves() -> None:
    conditions = fake_model(melody=True, beats=True).conditions(None, beats=Beats(97))
    assert conditions.step_conditioning is not None
    assert conditions.unconditional_step_conditioning is not None
    assert torch.equal(conditions.step_conditioning, conditions.unconditional_step_conditioning)


def test_beats_are_added_step_by_step_and_counted_on_in_later_windows() -> None:
    model = fake_model(melody=True, beats=True)
    first, later = (
        model.conditions(None, None, at, Beats(97)).step_conditioning for at in (0.0, 0.4)
    )
    assert first is not None
    assert later is not None
    assert first.shape == (50 + 4, 32)
    torch.testing.assert_close(first[20:], later[:-20])
    assert model.conditions(None).step_conditioning is None
    assert fake_model(melody=True).conditions("a", beats=Beats(97)).step_conditioning is None


def test_a_tempo_is_named_or_goes_with_the_words() -> None:
    class Guesses(HashTextEncoder):
        def likely_key(self, prompt: str, uniform: float) -> Key | None:
            return None

        def named(self, prompt: str) -> Mapping[str, torch.Tensor]:
            return {}

        def likely_bpm(self, prompt: str, uniform: float) -> float | None:
            return 100 + 50 * uniform

    plain = fake_model(melody=True, beats=True)
    model = replace(plain, text_encoder=Guesses())
    assert model.beats("rock at 90 bpm", 0.5) == Beats(90)
    assert model.beats("rock", 0.5) == Beats(125)
    assert plain.beats("rock", 0.5) is None
    assert model.beats(" ", 0.5) is None
    assert replace(fake_model(), text_encoder=Guesses()).beats("at 90 bpm", 0.5) is None


def test_only_what_is_heard_is_separated() -> None:
    durations_s: list[float] = []

    class Stems:
        def __call__(self, waveform: Waveform) -> Waveform:
            durations_s.append(waveform.duration_s)
            return waveform

    model = golden_model("melody")
    assert model.chroma is not None
    with_stems = replace(model, chroma=replace(model.chroma, stems=True), stems=Stems())  # type: ignore[arg-type]
    long = notes(*[440.0] * 20)
    assert torch.equal(
        prefix(with_stems.conditions(None, long)), prefix(model.conditions(None, long))
    )
    assert durations_s == [pytest.approx((31 * 4096 + 8192) / 32000, abs=1e-3)]


def test_an_empty_melody_is_an_error() -> None:
    with pytest.raises(InputError, match="melody"):
        golden_model("melody").conditions("a", Waveform(np.zeros((1, 0), np.float32), RATE_HZ))


def test_a_text_encoder_of_another_model_is_named() -> None:
    other = changed("text", text_encoder=GivenText(torch.zeros(3, 512)), name="mine")
    with pytest.raises(CheckpointError, match=r"mine: description is 512 wide.* 768"):
        other.conditions("a")


def test_a_prefix_model_without_a_melody_takes_text_alone() -> None:
    model = changed("melody", chroma=None)
    tokens = expected("melody")["text_hidden_single"].shape[1]
    assert prefix(model.conditions("a")).shape == (tokens, model.lm.config.dim)
    with pytest.raises(InputError, match="follows no melody"):
        model.conditions("a", notes(440))
