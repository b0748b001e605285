"""What is to be seen on the picture of a clip."""

from __future__ import annotations

import tracemalloc

import numpy as np

from toccata.audio.waveform import Waveform
from toccata.server.ui.pictures import (
    BACKGROUND,
    CLASS_ROWS,
    MEL_ROWS,
    WAVE_ROWS,
    WIDTH,
    class_rows,
    mel_rows,
    picture,
    waveform_rows,
)

RATE_HZ = 32_000


def tone(hz: float, duration_s: float = 1.0) -> Waveform:
    time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    return Waveform(np.sin(2 * np.pi * hz * time_s, dtype=np.float32)[None], RATE_HZ)


def middle(rows: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> int:
    """The brightest row in the middle of the clip."""
    return int(rows[:, WIDTH // 2].sum(-1).argmax())


def test_loud_is_tall() -> None:
    loud = waveform_rows(tone(440).samples[0])
    soft = waveform_rows(tone(440).samples[0] / 10)
    assert (loud != BACKGROUND).any(-1).sum() > 5 * (soft != BACKGROUND).any(-1).sum()


def test_high_is_above_low() -> None:
    assert middle(mel_rows(tone(4000))) < middle(mel_rows(tone(200)))


def test_notes_are_where_their_pitch_class_is() -> None:
    c, b = class_rows(tone(261.63), None), class_rows(tone(493.88), None)
    assert middle(c) // 8 == 11
    assert middle(b) // 8 == 0


def test_a_melody_is_white_where_it_was_followed_and_red_where_not() -> None:
    followed = class_rows(tone(440), tone(440, 0.3))
    missed = class_rows(tone(440), tone(261.63))
    assert followed[middle(followed), WIDTH // 2].tolist() == [235, 235, 235]
    assert missed[11 * 8, WIDTH // 2].tolist() == [235, BACKGROUND[1], BACKGROUND[2]]


def test_silence_has_a_picture_of_the_same_size() -> None:
    silent = picture(Waveform(np.zeros((2, 10), np.float32), RATE_HZ))
    assert silent.size == (WIDTH, WAVE_ROWS + MEL_ROWS + 8 * CLASS_ROWS + 12)


def test_a_long_clip_takes_no_more_than_its_samples() -> None:
    minutes = Waveform(np.tile(tone(440, 1.0).samples, 300), RATE_HZ)
    tracemalloc.start()
    rows = mel_rows(minutes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 250 * 2**20
    assert middle(rows) == middle(mel_rows(tone(440)))
