"""FLAC as it comes out of pipes, and in Ogg: read to its end, and refused where it is cut."""

from __future__ import annotations

import numpy as np
import pytest

from tests.audio.damaged import flac_of_unknown_length
from tests.audio.sounds import encoded, file_bytes, noise, sine
from toccata.audio.files import read
from toccata.audio.sniff import sniff
from toccata.errors import AudioError

LONG = noise(9.0, 0.1)  # longer than what is read at once
WHOLE = file_bytes(LONG, "flac")
IN_OGG = encoded(LONG, "ogg", "flac")


@pytest.mark.parametrize("bit_depth", [16, 24])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_flac_of_unknown_length_is_read_to_its_end(bit_depth: int, channels: int) -> None:
    data = file_bytes(sine(1.0, channels=channels), "flac", bit_depth=bit_depth)
    said: list[str] = []
    audio = read(flac_of_unknown_length(data), warn=said.append)
    np.testing.assert_array_equal(audio.samples, read(data).samples)
    assert not said


def test_a_part_of_long_flac_of_unknown_length() -> None:
    data = flac_of_unknown_length(WHOLE)
    np.testing.assert_array_equal(read(data).samples, read(WHOLE).samples)
    part, expected = (read(one, start_s=8.2, end_s=8.9) for one in (data, WHOLE))
    np.testing.assert_array_equal(part.samples, expected.samples)


def test_damaged_flac_of_unknown_length_is_refused() -> None:
    data = flac_of_unknown_length(WHOLE)
    for wrong in (data[:4], data[:30], data[:200]):
        with pytest.raises(AudioError):
            read(wrong)
    for start in range(len(data) // 4, len(data), len(data) // 4):
        lost = data[:start] + bytes(50) + data[start + 50 :]
        with pytest.raises(AudioError, match="is damaged"):
            read(lost)


def test_flac_in_ogg_is_read() -> None:
    assert sniff(IN_OGG) == "flac"
    np.testing.assert_allclose(read(IN_OGG).samples, LONG.samples, atol=1e-4)
    part = read(IN_OGG, start_s=8.2, end_s=8.9)
    np.testing.assert_allclose(part.samples, LONG.samples[:, 262_400:284_800], atol=1e-4)


def test_flac_in_ogg_that_lacks_its_end_is_refused() -> None:
    middle = IN_OGG.index(b"OggS", len(IN_OGG) // 2)
    for end in (middle, middle + 100):
        with pytest.raises(AudioError, match="cut short"):
            read(IN_OGG[:end])
