"""Nothing is encoded twice, and nothing old is taken for new."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.fakes import SineCodec, fake_model
from tests.finetuning.dataset.music import OPTIONS, caption, counting_model, prepared, song
from toccata.codecs.base import OnBlock
from toccata.codecs.encodec import Encodec, EncodecConfig
from toccata.codecs.seanet import SeanetConfig
from toccata.finetuning.dataset import Item
from toccata.finetuning.dataset.fingerprint import codec_digest

NPY = b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (0,), }" + 64 * b" "


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    for name in ("a.wav", "b.wav"):
        song(folder, name, 2.0, pitches_hz=(ord(name[0]) * 2.0,))
    return folder


def encoded(data: Path, **changes: object) -> int:
    """How many chunks had to be encoded."""
    model, codec = counting_model()
    prepared(data, replace(OPTIONS, **changes), model)  # type: ignore[arg-type]
    return codec.encoded


def assert_same(one: list[Item], other: list[Item]) -> None:
    for a, b in zip(one, other, strict=True):
        assert (a.name, a.start_s, a.caption, a.tags) == (b.name, b.start_s, b.caption, b.tags)
        np.testing.assert_array_equal(a.codes, b.codes)
        np.testing.assert_array_equal(a.melody, b.melody)


@pytest.mark.parametrize("melody", [False, True])
def test_what_was_encoded_is_read_back_as_it_was(data: Path, melody: bool) -> None:
    model = fake_model(melody=melody)
    assert_same(prepared(data, model=model), prepared(data, model=model))


def test_a_second_preparation_encodes_nothing(data: Path) -> None:
    assert encoded(data) == 4
    assert encoded(data) == 0


def test_a_changed_song_is_encoded_again(data: Path) -> None:
    encoded(data)
    song(data, "a.wav", 1.0)
    assert encoded(data) == 1


def test_a_renamed_song_and_a_new_caption_encode_nothing(data: Path) -> None:
    encoded(data)
    (data / "a.wav").rename(data / "c.wav")
    caption(data, "c.txt", "slow")
    assert encoded(data, seed=3, held_out_share=0.5) == 0


def test_the_same_music_under_two_names_is_encoded_once(data: Path) -> None:
    (data / "copy.wav").write_bytes((data / "a.wav").read_bytes())
    assert encoded(data) == 4


@pytest.mark.parametrize(
    "change", [{"segment_s": 0.5}, {"hop_s": 0.9}, {"shortest_s": 0.5}, {"auto_tags": False}]
)
def test_options_that_change_codes_or_tags_encode_again(
    data: Path, change: dict[str, object]
) -> None:
    for name in ("a.txt", "b.txt"):
        caption(data, name, "slow")
    encoded(data)
    assert encoded(data, **change) > 0


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"no zip", NPY, None])
def test_a_broken_file_is_made_anew(data: Path, damage: bytes | None) -> None:
    model, _ = counting_model()
    before = prepared(data, model=model)
    broken = min((data.parent / "cache").glob("*.npz"))
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert encoded(data) == 2
    assert_same(before, prepared(data, model=model))
    assert encoded(data) == 0


def test_an_interrupted_preparation_goes_on(data: Path) -> None:
    class Interrupted(SineCodec):
        def encode(self, audio: Tensor, on_block: OnBlock | None = None) -> Tensor:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return super().encode(audio, on_block)

        left = 3

    model = fake_model()
    model.codec = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        prepared(data, model=model)
    cache = data.parent / "cache"
    assert len(list(cache.iterdir())) == 1
    model.codec = SineCodec()
    assert_same(prepared(data, model=model), prepared(data, model=fake_model()))


def test_codecs_are_told_apart_by_shape_and_weights() -> None:
    def codec(pad_mode: str = "constant", seed: int = 0) -> Encodec:
        torch.manual_seed(seed)
        seanet = SeanetConfig(filters=2, dimension=8, pad_mode=pad_mode)
        return Encodec(EncodecConfig(card=16, seanet=seanet))

    digests = [codec_digest(one) for one in (codec(), codec("reflect"), codec(seed=1), SineCodec())]
    assert len(set(digests)) == 4
    assert codec_digest(codec()) == digests[0]
