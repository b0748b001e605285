"""Headers that are wrong about how much follows them: what is there is read, and that is said."""

from __future__ import annotations

import struct
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest

from tests.audio import damaged
from tests.audio.sounds import RATE_HZ, file_bytes, libsndfile_bytes, sine
from toccata.audio.files import read
from toccata.audio.transforms import Samples
from toccata.errors import AudioError

TONE = sine(1.0)
WAV = file_bytes(TONE, "wav")
W64_DATA = b"data" + bytes.fromhex("f3acd3118cd100c04f8edb8a")
SIBLINGS = {name: libsndfile_bytes(TONE, name, "PCM_16") for name in ("AIFF", "AU", "W64", "CAF")}
# kind -> (what stands before the field, its form, what it counts beside the samples)
FIELDS = {
    "AIFF": (b"SSND", ">I", 8),
    "AU": (b".snd\0\0\0\x18", ">I", 0),
    "W64": (W64_DATA, "<Q", 24),
    "CAF": (b"data", ">Q", 4),
}


def heard(data: bytes) -> tuple[Samples, list[str]]:
    said: list[str] = []
    return read(data, warn=said.append).samples, said


def test_a_whole_wav_is_read_without_a_word() -> None:
    tagged = file_bytes(TONE, "wav", tags={"prompt": "x" * 9999})
    for data in (WAV, tagged):
        samples, said = heard(data)
        assert not said
        np.testing.assert_allclose(samples, TONE.samples, atol=1e-4)


@pytest.mark.parametrize("more", [1, 16, 36, 44])
def test_recorders_that_count_their_header_as_samples(more: int) -> None:
    samples, said = heard(damaged.wav_with_size(WAV, damaged.wav_samples(WAV) + more))
    np.testing.assert_allclose(samples, TONE.samples, atol=1e-4)
    assert said == [
        f"audio data: its header counts {more} bytes of samples too many; all there is was read"
    ]


@pytest.mark.parametrize("size", [0, 768, 40_000])
def test_recorders_that_crashed_and_programs_that_write_to_a_pipe(size: int) -> None:
    samples, said = heard(damaged.wav_with_size(WAV, size))
    np.testing.assert_allclose(samples, TONE.samples, atol=1e-4)
    assert len(said) == 1
    assert "read to its end" in said[0]


@pytest.mark.parametrize("content", [b"abc", b"a", b"x" * 255])
@pytest.mark.parametrize("pad", [b"", b"\0"])
def test_odd_chunks_with_and_without_their_pad_byte(content: bytes, pad: bytes) -> None:
    samples, said = heard(damaged.wav_with_odd_chunk(WAV, content, pad))
    np.testing.assert_allclose(samples, TONE.samples, atol=1e-4)
    assert not said


@pytest.mark.parametrize("depth", [16, 24, 32])
def test_every_depth_and_byte_order_is_mended(depth: int) -> None:
    data = damaged.wav_with_size(file_bytes(TONE, "wav", bit_depth=depth), 0)
    np.testing.assert_allclose(heard(data)[0], TONE.samples, atol=1e-4)
    big = libsndfile_bytes(TONE, "RF64", f"PCM_{depth}")
    lost = big.replace(b"data\xff\xff\xff\xff", b"data\0\0\0\0")
    np.testing.assert_allclose(heard(lost)[0], TONE.samples, atol=1e-4)


@pytest.mark.parametrize("size", [0, 64, 2**63 - 1, 2**64 - 1])
def test_rf64_whose_long_size_was_never_filled_in(size: int) -> None:
    data = libsndfile_bytes(TONE, "RF64", "PCM_16")
    at = data.index(b"ds64") + 16
    lost = data[:at] + struct.pack("<Q", size) + data[at + 8 :]
    np.testing.assert_allclose(heard(lost)[0], TONE.samples, atol=1e-4)


