"""Which pitch class is heard where, and what becomes of melodies of other lengths."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.golden_lm import expected
from toccata.audio.waveform import Waveform
from toccata.conditioners.chroma import (
    ChromaConfig,
    chroma,
    cut,
    melody_rows,
    mono,
    step_rows,
    unconditional_rows,
    wrapped,
)

RATE_HZ = 32000
MODEL = ChromaConfig()
NAMES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]


def tone(pitch_hz: float, duration_s: float, rate_hz: int = RATE_HZ) -> Waveform:
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    return Waveform(np.sin(2 * np.pi * pitch_hz * time_s, dtype=np.float32)[None], rate_hz)


def classes(waveform: Waveform) -> list[str]:
    rows = chroma(torch.from_numpy(waveform.samples[0]), MODEL)
    return [NAMES[i] for i in rows.argmax(dim=1)]


def test_chroma_is_that_of_the_reference() -> None:
    want = expected("melody")
    samples = mono(Waveform(want["audio_in"][0].numpy(), RATE_HZ), RATE_HZ).samples[0]
    assert torch.equal(chroma(torch.from_numpy(samples), MODEL), want["melody_chroma"][0])


@pytest.mark.parametrize("octave", [3, 4, 5])
def test_every_note_of_the_scale_is_heard_as_itself(octave: int) -> None:
    for number, name in enumerate(NAMES):
        pitch_hz = 440 * 2 ** ((number - 9) / 12 + octave - 4)
        assert set(classes(tone(pitch_hz, 0.6))) == {name}


def test_silence_is_what_stands_for_no_melody() -> None:
    silence = melody_rows(torch.zeros(64000), MODEL)
    assert torch.equal(silence, unconditional_rows(MODEL))
    assert silence.shape == (235, 12)
    assert silence[:, 0].eq(1).all()


@settings(max_examples=12)
@given(samples=st.integers(1, 60000))
def test_a_short_melody_is_repeated(samples: int) -> None:
    melody = torch.randn(samples, generator=torch.Generator().manual_seed(samples))
    once, rows = chroma(melody, MODEL), melody_rows(melody, MODEL)
    assert once.shape == (max(samples, 16384) // 4096 + 1, 12)
    assert rows.shape == (235, 12)
    for frame in range(235):
        assert torch.equal(rows[frame], once[frame % len(once)])


def test_a_long_melody_is_cut() -> None:
    config = ChromaConfig(frames=10)
    long = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(melody_rows(long, config), chroma(long, config)[:10])


def test_a_step_hears_the_row_before_at_and_after_it() -> None:
    rows = torch.eye(12)[torch.arange(8) % 12]
    steps = step_rows(rows, MODEL, 60, 50)
    assert steps.shape == (60, MODEL.step_features)
    assert steps[:, 0].eq(1).all()
    before, at, after = steps[:, 1:].view(60, 3, 12).argmax(-1).T
    assert at[round(3 * 4096 / 640)] == 3
    assert before[round(3 * 4096 / 640)] == 2
    assert after[round(3 * 4096 / 640)] == 4
    assert (before[0], at[-1], after[-1]) == (0, 7, 7)


def test_level_does_not_matter() -> None:
    loud = tone(440.0, 1.0)
    quiet = Waveform(loud.samples * np.float32(1e-3), RATE_HZ)
    assert classes(loud) == classes(quiet)


def test_any_rate_and_channels_give_the_same_notes() -> None:
    other = tone(392.0, 1.0, rate_hz=44100)
    stereo = Waveform(np.concatenate([other.samples, other.samples]), 44100)
    assert set(classes(mono(stereo, RATE_HZ))) == {"G"}


def test_only_the_beginning_of_a_melody_is_cut_off_for_one_window() -> None:
    melody = Waveform(np.arange(10, dtype=np.float32)[None], 1)
    assert cut(melody, 4.0).samples.tolist() == [[0, 1, 2, 3]]
    assert cut(melody, 40.0).samples.tolist() == melody.samples.tolist()


def test_a_window_of_a_longer_clip_hears_the_melody_without_end() -> None:
    melody = Waveform(np.arange(10, dtype=np.float32)[None], 1)
    assert wrapped(melody, 0.0, 4.0).samples.tolist() == [[0, 1, 2, 3]]
    assert wrapped(melody, 0.0, 12.0).samples.tolist() == [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]]
    assert wrapped(melody, 8.0, 4.0).samples.tolist() == [[8, 9, 0, 1]]
    assert wrapped(melody, 25.0, 3.0).samples.tolist() == [[5, 6, 7]]
