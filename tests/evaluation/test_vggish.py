"""VGGish hears what AudioSet's front end says, and loads the published names, safely."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from toccata.errors import CheckpointError
from toccata.evaluation import vggish
from toccata.evaluation.embedders import Source
from toccata.evaluation.log_mel import RATE_HZ, examples, log_mel, mel_bank, slices

CPU = torch.device("cpu")
TINY = vggish.Shape(channels=(2, 0, 0, 3, 0, 0), hidden=5, width=4)
PUBLISHED_NAMES = [
    f"{part}.{index}.{kind}"
    for part, indices in (("features", (0, 3, 6, 8, 11, 13)), ("embeddings", (0, 2, 4)))
    for index in indices
    for kind in ("weight", "bias")
]


def sine(frequency_hz: float, duration_s: float = 1.0) -> Tensor:
    time_s = torch.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    return 0.5 * torch.sin(2 * torch.pi * frequency_hz * time_s)


def heard(audio: Tensor) -> Tensor:
    return examples(slices(audio))


def tiny() -> vggish.Network:
    torch.manual_seed(0)
    return vggish.Network(TINY)


def test_silence_is_the_offset_alone() -> None:
    frames = log_mel(torch.zeros(RATE_HZ))
    assert frames.shape == (1 + (RATE_HZ - 400) // 160, 64)
    assert torch.allclose(frames, torch.full_like(frames, math.log(0.01)))


def test_a_frame_is_the_formula() -> None:
    audio = sine(1000)[:400].double().numpy()
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    size = np.abs(np.fft.fft(audio * window, 512))[:257]
    bins = 1127 * np.log(1 + np.arange(257) * RATE_HZ / 512 / 700)
    lowest, highest = (1127 * math.log(1 + hz / 700) for hz in (125, 7500))
    edges = np.linspace(lowest, highest, 66)
    bands = [
        sum(
            size[index] * max(0.0, 1 - abs(bins[index] - edges[band + 1]) / (edges[1] - edges[0]))
            for index in range(257)
        )
        for band in range(64)
    ]
    found = log_mel(torch.from_numpy(audio).float())[0].numpy()
    assert np.allclose(found, np.log(np.array(bands) + 0.01), atol=1e-3)


@pytest.mark.parametrize("frequency_hz", [300, 1000, 4000])
def test_a_tone_is_loudest_where_its_band_is(frequency_hz: float) -> None:
    band = int(log_mel(sine(frequency_hz)).mean(0).argmax())
    centre_hz = int(mel_bank()[:, band].argmax()) * RATE_HZ / 512
    assert centre_hz == pytest.approx(frequency_hz, abs=60)


@pytest.mark.parametrize(
    ("duration_s", "windows"), [(0.3, 1), (1.0, 1), (1.49, 1), (1.5, 2), (10.0, 19)]
)
def test_a_window_begins_every_half_second(duration_s: float, windows: int) -> None:
    assert heard(sine(500, duration_s)).shape == (windows, 96, 64)


def test_windows_are_those_of_slices_of_a_second() -> None:
    audio = sine(300, 2.0) * torch.linspace(0.2, 2, 2 * RATE_HZ)
    audio /= audio.max()
    alone = log_mel(audio[RATE_HZ // 2 : RATE_HZ * 3 // 2])[:96]
    assert torch.allclose(heard(audio)[1], alone, atol=1e-5)


def test_soft_clips_are_brought_up_and_silence_is_not() -> None:
    assert torch.allclose(heard(0.3 * sine(500)), heard(sine(500)), atol=1e-3)
    assert heard(torch.full((RATE_HZ,), 1e-4)).max() < heard(sine(500)).max()


def test_the_network_is_the_published_one() -> None:
    with torch.device("meta"):
        network = vggish.Network(vggish.Shape())
    state = network.state_dict()
    assert list(state) == PUBLISHED_NAMES
    assert sum(tensor.numel() for tensor in state.values()) == 72_141_184


def test_what_is_flattened_has_channels_innermost() -> None:
    network = tiny()
    maps = network.features(torch.randn(1, 1, 96, 64))
    with torch.no_grad():
        first = network.embeddings[0]
        assert isinstance(first, torch.nn.Linear)
        first.weight.zero_()
        first.bias.zero_()
        first.weight[0, (1 * maps.shape[3] + 2) * 3 + 1] = 1
        flat = maps.permute(0, 2, 3, 1).reshape(1, -1)
        assert first(flat)[0, 0] == maps[0, 1, 1, 2]


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_are_loaded_from_a_file(tmp_path: Path, suffix: str) -> None:
    network, file = tiny(), tmp_path / f"vggish{suffix}"
    if suffix == ".pth":
        torch.save(network.state_dict(), file)
    else:
        save_file(network.state_dict(), file)
    audio = np.random.default_rng(0).normal(size=(2, 48_000)).astype(np.float32)
    embedded = vggish.load(Source(CPU, str(file)), TINY).embed(audio, 32_000)
    assert embedded.shape == (2, 4)
    assert torch.equal(embedded, vggish.Vggish(network, CPU).embed(audio, 32_000))


class Hostile:
    """Would write a file if it were unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.file,)


def test_what_is_not_its_weights_is_refused_and_never_run(tmp_path: Path) -> None:
    hostile, other = tmp_path / "hostile.pth", tmp_path / "other.pth"
    torch.save({"features.0.weight": Hostile(tmp_path / "ran")}, hostile)
    torch.save({"weight": torch.zeros(2)}, other)
    (tmp_path / "cut.safetensors").write_bytes(b"\x08")
    for file in (hostile, other, tmp_path / "cut.safetensors", tmp_path / "missing.pth"):
        with pytest.raises(CheckpointError, match=f"{file.name}: .*--weights vggish=FILE"):
            vggish.load(Source(CPU, str(file)), TINY)
    assert not (tmp_path / "ran").exists()


def test_the_published_weights_are_fetched_once_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    asked = []

    def download(url: str, target: str, hash_prefix: str, progress: bool) -> None:
        asked.append((url, hash_prefix))
        torch.save(tiny().state_dict(), target)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    vggish.load(Source(CPU), TINY)
    vggish.load(Source(CPU, offline=True), TINY)
    assert asked == [(vggish.URL, "10086976")]


def test_weights_that_cannot_be_had_have_a_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def fail(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(CheckpointError, match="offline; measure once while online"):
        vggish.load(Source(CPU, offline=True), TINY)
    with pytest.raises(CheckpointError, match="no route to host"):
        vggish.load(Source(CPU), TINY)
