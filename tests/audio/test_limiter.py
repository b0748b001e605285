import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.audio.sounds import RATE_HZ, noise, sine
from toccata.audio.limiter import limit

CEILING = 10 ** (-1 / 20)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 99),
    gain=st.floats(0.1, 1000),
    length=st.integers(1, 4000),
    rate_hz=st.sampled_from([8000, 32000, 48000]),
)
def test_no_sample_is_over_the_ceiling_or_turned_round(
    seed: int, gain: float, length: int, rate_hz: int
) -> None:
    before = np.random.default_rng(seed).standard_normal((2, length)).astype(np.float32) * gain
    after = limit(before.astype(np.float32), rate_hz, -1.0)
    assert np.abs(after).max() <= CEILING
    assert (after * before >= 0).all()
    assert (np.abs(after) <= np.abs(before)).all()


def test_what_is_below_the_ceiling_is_the_very_same() -> None:
    quiet = sine(gain=0.8).samples
    assert limit(quiet, RATE_HZ, -1.0) is quiet


def test_only_the_neighbourhood_of_a_peak_is_touched() -> None:
    samples = sine(1.0, 0.5).samples.copy()
    samples[0, 16000] = 2.0
    after = limit(samples, RATE_HZ, -1.0)
    changed = np.flatnonzero((after != samples).any(axis=0))
    assert changed[0] > 16000 - 0.006 * RATE_HZ
    assert changed[-1] < 16000 + 0.15 * RATE_HZ


def test_the_gain_has_no_steps_and_is_one_for_all_channels() -> None:
    flat = np.ones((2, RATE_HZ), np.float32)
    flat[1] = 0.5
    flat[:, 10000:12000] = 4.0
    flat[:, 20000] = 8.0
    after = limit(flat, RATE_HZ, -1.0)
    gain = after / flat
    np.testing.assert_allclose(gain[0], gain[1], rtol=1e-6)
    assert np.abs(np.diff(gain[0])).max() < 0.02


@pytest.mark.parametrize("hz", [50, 1000])
def test_a_steady_tone_is_turned_down_and_not_bent(hz: int) -> None:
    tone = 1.5 * np.sin(2 * np.pi * hz * np.arange(RATE_HZ) / RATE_HZ)[None].astype(np.float32)
    after = limit(tone, RATE_HZ, -1.0)[0, 3200:28800]
    spectrum = np.abs(np.fft.rfft(after * np.hanning(after.size)))
    tone_bin = round(hz * after.size / RATE_HZ)
    overtones = spectrum[2 * tone_bin - 5 :].max()
    assert 20 * np.log10(overtones / spectrum.max()) < -40


def test_half_a_minute_is_limited() -> None:
    assert limit(noise(30.0, 0.5).samples, RATE_HZ, -1.0).shape == (1, 30 * RATE_HZ)
