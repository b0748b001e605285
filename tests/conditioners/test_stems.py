"""A melody without its drums and bass, where demucs is installed."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from toccata.audio.waveform import Waveform
from toccata.conditioners.stems import Demucs, MelodyStems, melodic
from toccata.errors import CheckpointError, MissingExtraError

MIX = Waveform(np.full((1, 800), 0.25, dtype=np.float32), 8000)


class Sorter:
    """A separator whose stems are the mix times 1, 10, 100 and 1000."""

    sources: Sequence[str] = ("drums", "bass", "other", "vocals")
    sample_rate_hz = 16000
    channels = 2

    def __init__(self) -> None:
        self.mixes: list[Tensor] = []

    def separate(self, mix: Tensor) -> Tensor:
        self.mixes.append(mix)
        return torch.stack([mix * 10**i for i in range(4)])


def test_vocals_and_other_are_kept_and_mixed_to_mono() -> None:
    separator = Sorter()
    kept = melodic(MIX, separator)
    assert separator.mixes[0].shape == (2, 1600)
    assert (kept.samples.shape, kept.sample_rate_hz) == ((1, 1600), 16000)
    np.testing.assert_allclose(kept.samples[0, 400:1200], 0.25 * 1100, rtol=0.02)


def test_without_demucs_the_full_mix_is_used_and_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "demucs", None)
    stems = MelodyStems()
    with caplog.at_level(logging.WARNING):
        assert stems(MIX) is MIX
        assert stems(MIX) is MIX
    assert caplog.text.count("[stems]") == 1
    with pytest.raises(MissingExtraError, match="pip install"):
        Demucs()


@pytest.fixture
def demucs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """A module in demucs' place, and an empty folder for its weights; what it was asked."""
    requested: dict[str, Any] = {}

    class Htdemucs:
        sources, samplerate, audio_channels = Sorter.sources, 16000, 2

    def get_model(name: str) -> Htdemucs:
        if requested.get("broken"):
            raise RuntimeError("invalid hash value")
        requested["name"] = name
        return Htdemucs()

    def apply_model(model: Htdemucs, mix: Tensor, **options: Any) -> Tensor:
        requested.update(options, inference=torch.is_inference_mode_enabled())
        return torch.stack([mix] * 4, dim=1)

    offered: dict[str, dict[str, Any]] = {
        "demucs": {},
        "demucs.apply": {"apply_model": apply_model},
    }
    offered["demucs.pretrained"] = {"get_model": get_model}
    for name, functions in offered.items():
        module = ModuleType(name)
        vars(module).update(functions)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return requested


def test_demucs_runs_without_its_random_shift(demucs: dict[str, Any]) -> None:
    kept = MelodyStems()(MIX)
    np.testing.assert_allclose(kept.samples[0, 400:1200], 0.5, rtol=0.02)
    assert demucs == {"name": "htdemucs", "shifts": 0, "progress": False, "inference": True}


def test_offline_without_its_weights_is_an_error_that_says_what_to_do(
    demucs: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=r"htdemucs.*while online"):
        MelodyStems(offline=True)(MIX)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "955717e8-8726e21a.th").touch()
    assert MelodyStems(offline=True)(MIX).sample_rate_hz == 16000


def test_weights_that_cannot_be_loaded_are_named(demucs: dict[str, Any]) -> None:
    demucs["broken"] = True
    with pytest.raises(CheckpointError, match=r"htdemucs.*invalid hash value"):
        MelodyStems()(MIX)
