"""PaSST as its package offers it, with a module in the package's place."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from toccata.errors import CheckpointError, InputError, MissingExtraError
from toccata.evaluation import passt
from toccata.evaluation.embedders import Source

CPU = torch.device("cpu")
RATE_HZ = 32_000


class Network(nn.Module):
    """Logits are those of the mean level; as noisy as the real one."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[int] = []

    def forward(self, audio: Tensor) -> Tensor:
        builtins.print("x", audio.shape)  # noqa: T201 - so does the package
        self.heard.append(audio.shape[1])
        return audio.mean(1, keepdim=True) * torch.arange(4)


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Network:
    network = Network()

    def get_basic_model(mode: str) -> Network:
        builtins.print("Loading PASST")  # noqa: T201
        assert mode == "logits"
        return network

    base: Any = ModuleType("hear21passt.base")
    base.get_basic_model = get_basic_model
    monkeypatch.setitem(sys.modules, "hear21passt", ModuleType("hear21passt"))
    monkeypatch.setitem(sys.modules, "hear21passt.base", base)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return network


def test_clips_are_labelled_in_windows_of_ten_seconds(
    network: Network, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = np.ones((2, round(20.5 * RATE_HZ)), np.float32)
    labels = passt.load(Source(CPU)).label(clip, RATE_HZ)
    assert network.heard == [10 * RATE_HZ, 10 * RATE_HZ, RATE_HZ // 2]
    assert torch.allclose(labels, torch.arange(4.0).softmax(0).expand(3, 4))
    assert capsys.readouterr().out == ""


def test_what_is_left_over_is_too_short_to_label(network: Network) -> None:
    labeller = passt.load(Source(CPU))
    assert len(labeller.label(np.ones(round(10.1 * RATE_HZ), np.float32), RATE_HZ)) == 1
    assert len(labeller.label(np.ones(round(0.1 * RATE_HZ), np.float32), RATE_HZ)) == 0


def test_without_the_package_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hear21passt", None)
    with pytest.raises(MissingExtraError, match=r"-m pip install .*\[eval\]"):
        passt.load(Source(CPU))


def test_without_the_weights_the_cure_is_named(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CheckpointError, match="measure once while online"):
        passt.load(Source(CPU, offline=True))

    def fail(mode: str) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(sys.modules["hear21passt.base"], "get_basic_model", fail)
    with pytest.raises(CheckpointError, match="no route to host"):
        passt.load(Source(CPU))


def test_the_package_has_weights_of_its_own_only(network: Network) -> None:
    with pytest.raises(InputError, match="leave out passt"):
        passt.load(Source(CPU, place="somewhere"))
