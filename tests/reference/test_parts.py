"""The parts that audiocraft's checkpoints only name: a codec and a T5 in folders of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import EncodecModel, T5EncoderModel, T5ForConditionalGeneration
from transformers.audio_utils import chroma_filter_bank

from tests.golden_lm import expected
from tests.models.helpers import CODEC_FILE, GivenText, copy_golden, golden_model, publish
from tests.reference import tiny
from toccata.conditioners.chroma import ChromaConfig, filters
from toccata.models.checkpoints.transformers import read_t5
from toccata.models.loading import load_model

CODEC_ID, T5_ID = "facebook/encodec_32khz", "google-t5/t5-base"


@pytest.fixture
def cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache in place of the hub's."""
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    return folder


@torch.inference_mode()
def test_a_codec_that_is_only_named_is_found(tmp_path: Path, cache_dir: Path) -> None:
    config = tiny.codec_config(codebook_size=128, target_bandwidths=[1.4], pad_mode="constant")
    reference = tiny.randomized(EncodecModel(config))
    publish(tiny.save(reference, tmp_path / "codec"), CODEC_ID, cache_dir)
    folder = copy_golden("text", tmp_path / "text")
    torch.save({"pretrained": CODEC_ID}, folder / CODEC_FILE)
    given = GivenText(expected("text")["text_hidden_single"][0])
    model = load_model(folder, device="cpu", precision="fp32", offline=True, text_encoder=given)
    audio = torch.randn(1, 1, 2000, generator=torch.Generator().manual_seed(0))
    codes = model.codec.encode(audio)
    assert torch.equal(codes, reference.encode(audio).audio_codes[0])


@torch.inference_mode()
def test_a_t5_that_is_only_named_is_found(tmp_path: Path, cache_dir: Path) -> None:
    reference = tiny.randomized(T5EncoderModel(tiny.t5_config(d_model=768)))
    publish(tiny.save(reference, tmp_path / "t5"), T5_ID, cache_dir)
    folder = copy_golden("text", tmp_path / "text")
    model = load_model(folder, device="cpu", precision="fp32", offline=True)
    ids = torch.tensor([tiny.tokenizer().encode("fast drums").ids])
    wanted = reference(input_ids=ids).last_hidden_state[0]
    torch.testing.assert_close(model.text_encoder.encode("fast drums"), wanted)
    text, projection = model.conditions("fast drums").text, golden_model("text").lm.projections
    torch.testing.assert_close(text, projection["description"](wanted))


@torch.inference_mode()
def test_the_decoder_of_a_whole_t5_is_left_out(tmp_path: Path) -> None:
    reference = tiny.randomized(T5ForConditionalGeneration(tiny.t5_config()))
    folder = tiny.save(reference, tmp_path / "t5")
    encoder = read_t5(folder)(torch.device("cpu"), torch.float32)
    ids = torch.tensor([tiny.tokenizer().encode("warm piano").ids])
    wanted = reference.encoder(input_ids=ids).last_hidden_state[0]
    torch.testing.assert_close(encoder.encode("warm piano"), wanted)


@pytest.mark.parametrize(("rate_hz", "window"), [(32000, 16384), (44100, 4096)])
def test_the_chroma_filters_are_those_of_librosa(rate_hz: int, window: int) -> None:
    """transformers has a port of librosa's, which the published models were trained with."""
    wanted = chroma_filter_bank(window, 12, rate_hz, tuning=0.0)
    made = filters(ChromaConfig(sample_rate_hz=rate_hz, window=window, hop=window // 4))
    np.testing.assert_allclose(made.numpy(), wanted[:, : made.shape[1]], atol=1e-6)
