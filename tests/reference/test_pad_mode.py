"""One codec in both of its published files gives the same codes and the same audio.

audiocraft's file says that zeros surround the signal, as the weights were trained. transformers'
conversion of the same weights says `reflect`, which is only its default.
"""

from __future__ import annotations

import json
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    EncodecModel,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
)

from tests.golden_lm import GOLDEN
from tests.models.helpers import CODEC_FILE, golden_model, publish
from tests.reference import tiny
from toccata.codecs.base import Codec
from toccata.codecs.encodec import Encodec
from toccata.models.checkpoints.assembly import load_codec
from toccata.models.checkpoints.transformers import read_codec
from toccata.models.loading import load_model

CARD, BOOKS = 128, 4
SHAPE = {
    "num_filters": 4, "hidden_size": 16, "codebook_size": CARD, "target_bandwidths": [1.4],
}  # fmt: skip
CODEC_ID, MODEL_ID = "facebook/encodec_32khz", "facebook/musicgen-small"


def theirs() -> dict[str, Tensor]:
    """The golden codec's tensors by the names that transformers' conversion gives them."""
    state = torch.load(GOLDEN / "text" / CODEC_FILE, weights_only=True)["best_state"]
    spelled = {
        ".conv.conv.": ".conv.", ".convtr.convtr.": ".conv.", ".model.": ".layers.",
        "quantizer.vq.": "quantizer.", "._codebook.": ".codebook.",
    }  # fmt: skip

    def rename(name: str) -> str:
        return reduce(lambda told, pair: told.replace(*pair), spelled.items(), name)

    return {rename(name): tensor.clone() for name, tensor in state.items()}


def converted(folder: Path, **changes: Any) -> Path:
    """As facebook/encodec_32khz is: the codec alone."""
    codec = EncodecModel(tiny.codec_config(**SHAPE, **changes))
    tiny.save(codec, folder)
    save_file(theirs(), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def converted_model(folder: Path) -> Path:
    """As facebook/musicgen-small is: the codec is a part of it."""
    decoder = {**tiny.decoder_shape(False), "vocab_size": CARD}
    decoder |= {"pad_token_id": CARD, "bos_token_id": CARD}
    config = MusicgenConfig(
        text_encoder=tiny.t5_config().to_dict(),
        audio_encoder=tiny.codec_config(**SHAPE).to_dict(),
        decoder=MusicgenDecoderConfig(**decoder).to_dict(),
    )
    tiny.save(tiny.randomized(MusicgenForConditionalGeneration(config)), folder)
    file = folder / "model.safetensors"
    kept = {k: v for k, v in load_file(file).items() if not k.startswith("audio_encoder.")}
    codec = {f"audio_encoder.{name}": tensor for name, tensor in theirs().items()}
    save_file(kept | codec, file, metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def audiocraft() -> Codec:
    return golden_model("text").codec


@pytest.fixture
def cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    return folder


def music() -> Tensor:
    return 0.3 * torch.randn(1, 1, 32000, generator=torch.Generator().manual_seed(1))


def codec_in(folder: Path) -> Encodec:
    return load_codec(*read_codec(folder), torch.device("cpu"))


def same(codec: Codec, audiocraft: Codec) -> bool:
    codes = audiocraft.encode(music())
    if not torch.equal(codec.encode(music()), codes):
        return False
    return bool((codec.decode(codes) - audiocraft.decode(codes)).abs().max() < 1e-5)


def test_the_published_codec_alone(audiocraft: Codec, tmp_path: Path, cache_dir: Path) -> None:
    folder = converted(tmp_path / "codec")
    assert json.loads((folder / "config.json").read_text()).get("pad_mode", "reflect") == "reflect"
    assert not same(codec_in(folder), audiocraft)  # what the file says is another model
    assert same(codec_in(publish(folder, CODEC_ID, cache_dir)), audiocraft)


def test_the_codec_in_a_published_model(audiocraft: Codec, tmp_path: Path, cache_dir: Path) -> None:
    publish(converted_model(tmp_path / "model"), MODEL_ID, cache_dir)
    for name in ("small", MODEL_ID):
        model = load_model(name, device="cpu", precision="fp32", offline=True)
        assert same(model.codec, audiocraft)


def test_a_copy_under_its_name(audiocraft: Codec, tmp_path: Path) -> None:
    folder = converted_model(tmp_path / "musicgen-small")
    assert same(load_model(folder, device="cpu", precision="fp32").codec, audiocraft)


def test_a_codec_that_names_where_it_is_from(audiocraft: Codec, tmp_path: Path) -> None:
    folder = converted(tmp_path / "mine")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "_name_or_path": CODEC_ID}))
    assert same(codec_in(folder), audiocraft)


@torch.inference_mode()
@pytest.mark.parametrize("pad_mode", ["reflect", "constant"])
def test_any_other_codec_does_what_its_file_says(
    audiocraft: Codec, tmp_path: Path, pad_mode: str
) -> None:
    codec = codec_in(converted(tmp_path / "mine", pad_mode=pad_mode))
    assert same(codec, audiocraft) == (pad_mode == "constant")
