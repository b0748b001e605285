import io
import wave

import numpy as np
import pytest

from tests.audio.sounds import RATE_HZ, sine
from toccata.audio.files import read
from toccata.audio.stream_wav import to_pcm, to_pcm16, wav_header
from toccata.errors import AudioError, InputError


def test_a_stream_reads_like_the_file_it_became() -> None:
    tone = sine()
    chunks = [to_pcm16(tone.samples[:, start : start + 999]) for start in range(0, 16000, 999)]
    again = read(wav_header(RATE_HZ, 2) + b"".join(chunks))
    np.testing.assert_allclose(again.samples, tone.samples, atol=2.0**-16)


def test_a_header_of_known_length_satisfies_pythons_own_reader() -> None:
    body = to_pcm16(sine().samples)
    with wave.open(io.BytesIO(wav_header(RATE_HZ, 2, 16, len(body)) + body)) as file:
        assert file.getparams()[:4] == (2, 2, RATE_HZ, 16000)


@pytest.mark.parametrize("bit_depth", [16, 24])
def test_rounding_has_no_bias_and_full_scale_no_wrap(bit_depth: int) -> None:
    scale = 2 ** (bit_depth - 1)
    values = np.array([[0.4, -0.4, 0.6, -0.6, 2 * scale, -2 * scale]], np.float32) / scale
    raw = np.frombuffer(to_pcm(values, bit_depth), np.uint8).reshape(-1, bit_depth // 8)
    found = [int.from_bytes(bytes(row), "little", signed=True) for row in raw]
    assert found == [0, 0, 1, -1, scale - 1, -scale]


def test_a_wav_past_4_gib_is_refused() -> None:
    with pytest.raises(AudioError, match="write flac"):
        wav_header(RATE_HZ, 2, 16, 2**32)


def test_an_unknown_bit_depth_is_named() -> None:
    with pytest.raises(InputError, match="bit_depth: 20"):
        wav_header(RATE_HZ, 2, 20)
