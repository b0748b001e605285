"""What a request uses of its audio, and what is wrong with audio that it cannot use."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.audio.damaged import wav_with_size
from tests.fakes import SAMPLE_RATE_HZ, fake_model, tone
from toccata.audio.audio_input import AudioPart
from toccata.audio.encode import encode
from toccata.audio.files import write
from toccata.audio.waveform import Waveform
from toccata.conditioners.chroma import mono
from toccata.errors import AudioError, InputError
from toccata.generation.handle import Toccata
from toccata.generation.request import EncodeDecodeRequest, GenerationRequest, ModelRequest
from toccata.generation.source_audio import (
    MELODY_WINDOW_S,
    is_silent,
    part_in_use,
    read_part,
)

RATE_HZ = 8000


def ramp(duration_s: float, channels: int = 2, rate_hz: int = RATE_HZ) -> Waveform:
    """Every sample tells where it stands."""
    place = np.linspace(-0.9, 0.9, round(duration_s * rate_hz))
    return Waveform(np.tile(place, (channels, 1)).astype(np.float32), rate_hz)


@pytest.fixture
def minute(tmp_path: Path) -> Path:
    path = tmp_path / "minute.wav"
    write(path, ramp(60.0), bit_depth=32)
    return path


def part(path: Path, field: str = "melody", model: str = "mini", **times: float) -> Waveform:
    audio: Any = AudioPart(path, **times)
    request: ModelRequest
    if field == "audio":
        request = EncodeDecodeRequest(audio=audio)
    else:
        request = GenerationRequest(duration_s=2, **{field: audio})
    used = part_in_use(request, model)
    assert used is not None
    return read_part(used, field)


def test_a_melody_is_read_as_far_as_the_clip_can_reach(minute: Path) -> None:
    reach = round((2 + MELODY_WINDOW_S) * RATE_HZ)
    whole = ramp(60.0).samples
    assert np.array_equal(part(minute).samples, whole[:, :reach])
    later = part(minute, start_s=10, end_s=50)
    assert np.array_equal(later.samples, whole[:, 10 * RATE_HZ : 10 * RATE_HZ + reach])
    assert part(minute, end_s=5).duration_s == 5


@pytest.mark.parametrize(
    ("field", "model"), [("continue_from", "mini"), ("audio", "mini"), ("melody", "style")]
)
def test_all_is_read_of_what_is_all_used(minute: Path, field: str, model: str) -> None:
    assert np.array_equal(part(minute, field, model).samples, ramp(60.0).samples)
    end = part(minute, field, model, start_s=58)
    assert np.array_equal(end.samples, ramp(60.0).samples[:, 58 * RATE_HZ :])


def test_a_part_that_starts_behind_the_end(minute: Path) -> None:
    with pytest.raises(InputError, match=r"melody lasts 60\.00 s") as caught:
        part(minute, start_s=60)
    assert caught.value.field == "start_s"


def test_the_library_uses_a_part_of_a_file(toccata: Toccata, tmp_path: Path) -> None:
    song = tone(3.0)
    song.samples[:] = np.random.default_rng(0).uniform(-0.5, 0.5, song.samples.shape)
    path = tmp_path / "song.wav"
    path.write_bytes(encode(song, "wav", 32))
    middle = Waveform(song.samples[:, SAMPLE_RATE_HZ : 2 * SAMPLE_RATE_HZ], SAMPLE_RATE_HZ)
    options: dict[str, Any] = {"duration_s": 0.2, "seed": 1}
    for field in ("melody", "continue_from"):
        clips = [
            toccata.generate("x", **{**options, field: one}).samples
            for one in (middle, AudioPart(path, 1, 2))
        ]
        assert np.array_equal(clips[0], clips[1])
    coded = [toccata.encode_decode(one).samples for one in (middle, AudioPart(path, 1, 2))]
    assert np.array_equal(coded[0], coded[1])


@pytest.mark.parametrize(("start_s", "end_s"), [(-1, None), (3, 3), (3, 2), ("1", 2), (0, np.nan)])
def test_parts_that_cannot_be(start_s: Any, end_s: Any) -> None:
    with pytest.raises(InputError, match=r"^(start|end)_s:? "):
        AudioPart("song.wav", start_s, end_s)


def test_high_rates_are_lowered_as_a_whole_clip_would_be(tmp_path: Path) -> None:
    path = tmp_path / "high.flac"
    time_s = np.arange(3 * 192_000) / 192_000
    wave = (0.5 * np.sin(2 * np.pi * 1000 * time_s)).astype(np.float32)
    write(path, Waveform(np.stack([wave, -wave]), 192_000), bit_depth=24)
    low = part(path, "continue_from")
    assert (low.sample_rate_hz, low.samples.shape) == (48_000, (2, 144_000))
    expected = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(144_000) / 48_000)
    inner = slice(2000, -2000)
    np.testing.assert_allclose(low.samples[0, inner], expected[inner], atol=1e-3)


def test_no_more_is_held_than_fits(minute: Path) -> None:
    max_values = 2 * 30 * RATE_HZ
    with pytest.raises(AudioError, match=r"holds 60 s.* at most 30 s .*choose a part"):
        read_part(AudioPart(minute), "melody", max_values=max_values)
    assert read_part(AudioPart(minute, 30), "melody", max_values=max_values).duration_s == 30


def test_what_is_wrong_with_a_file_is_said(minute: Path) -> None:
    minute.write_bytes(wav_with_size(minute.read_bytes(), 0))
    said: list[str] = []
    read_part(AudioPart(minute), "melody", warn=said.append)
    assert len(said) == 1
    assert "minute.wav: its header leaves out" in said[0]


@pytest.fixture(scope="module")
def toccata() -> Toccata:
    return Toccata(fake_model(melody=True))


def made_of(toccata: Toccata, field: str, given: Waveform) -> None:
    options: dict[str, Any] = {"duration_s": 0.2, field: given}
    toccata.generate("x", **options)


def audio(samples: Any, rate_hz: Any = SAMPLE_RATE_HZ) -> Waveform:
    return Waveform(samples, rate_hz)


WRONG = {
    "nan": (audio(np.full((1, 999), np.nan, np.float32)), "NaN"),
    "infinite": (audio(np.full((1, 999), np.inf, np.float32)), "infinite"),
    "too large for float32": (audio(np.full((1, 999), 1e300)), "infinite"),
    "integers as floats": (audio(np.full((1, 999), 20_000.0, np.float32)), "full scale"),
    "frames first": (audio(np.zeros((999, 2), np.float32)), "transpose"),
    "three dimensions": (audio(np.zeros((1, 1, 999), np.float32)), r"\[channels, samples\]"),
    "no channel": (audio(np.zeros((0, 999), np.float32)), "1 to 255 channels"),
    "complex": (audio(np.zeros((1, 999), np.complex64)), "complex64"),
    "objects": (audio(np.zeros((1, 999), object)), "object"),
    "a list": (audio([[0.0] * 999]), "numpy array"),
    "no rate": (audio(np.zeros((1, 999), np.float32), 0), "sample_rate_hz 0"),
    "half a rate": (audio(np.zeros((1, 999), np.float32), 0.5), "sample_rate_hz"),
    "one sample": (audio(np.ones((1, 1), np.float32)), r"at least 0\.1 s"),
    "6 ms": (audio(np.ones((1, 9), np.float32)), r"at least 0\.1 s"),
}


@pytest.mark.parametrize("field", ["melody", "continue_from"])
@pytest.mark.parametrize("case", WRONG)
def test_audio_that_is_none_is_refused_by_name(toccata: Toccata, field: str, case: str) -> None:
    wrong, words = WRONG[case]
    with pytest.raises(InputError, match=words) as caught:
        made_of(toccata, field, wrong)
    assert caught.value.field == field
    assert not toccata._engine.step()


@pytest.mark.parametrize("case", [case for case in WRONG if case not in ("one sample", "6 ms")])
def test_encode_decode_checks_its_audio_too(toccata: Toccata, case: str) -> None:
    with pytest.raises(InputError, match=WRONG[case][1]):
        toccata.encode_decode(WRONG[case][0])


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [(np.int16, 2**15), (np.int32, 2**31), (np.int8, 2**7), (np.float64, 1), (np.float16, 1)],
)
def test_one_dimension_is_mono_and_integers_are_scaled(
    toccata: Toccata, dtype: Any, scale: float
) -> None:
    """They are continued as the float32 audio that they stand for."""
    wave = (tone(0.5).samples * scale).astype(dtype)
    same = (wave / scale).astype(np.float32)
    options: dict[str, Any] = {"duration_s": 0.2, "seed": 1}
    plain = toccata.generate("x", continue_from=audio(wave[0]), **options)
    assert np.array_equal(
        plain.samples, toccata.generate("x", continue_from=audio(same), **options).samples
    )


@pytest.mark.parametrize("field", ["melody", "continue_from"])
def test_silence_is_used_with_a_warning(
    toccata: Toccata, field: str, caplog: pytest.LogCaptureFixture
) -> None:
    offset = audio(np.full((2, SAMPLE_RATE_HZ), 0.3, np.float32))
    assert is_silent(offset)
    with caplog.at_level(logging.WARNING, "toccata"):
        made_of(toccata, field, offset)
        made_of(toccata, field, tone(0.5))
    assert [record.getMessage() for record in caplog.records] == [
        f"{field}: the audio is silent: there is nothing in it to follow or to continue"
    ]


def test_a_melody_in_opposite_phase_is_followed(toccata: Toccata) -> None:
    plain = tone(1.0, 110.0)
    opposite = audio(np.concatenate([plain.samples, -plain.samples]))
    assert np.array_equal(mono(opposite, SAMPLE_RATE_HZ).samples, plain.samples)
    clips = [
        toccata.generate("x", duration_s=0.5, seed=1, melody=melody).samples
        for melody in (plain, opposite)
    ]
    assert np.array_equal(clips[0], clips[1])


def test_a_melody_of_a_file_is_that_of_its_waveform(toccata: Toccata, tmp_path: Path) -> None:
    """Reading as far as the windows reach changes nothing, in clips of several windows too."""
    melody = tone(9.0, 120.0)
    melody.samples[:] = np.random.default_rng(0).uniform(-0.5, 0.5, melody.samples.shape)
    path = tmp_path / "melody.wav"
    path.write_bytes(encode(melody, "wav", 32))
    options: dict[str, Any] = {"duration_s": 2.4, "seed": 1, "stride_s": 0.5}
    clips = [toccata.generate("x", melody=one, **options).samples for one in (melody, path)]
    assert np.array_equal(clips[0], clips[1])
