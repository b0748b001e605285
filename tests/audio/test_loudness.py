import numpy as np
import pyloudnorm
import pytest

from tests.audio.sounds import RATE_HZ, noise, sine
from toccata.audio import loudness
from toccata.audio.loudness import STRATEGIES, level, loudness_lufs
from toccata.audio.meter import GATE_S, integrated_lufs
from toccata.audio.transforms import peak, rms, to_db
from toccata.audio.waveform import Waveform
from toccata.errors import InputError
from toccata.generation.clip import Clip

GAINING = ["loudness", "peak", "rms"]


def constant(value: float, duration_s: float = 1.0) -> Waveform:
    return Waveform(np.full((1, round(duration_s * RATE_HZ)), value, np.float32), RATE_HZ)


def piano_like() -> Waveform:
    """Sharp decaying strokes: a high peak over a low mean, where clamping is heard."""
    time_s = np.arange(4 * RATE_HZ) / RATE_HZ
    strokes = np.exp(-12 * (time_s % 1.0)) * np.sin(2 * np.pi * 262 * time_s)
    return Waveform((0.1 * strokes)[None].astype(np.float32), RATE_HZ)


def test_the_meter_reads_what_the_standard_says() -> None:
    """BS.1770-4: a 997 Hz sine at full scale in one channel is -3.01 LKFS."""
    tone = np.sin(2 * np.pi * 997 * np.arange(5 * 48000) / 48000)
    assert loudness_lufs(Waveform(tone[None].astype(np.float32), 48000)) == pytest.approx(
        -3.01, abs=0.01
    )


@pytest.mark.parametrize("rate_hz", [16000, 32000, 48000, 96000])
@pytest.mark.parametrize(("channels", "duration_s"), [(1, 0.1), (1, 0.4), (2, 1.33), (5, 9.0)])
def test_the_meter_agrees_with_pyloudnorm(rate_hz: int, channels: int, duration_s: float) -> None:
    length = int(duration_s * rate_hz)
    sound = np.random.default_rng(0).standard_normal((channels, length))
    sound *= np.linspace(0, 0.5, length)
    block_s = min(GATE_S, length / rate_hz)
    meter = pyloudnorm.Meter(rate_hz, filter_class="DeMan", block_size=block_s)
    expected = meter.integrated_loudness(sound.T)
    assert integrated_lufs(sound, rate_hz, block_s) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("gain", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_loudness_is_minus_14_lufs(gain: float, channels: int) -> None:
    levelled = level(sine(2.0, gain, channels), "loudness")
    assert loudness_lufs(levelled) == pytest.approx(-14.0, abs=0.1)


def test_loudness_leaves_the_very_quiet_alone() -> None:
    quiet = noise(1.0, 1.9e-3)
    assert level(quiet, "loudness").samples is quiet.samples


def test_peak_is_minus_1_dbfs() -> None:
    for gain in (0.01, 0.5, 2.0):
        assert to_db(peak(level(noise(1.0, gain), "peak").samples)) == pytest.approx(-1, abs=0.01)


def test_rms_is_minus_18_dbfs_of_the_mono_mix() -> None:
    levelled = level(sine(1.0, 0.3), "rms")
    assert to_db(rms(levelled.samples.mean(axis=0))) == pytest.approx(-18, abs=0.01)


def test_clip_only_clamps() -> None:
    loud = sine(gain=2.0)
    ceiling = 10 ** (-0.5 / 20)
    expected = np.clip(loud.samples, -ceiling, ceiling)
    np.testing.assert_allclose(level(loud, "clip").samples, expected, atol=1e-7)
    quiet = sine(gain=0.5)
    np.testing.assert_array_equal(level(quiet, "clip").samples, quiet.samples)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    "waveform",
    [
        pytest.param(constant(0.0), id="silence"),
        pytest.param(constant(0.0, 0.1), id="short silence"),
        pytest.param(constant(0.5), id="dc"),
        pytest.param(constant(-2.0), id="loud dc"),
        pytest.param(sine(0.1), id="0.1 s"),
        pytest.param(sine(1 / RATE_HZ), id="one sample"),
        pytest.param(noise(1.0, 0.7, 2), id="over +6 dBFS"),
        pytest.param(piano_like(), id="piano"),
        pytest.param(Waveform(np.zeros((2, 0), np.float32), RATE_HZ), id="empty"),
        pytest.param(
            Waveform(np.outer([1, -1], sine(channels=1).samples[0]).astype("f4"), 32000),
            id="sides cancel",
        ),
    ],
)
def test_every_strategy_is_sane_everywhere(strategy: str, waveform: Waveform) -> None:
    before = waveform.samples.copy()
    samples = level(waveform, strategy).samples
    assert samples.shape == before.shape
    assert samples.dtype == np.float32
    assert np.isfinite(samples).all()
    if not (strategy == "rms" and np.abs(before.sum(axis=0)).max(initial=0) == 0):
        assert peak(samples) <= 10 ** ((-0.5 if strategy == "clip" else -1.0) / 20) + 1e-6
    np.testing.assert_array_equal(waveform.samples, before)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_silence_stays_silent(strategy: str) -> None:
    assert not level(constant(0.0), strategy).samples.any()


def test_a_short_clip_is_about_as_loud_as_a_long_one() -> None:
    short, long = (level(noise(seconds, 0.02), "loudness") for seconds in (0.1, 2.0))
    assert to_db(rms(short.samples) / rms(long.samples)) == pytest.approx(0, abs=1.0)


def test_plus_6_dbfs_comes_down_without_being_flattened() -> None:
    loud = sine(1.0, gain=2.0, channels=1)
    for strategy in GAINING:
        samples = level(loud, strategy).samples
        at_peak = np.isclose(np.abs(samples), peak(samples), rtol=1e-4).mean()
        assert at_peak < 0.05


def test_a_limited_piano_keeps_its_shape_where_clamping_would_not() -> None:
    piano = piano_like()
    levelled = level(piano, "loudness").samples[0]
    gain_db = loudness.TARGET_LUFS - loudness_lufs(piano)
    unlimited = piano.samples[0] * 10 ** (gain_db / 20)
    assert np.abs(unlimited).max() > 1.0
    audible = np.abs(unlimited) > 1e-3
    curve = np.divide(levelled, unlimited, out=np.full_like(unlimited, np.nan), where=audible)
    assert np.nanmax(curve) <= 1 + 1e-6
    assert np.nanmax(np.abs(np.diff(curve))) < 0.02


def test_a_clip_keeps_its_data_and_unknown_strategies_are_named() -> None:
    assert level(Clip(sine().samples, RATE_HZ, seed=5), "peak").seed == 5
    with pytest.raises(InputError, match="use one of loudness, peak, rms, clip"):
        level(sine(), "loud")
