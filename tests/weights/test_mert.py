"""MERT, which the style model listens with: its own configuration is what is computed here."""

from __future__ import annotations

import torch

from tests.weights.conftest import Find
from toccata.conditioners.hubert import Hubert, HubertConfig
from toccata.models import hub
from toccata.models.checkpoints import mert as layout_mert
from toccata.models.checkpoints.tensors import Part, build, renamed

CPU = torch.device("cpu")


def test_its_configuration_is_that_of_the_style_model(find: Find) -> None:
    config, _ = layout_mert.read(find(hub.MERT, "config.json", hub.MERT_BIN))
    assert config == HubertConfig()


@torch.inference_mode()
def test_its_weights_fill_the_module(find: Find) -> None:
    config, found = layout_mert.read(find(hub.MERT, "config.json", hub.MERT_BIN))
    found = renamed(found, lambda name: f"mert.{name}")
    rules = layout_mert.rules(found, "", "mert.")
    part = Part(find(hub.MERT, hub.MERT_BIN), found, rules, rf"mert\.({layout_mert.EXTRA})")
    mert = build(lambda: Hubert(config), part, CPU, torch.float32)
    features = mert(0.1 * torch.randn(1, 3 * 24000, generator=torch.Generator().manual_seed(0)))
    assert features.shape[0] == 1
    assert features.shape[2] == config.dim
    assert abs(features.shape[1] - 3 * 75) <= 1
    assert features.isfinite().all()
