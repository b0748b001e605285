"""The published codec: what it was trained with, and one model in all of its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from tests.weights.conftest import Find
from tests.weights.published import audiocraft_alone
from toccata.codecs.encodec import Encodec
from toccata.models.checkpoints.assembly import load_codec
from toccata.models.checkpoints.bin_files import plain_config, read_bin
from toccata.models.checkpoints.transformers import read_codec

SMALL, CODEC = "facebook/musicgen-small", "facebook/encodec_32khz"
BIN = "compression_state_dict.bin"


@pytest.fixture(scope="module")
def converted(find: Find) -> Encodec:
    """transformers' file of it."""
    folder = find(CODEC, "config.json", "model.safetensors")
    return load_codec(*read_codec(folder), torch.device("cpu"))


def own_config(find: Find) -> tuple[Path, dict[str, Any]]:
    """audiocraft's file of it with its configuration; some releases only name the codec."""
    file = find(SMALL, BIN, "state_dict.bin") / BIN
    content = read_bin(file)
    if "pretrained" in content:
        pytest.skip(f"needs a {BIN} with weights: this one names {content['pretrained']}")
    return file, plain_config(content["xp.cfg"], file)


def music() -> Tensor:
    """Two seconds of decaying chords, not silent at either end."""
    time_s = torch.arange(2 * 32000) / 32000
    tones = [torch.sin(6.283 * hz * time_s + hz) / (i + 4) for i, hz in enumerate((110, 277, 660))]
    return (torch.stack(tones).sum(0) * torch.exp(-2 * (time_s % 0.5)))[None, None]


def test_it_was_trained_with_zeros_around_the_signal(find: Find) -> None:
    _, config = own_config(find)
    assert config["seanet"]["pad_mode"] == "constant", yaml.safe_dump(config["seanet"])


def test_what_is_loaded_pads_as_it_was_trained(converted: Encodec) -> None:
    assert converted.cfg.seanet.pad_mode == "constant"


@torch.inference_mode()
def test_both_files_give_the_same_codes(find: Find, converted: Encodec) -> None:
    file, _ = own_config(find)
    checkpoint = audiocraft_alone(file.parent)
    own = load_codec(checkpoint.codec_config, checkpoint.codec, torch.device("cpu"))
    codes = own.encode(music())
    assert torch.equal(converted.encode(music()), codes)
    torch.testing.assert_close(converted.decode(codes), own.decode(codes), rtol=0, atol=1e-5)


@torch.inference_mode()
def test_it_decodes_to_the_precision_that_is_promised(converted: Encodec) -> None:
    """50 dB where the decoder rounds to bfloat16, and the same codes everywhere."""
    codes, exact = converted.encode(music()), converted.decode(converted.encode(music()))
    converted.compile_networks(half=True)
    assert torch.equal(converted.encode(music()), codes)
    error = converted.decode(codes) - exact
    converted.compiled = None
    assert error.square().sum() * 10**5 <= exact.square().sum()
