"""A clip that is carried on keeps its beat."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.engine.helpers import run
from tests.fakes import SAMPLE_RATE_HZ, fake_model
from toccata.analysis.key import estimate_key
from toccata.audio.waveform import Waveform
from toccata.conditioners.beats import PERIODS, Beats
from toccata.engine.engine import Engine
from toccata.engine.sequence import Codes, Request
from toccata.generation.musical_plan import match_beats, match_key
from toccata.models.model import Model
from toccata.models.sampling_params import SamplingParams

SECONDS = 4.0


@pytest.fixture(scope="module")
def model() -> Model:
    """Plays differently in each beat of a bar and each bar of a phrase, and within a beat alike."""
    model = fake_model(melody=True, beats=True, segment_s=8.0)
    weight = model.lm.projections["beats"].get_parameter("weight")
    slow = [1 + half * len(PERIODS) + PERIODS.index(beats) for half in (0, 1) for beats in (4, 16)]
    scaled = torch.zeros_like(weight)
    scaled[:, slow] = 2 * weight[:, slow]
    model.lm.projections["beats"].weight = torch.nn.Parameter(scaled, requires_grad=False)
    return model


def made_to(model: Model, beats: Beats, prompt: str | None = None) -> Codes:
    """Codes that the model itself makes to `beats`."""
    conditions = model.conditions(prompt, beats=beats)
    params = SamplingParams(top_k=0, cfg=1.0)
    return run(Engine(model), Request(lambda _: conditions, 200, params, seed=3, stride_frames=200))


def clicks(beats: Beats) -> Waveform:
    samples = np.zeros((1, round(SECONDS * SAMPLE_RATE_HZ)), np.float32)
    rng = np.random.default_rng(0)
    burst = rng.standard_normal(64) * np.linspace(1, 0, 64)
    for beat_s in np.arange(beats.bar_s % (60 / beats.bpm), SECONDS - 0.1, 60 / beats.bpm):
        start = round(beat_s * SAMPLE_RATE_HZ)
        samples[0, start : start + 64] += burst
    return Waveform(samples, SAMPLE_RATE_HZ)


@pytest.mark.parametrize("expected", [Beats(120.0, 0.0), Beats(120.0, 1.0), Beats(100.0, 0.6)])
def test_the_model_tells_which_beat_the_bar_starts_on(model: Model, expected: Beats) -> None:
    prompt = f"music at {expected.bpm:g} bpm"
    found = match_beats(model, prompt, clicks(expected), made_to(model, expected, prompt))
    assert found is not None
    assert found.bpm == expected.bpm
    phrase_s = 16 * 60 / expected.bpm
    frame_s = 0.02
    assert (found.bar_s - expected.bar_s + 1.5 * frame_s) % phrase_s < 3 * frame_s


def test_an_unnamed_tempo_is_heard(model: Model) -> None:
    found = match_beats(model, None, clicks(Beats(120.0)), made_to(model, Beats(120.0)))
    assert found is not None
    assert found.bpm == pytest.approx(120, rel=0.01)


def test_silence_and_models_without_beats_have_none(model: Model) -> None:
    silence = Waveform(np.zeros((1, 6400), np.float32), SAMPLE_RATE_HZ)
    codes = made_to(model, Beats(120.0))
    assert match_beats(model, None, silence, codes) is None
    assert match_beats(fake_model(), "at 120 bpm", clicks(Beats(120.0)), codes) is None


def test_a_key_is_that_of_the_prompt_or_the_one_that_is_heard(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    time_s = np.arange(4 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    tones = [np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * time_s) for pitch in (48, 60, 64)]
    clip = Waveform(0.2 * np.sum(tones, axis=0, keepdims=True).astype(np.float32), SAMPLE_RATE_HZ)
    assert match_key(model, None, clip) is None, "it is told no key"
    monkeypatch.setattr(type(model), "follows_key", True)
    assert match_key(model, "on in F# minor", clip) == (6, "minor")
    assert match_key(model, "on with it", clip) == estimate_key(clip.samples, SAMPLE_RATE_HZ)