@pytest.mark.parametrize("kind", FIELDS)
def test_the_siblings_of_wav(kind: str) -> None:
    name, form, beside = FIELDS[kind]
    whole = SIBLINGS[kind]
    size = 4 * RATE_HZ + beside
    assert heard(whole)[1] == []
    for wrong in (0, beside, 64 + beside, size + 44):
        samples, said = heard(damaged.with_big_size(whole, name, wrong, form))
        np.testing.assert_allclose(samples, TONE.samples, atol=1e-4)
        assert len(said) == 1
    for part in (0.05, 0.5, 0.9):
        with pytest.raises(AudioError, match=r"cut short|without samples|damaged"):
            read(whole[: int(part * len(whole))])


def test_caf_of_unknown_length() -> None:
    data = damaged.with_big_size(SIBLINGS["CAF"], b"data", 2**64 - 1, ">Q")
    samples, said = heard(data)
    np.testing.assert_allclose(samples, TONE.samples, atol=1e-4)
    assert not said


LIST = b"LIST\x1a\0\0\0INFOISFT\x0e\0\0\0Lavf58.29.100\0"


@pytest.mark.parametrize(
    "tail", [LIST, b"id3 \x05\0\0\0ID3ab\0" + LIST, LIST + b"JUNK\x03\0\0\0abc"]
)
@pytest.mark.parametrize("size", [0, 768, 2**32 - 1])
def test_chunks_behind_samples_of_unknown_length_are_not_heard(tail: bytes, size: int) -> None:
    samples, _ = heard(damaged.wav_with_size(WAV, size) + tail)
    assert samples.shape == TONE.samples.shape
    np.testing.assert_allclose(samples, TONE.samples, atol=1e-4)


def test_tags_behind_aiff_of_unknown_length_are_not_heard() -> None:
    lost = damaged.with_big_size(SIBLINGS["AIFF"], b"SSND", 0)
    samples, _ = heard(lost + b"NAME\0\0\0\x04Song" + b"ANNO\0\0\0\x03abc\0")
    assert samples.shape == TONE.samples.shape


def test_samples_that_look_like_a_chunk_stay() -> None:
    samples, _ = heard(damaged.wav_with_size(WAV[:-64] + LIST + WAV[-64 + len(LIST) :], 0))
    assert samples.shape == TONE.samples.shape


@pytest.mark.parametrize("more", [LIST, b""])
def test_of_two_bodies_the_first_is_heard(more: bytes) -> None:
    second = b"data" + struct.pack("<I", 4000) + bytes(4000)
    samples, said = heard(WAV + more + second)
    np.testing.assert_allclose(samples, TONE.samples, atol=1e-4)
    assert not said


@pytest.mark.parametrize("depth", [16, 24])
def test_bw64_is_read(depth: int) -> None:
    data = libsndfile_bytes(TONE, "RF64", f"PCM_{depth}")
    assert data.startswith(b"RF64")
    samples, said = heard(b"BW64" + data[4:])
    np.testing.assert_allclose(samples, TONE.samples, atol=1e-4)
    assert not said


@pytest.mark.parametrize("more", [2, 60, 4001])
def test_what_is_behind_the_samples_of_w64_is_not_heard(more: int) -> None:
    samples, _ = heard(SIBLINGS["W64"] + b"a" * more)
    assert samples.shape == TONE.samples.shape
    np.testing.assert_allclose(samples, TONE.samples, atol=1e-4)


def test_millions_of_empty_chunks_are_not_all_walked() -> None:
    """They would take gigabytes: a hundred for each byte of the file."""
    empty = (b"LIST" + bytes(4)) * 200_000
    body = WAV.index(b"data") + 8
    for size in (0, 64):
        crafted = WAV[: body - 4] + struct.pack("<I", size) + WAV[body : body + size] + empty
        tracemalloc.start()
        with suppress(AudioError):
            heard(crafted)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 12 * len(crafted)


def test_a_chain_of_tags_is_walked_for_a_while_only() -> None:
    tag = b"ID3\x04" + bytes(6)
    samples, _ = heard(tag * 10 + WAV)
    np.testing.assert_allclose(samples, TONE.samples, atol=1e-4)
    with pytest.raises(AudioError):
        heard(tag * 1000 + WAV)
