"""A part that was cut out is found again in what it was cut from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from toccata.audio.files import write
from toccata.audio.transforms import cut, resample
from toccata.audio.waveform import Waveform
from toccata.server.ui.page_trim import Heard, follow, located

RATE_HZ = 44_100
DURATION_S = 12.0


def tune(seed: int = 0) -> Waveform:
    """Notes of a quarter of a second, in two channels."""
    drawn = np.random.default_rng(seed)
    time_s = np.arange(RATE_HZ // 4) / RATE_HZ
    hz = 220 * 2 ** (drawn.integers(0, 24, round(DURATION_S * 4)) / 12)
    notes = [np.sin(2 * np.pi * one * time_s) * np.exp(-4 * time_s) for one in hz]
    mono = np.concatenate(notes).astype(np.float32)
    return Waveform(np.stack([0.5 * mono, 0.3 * mono]), RATE_HZ)


@pytest.mark.parametrize(("start_s", "end_s"), [(0.0, 12.0), (0.0, 3.3), (2.718, 5.4), (9.1, 12.0)])
def test_a_part_is_located(start_s: float, end_s: float) -> None:
    whole = tune()
    found = located(cut(whole, start_s, end_s), whole)
    assert found == pytest.approx((start_s, end_s), abs=0.01)


def test_it_may_be_resampled_and_noisy() -> None:
    whole = tune()
    part = resample(cut(whole, 3.21, 7.65), 48_000)
    noise = np.random.default_rng(1).normal(0, 0.002, part.samples.shape).astype(np.float32)
    found = located(Waveform(part.samples + noise, 48_000), whole)
    assert found == pytest.approx((3.21, 7.65), abs=0.01)


def test_another_tune_is_not_a_part() -> None:
    assert located(cut(tune(1), 2, 6), tune()) is None


def test_longer_or_silent_audio_is_not_a_part() -> None:
    whole = tune()
    assert located(whole, cut(whole, 0, 5)) is None
    assert located(Waveform(np.zeros((1, RATE_HZ), np.float32), RATE_HZ), whole) is None


def test_what_is_trimmed_twice_is_a_part_of_the_upload(tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in ("whole.wav", "once.wav", "twice.wav")]
    for name, (start_s, end_s) in zip(names, [(0, 12), (2, 9), (4, 6)], strict=True):
        write(Path(name), cut(tune(), start_s, end_s))
    heard = Heard()
    for name in names:
        heard = follow(heard, name)
    assert (heard.shown, heard.whole) == (names[2], names[0])
    assert (heard.start_s, heard.end_s) == pytest.approx((4, 6), abs=0.01)
    assert follow(heard, names[0]) == Heard(names[0], names[0])
    assert follow(heard, None) == Heard()


def test_a_new_upload_is_heard_whole(tmp_path: Path) -> None:
    first, second, broken = (str(tmp_path / name) for name in ("1.wav", "2.wav", "3.wav"))
    write(Path(first), tune())
    write(Path(second), cut(tune(1), 0, 4))
    Path(broken).write_bytes(b"no audio")
    heard = follow(Heard(), first)
    assert follow(heard, second) == Heard(second, second)
    assert follow(heard, broken) == Heard(broken, broken)
