import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.audio.sounds import RATE_HZ, loudest_hz, sine
from toccata.audio import transforms as wf
from toccata.audio.waveform import Waveform
from toccata.errors import InputError
from toccata.generation.clip import Clip


@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100, 48000])
def test_resampling_keeps_pitch_level_and_length(rate_hz: int) -> None:
    turned = wf.resample(sine(), rate_hz)
    assert turned.sample_rate_hz == rate_hz
    assert turned.duration_s == pytest.approx(0.5, abs=1e-3)
    assert loudest_hz(turned.samples, rate_hz) == pytest.approx(440, abs=4)
    assert wf.peak(turned.samples) == pytest.approx(0.5, rel=0.05)


def test_the_same_rate_and_channels_change_nothing() -> None:
    tone = sine()
    assert wf.resample(tone, RATE_HZ) is tone
    assert wf.to_channels(tone, 2) is tone


@given(before=st.integers(1, 9), after=st.integers(1, 9))
def test_mixing_gives_the_channels_asked_for_and_never_clips(before: int, after: int) -> None:
    full_scale = Waveform(np.ones((before, 5), np.float32), RATE_HZ)
    mixed = wf.to_channels(full_scale, after).samples
    assert mixed.shape == (after, 5)
    assert mixed.dtype == np.float32
    np.testing.assert_allclose(mixed[: min(after, 2)], 1.0, atol=1e-6)


def test_surround_keeps_its_sides_apart() -> None:
    only_left_side = np.zeros((6, 4), np.float32)
    only_left_side[4] = 1.0
    left, right = wf.to_channels(Waveform(only_left_side, RATE_HZ), 2).samples
    assert left.min() > 0.2
    assert not right.any()


def test_a_clip_stays_a_clip() -> None:
    clip = Clip(sine().samples, RATE_HZ, seed=7)
    for changed in (wf.resample(clip, 16000), wf.to_channels(clip, 1), wf.fade(clip, 0.1)):
        assert changed.seed == 7


def test_cut_takes_the_part_and_clamps_its_end() -> None:
    tone = sine(1.0)
    assert wf.cut(tone, 0.25, 0.5).duration_s == pytest.approx(0.25)
    assert wf.cut(tone, 0.25, 99.0).duration_s == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("start_s", "end_s", "field"),
    [
        (-1, None, "start_s"),
        (float("nan"), None, "start_s"),
        (2, None, "start_s"),
        (1, 0.5, "end_s"),
    ],
)
def test_cut_names_the_wrong_end(start_s: float, end_s: float | None, field: str) -> None:
    with pytest.raises(InputError) as caught:
        wf.cut(sine(1.0), start_s, end_s)
    assert caught.value.field == field


def test_fades_start_and_end_in_silence_and_leave_the_middle_alone() -> None:
    flat = Waveform(np.ones((1, RATE_HZ), np.float32), RATE_HZ)
    faded = wf.fade(flat, 0.1, 0.2).samples[0]
    assert faded[0] < 1e-3 > faded[-1]
    assert (np.diff(faded[:3200]) > 0).all()
    assert (np.diff(faded[-6400:]) < 0).all()
    assert (faded[3200:-6400] == 1).all()
    assert flat.samples.min() == 1


def test_a_fade_longer_than_the_clip_spans_it() -> None:
    faded = wf.fade(Waveform(np.ones((1, 100), np.float32), RATE_HZ), 9.0).samples
    assert faded[0, -1] > 0.99
    with pytest.raises(InputError, match="out_s"):
        wf.fade(sine(), 0, -1)


def test_levels_of_silence_and_of_nothing() -> None:
    for samples in (np.zeros((2, 9), np.float32), np.zeros((2, 0), np.float32)):
        assert wf.peak(samples) == wf.rms(samples) == 0
    assert wf.to_db(0) == -np.inf
    assert wf.to_db(wf.to_gain(-6.0)) == pytest.approx(-6.0)


@pytest.mark.parametrize("channels", [6, 8])
def test_the_low_frequency_channel_is_left_out(channels: int) -> None:
    only_low = np.zeros((channels, 4), np.float32)
    only_low[3] = 1.0
    for to in (1, 2):
        assert not wf.to_channels(Waveform(only_low, RATE_HZ), to).samples.any()


def test_surround_is_mixed_by_the_standard() -> None:
    """ITU-R BS.775: the front as it is, the centre and the back at -3 dB, then all scaled alike."""
    each = np.eye(6, dtype=np.float32)
    left, right = wf.to_channels(Waveform(each, RATE_HZ), 2).samples
    np.testing.assert_allclose(left / left[0], [1, 0, 0.5**0.5, 0, 0.5**0.5, 0], atol=1e-6)
    np.testing.assert_allclose(right / right[1], [0, 1, 0.5**0.5, 0, 0, 0.5**0.5], atol=1e-6)
    mono = wf.to_channels(Waveform(each, RATE_HZ), 1).samples[0]
    np.testing.assert_allclose(mono, (left + right) / 2, atol=1e-6)


def test_channels_in_opposite_phase_do_not_cancel_for_a_model() -> None:
    tone = sine(channels=1).samples
    opposite = Waveform(np.concatenate([tone, -tone]), RATE_HZ)
    np.testing.assert_allclose(wf.to_model_channels(opposite, 1).samples, tone)
    alike = Waveform(np.concatenate([tone, tone]), RATE_HZ)
    np.testing.assert_allclose(wf.to_model_channels(alike, 1).samples, tone)
    assert wf.to_model_channels(opposite, 2) is opposite
