"""Configurations that no model has: each is refused at once, by the name of its file and field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.models.test_toccata import load, with_words
from toccata.errors import CheckpointError
from toccata.models.checkpoints.native import CONFIG
from toccata.models.checkpoints.native import write as save_model

MANY = 2**62


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(with_words("melody"), folder)
    return folder


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("lm.heads", 0),
        ("lm.ffn_dim", -1),
        ("lm.layers", MANY),
        ("lm.layers", 100_000),
        ("lm.cond_dims.description", MANY),
        ("lm.cond_dims.description", "x"),
        ("segment_s", float("nan")),
        ("segment_s", float("inf")),
        ("segment_s", 1e308),
        ("segment_s", 0),
        ("codec.sample_rate_hz", 0),
        ("codec.seanet.pad_mode", "x"),
        ("codec.seanet.compress", 0),
        ("codec.seanet.residual_layers", MANY),
        ("codec.seanet.lstm_layers", MANY),
        ("codec.seanet.ratios", [MANY]),
        ("codec.seanet.ratios", [64, 64, 64]),
        ("codec.seanet.ratios", [1] * 100),
        ("text.shape.layers", MANY),
        ("text.shape.heads", 0),
        ("text.shape.buckets", 1),
        ("chroma.sample_rate_hz", 0),
        ("chroma.window", -1),
        ("chroma.hop", 0),
        ("chroma.frames", 10**30),
        ("defaults.temperature", -1),
        ("defaults.top_k", 10**30),
        ("condition_scale.inverse_temperature", [1e308] * 4),
    ],
)
def test_numbers_out_of_range_are_refused_with_their_field(
    path: str, value: Any, written: Path, tmp_path: Path
) -> None:
    config = json.loads((written / CONFIG).read_text())
    *sections, field = path.split(".")
    section = config
    for name in sections:
        section = section[name]
    section[field] = value
    (tmp_path / CONFIG).write_text(json.dumps(config))
    (tmp_path / "model.safetensors").symlink_to(written / "model.safetensors")
    with pytest.raises(CheckpointError) as refused:
        load(tmp_path)
    message = str(refused.value)
    assert message.startswith(str(tmp_path)), message
    assert any(name in message for name in (field, sections[-1] if sections else field)), message


def test_sizes_that_no_module_can_have_are_refused(written: Path, tmp_path: Path) -> None:
    config = json.loads((written / CONFIG).read_text())
    config["text"]["shape"]["heads"] = 7  # of a width of 768
    (tmp_path / CONFIG).write_text(json.dumps(config))
    (tmp_path / "model.safetensors").symlink_to(written / "model.safetensors")
    with pytest.raises(CheckpointError, match="describes no model"):
        load(tmp_path)


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
@pytest.mark.parametrize("name", ["lm.heads.0.weight", "codec.decoder.layers.0.bias"])
def test_weights_that_are_not_finite_are_refused(
    name: str, number: float, written: Path, tmp_path: Path
) -> None:
    tensors = load_file(written / "model.safetensors")
    tensors[name].view(-1)[-1] = number
    save_file(tensors, tmp_path / "model.safetensors", {"format": "toccata"})
    (tmp_path / CONFIG).write_text((written / CONFIG).read_text())
    with pytest.raises(CheckpointError, match=r"model\.safetensors: tensor .* not finite"):
        load(tmp_path)
