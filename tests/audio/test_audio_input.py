"""Whatever callers have audio in is read as the same Waveform, or refused in words that help."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from toccata.audio.audio_input import read_audio
from toccata.audio.files import read
from toccata.audio.waveform import Waveform
from toccata.errors import AudioError, InputError, ToccataError
from toccata.generation.clip import Clip

RATE_HZ = 8000
# Eighths are exact in 16 bits, so that a file holds the very same samples.
SAMPLES = (np.random.default_rng(0).integers(-7, 8, (2, 800)) / 8).astype(np.float32)
STEREO = Waveform(SAMPLES, RATE_HZ)


def encoded() -> bytes:
    file = io.BytesIO()
    STEREO.save(file)
    return file.getvalue()


def same(audio: Any, wanted: np.ndarray[Any, Any] = SAMPLES) -> None:
    found = read_audio("melody", audio)
    assert found.sample_rate_hz == RATE_HZ
    assert found.samples.dtype == np.float32
    np.testing.assert_array_equal(found.samples, wanted)


def test_waveforms_and_clips_are_taken_as_they_are() -> None:
    clip = Clip(SAMPLES, RATE_HZ, seed=3)
    assert read_audio("melody", STEREO) is STEREO
    assert read_audio("melody", clip) is clip


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, io.BytesIO])
def test_bytes_and_file_objects_are_read(kind: Any) -> None:
    same(kind(encoded()))


def test_paths_and_open_files_are_read(tmp_path: Path) -> None:
    path = STEREO.save(tmp_path / "stereo.wav")
    same(path)
    same(str(path))
    with path.open("rb") as file:
        same(file)


@pytest.mark.parametrize(
    "samples",
    [
        SAMPLES,
        SAMPLES.astype(np.float64),
        SAMPLES.tolist(),
        torch.from_numpy(SAMPLES),
        torch.from_numpy(SAMPLES).double(),
        torch.from_numpy(SAMPLES).bfloat16().requires_grad_(),
        (SAMPLES * 2**15).astype(np.int16),
        torch.from_numpy((SAMPLES * 2**15).astype(np.int16)),
        (SAMPLES * 2.0**31).astype(np.int32),
        (SAMPLES * 2**7 + 128).astype(np.uint8),
        np.asfortranarray(SAMPLES),
    ],
    ids=lambda samples: f"{type(samples).__name__} {getattr(samples, 'dtype', '')}",
)
def test_arrays_and_tensors_are_taken_with_their_rate(samples: Any) -> None:
    same((samples, RATE_HZ))
    same((samples[0], np.int64(RATE_HZ)), SAMPLES[:1])


@pytest.mark.parametrize(
    ("audio", "cure"),
    [
        (3, "a Waveform or Clip, the path of a file"),
        ([0.1, 0.2], "samples, sample_rate_hz"),
        ({"path": "x.wav"}, "the path of a file"),
        (SAMPLES, "samples have no rate of their own"),
        (torch.from_numpy(SAMPLES), "samples have no rate of their own"),
        ((RATE_HZ, SAMPLES), r"a pair is \(samples, sample_rate_hz\)"),
        ((SAMPLES, 0), "the rate a whole number above 0"),
        ((SAMPLES, "44100"), "the rate a whole number above 0"),
        ((SAMPLES, RATE_HZ, 1), "a pair is"),
        ((SAMPLES.T, RATE_HZ), "transpose"),
        ((SAMPLES[None], RATE_HZ), "one item of a batch"),
        ((np.float32(1), RATE_HZ), "must be"),
        ((SAMPLES > 0, RATE_HZ), "floats or integers"),
        ((SAMPLES + 1j, RATE_HZ), "floats or integers"),
        (([[1.0], [1.0, 2.0]], RATE_HZ), "must be one array"),
        (io.StringIO("RIFF"), "binary mode"),
    ],
)
def test_what_is_no_audio_is_named_with_what_would_be(audio: Any, cure: str) -> None:
    with pytest.raises(InputError, match=cure) as caught:
        read_audio("melody", audio)
    assert caught.value.field == "melody"


def test_bytes_that_are_no_audio_file_say_so() -> None:
    with pytest.raises(AudioError, match="audio data"):
        read_audio("melody", b"neither")


@pytest.mark.parametrize("format", ["wav", "flac", "mp3", "ogg"])
def test_waveforms_and_clips_are_saved_to_file_objects(format: str) -> None:
    for audio in (STEREO, Clip(SAMPLES, RATE_HZ, prompt="slow")):
        file = io.BytesIO()
        audio.save(file, format=format)
        assert read(file.getvalue()).channels == 2


def test_save_returns_the_path_and_takes_the_format_of_its_suffix(tmp_path: Path) -> None:
    path = STEREO.save(str(tmp_path / "chunk.flac"), bit_depth=24)
    assert path == tmp_path / "chunk.flac"
    assert path.read_bytes().startswith(b"fLaC")
    assert STEREO.save(tmp_path / "no suffix", format="ogg").read_bytes().startswith(b"OggS")


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch has doubts about some kinds itself
@pytest.mark.parametrize(
    ("convert", "cure"),
    [
        (torch.Tensor.to_sparse, r"sparse_coo.*to_dense\(\)"),
        (torch.Tensor.to_sparse_csr, r"sparse_csr.*to_dense\(\)"),
        (lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8), r"dequantize\(\)"),
        (lambda tensor: torch.complex(tensor, tensor).conj(), "complex.*floats or integers"),
        (lambda tensor: tensor.to("meta"), "device meta.*no values"),
        (lambda tensor: torch.nested.nested_tensor([tensor]), "nested tensor.*one item"),
    ],
)
def test_tensors_without_an_array_are_named(convert: Any, cure: str) -> None:
    with pytest.raises(InputError, match=cure) as caught:
        read_audio("continue_from", (convert(torch.from_numpy(SAMPLES)), RATE_HZ))
    assert caught.value.field == "continue_from"


def test_a_tensor_that_is_negated_lazily_is_taken() -> None:
    negated = torch.complex(torch.zeros(SAMPLES.shape), torch.from_numpy(-SAMPLES)).conj().imag
    assert negated.is_neg()
    same((negated, RATE_HZ))


def test_save_names_what_is_wrong(tmp_path: Path) -> None:
    save: Any = STEREO.save
    with pytest.raises(InputError, match="wav has none: leave it out, or write mp3 or ogg"):
        save(tmp_path / "x.wav", bitrate_kbps=128)
    with pytest.raises(InputError, match="bit_depth, bitrate_kbps"):
        save(tmp_path / "x.wav", bitrate=128)
    with pytest.raises(InputError, match="binary mode"):
        save(io.StringIO())
    with pytest.raises(InputError, match="target"):
        save(None)
    assert not list(tmp_path.iterdir())


def test_numpy_sees_the_samples_of_a_clip() -> None:
    clip = Clip(SAMPLES, RATE_HZ)
    seen = np.asarray(clip)
    assert seen.shape == (2, 800)
    assert seen.dtype == np.float32
    assert np.shares_memory(seen, SAMPLES)
    assert not np.shares_memory(np.array(clip), SAMPLES)
    assert np.asarray(clip, dtype=np.float64).dtype == np.float64


class Parts(io.BytesIO):
    """Gives less than is asked for, as a socket does."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(1000, size or 0) if size != -1 else 1000)


def test_a_file_that_gives_its_bytes_in_parts_is_read_whole() -> None:
    same(Parts(encoded()))


class Answers(io.BytesIO):
    def __init__(self, answer: Any) -> None:
        super().__init__()
        self._answer = answer

    def read(self, _: int | None = -1) -> Any:
        return self._answer


def closed() -> io.BytesIO:
    file = io.BytesIO(b"x")
    file.close()
    return file


@pytest.mark.parametrize("audio", [Answers("text"), Answers(None), closed(), "a\0b"])
def test_what_cannot_be_read_is_an_error_of_ours(audio: Any) -> None:
    with pytest.raises(ToccataError):
        read_audio("melody", audio)


@pytest.mark.parametrize("rate", [math.inf, math.nan])
def test_a_rate_that_is_no_number_is_refused(rate: float) -> None:
    pair: Any = (np.zeros(100, np.float32), rate)
    with pytest.raises(InputError, match="whole number above 0"):
        read_audio("melody", pair)
