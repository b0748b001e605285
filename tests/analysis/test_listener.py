"""The ears: keys move with the music, levels do not matter, weights say what they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from toccata.analysis import classifier_weights
from toccata.analysis.key_classifier import KeyClassifier
from toccata.analysis.pitch_registers import REGISTERS, pitch_registers
from toccata.analysis.tagger import Classes, Tagger, mel_image
from toccata.errors import CheckpointError

RATE_HZ = 32_000
CLASSES = Classes(("rock", "jazz"), ("piano", "guitar", "bass"), width=4)
ACCURACY = {"genre": {"clean": 0.9, "coded": 0.8}}


def tune(transposed: int = 0) -> NDArray[np.float32]:
    time_s = np.arange(RATE_HZ) / RATE_HZ
    pitches = (48, 60, 64, 67), (43, 59, 62, 67), (48, 60, 64, 67)
    chords = [
        sum(np.sin(2 * np.pi * 440 * 2 ** ((p + transposed - 69) / 12) * time_s) for p in chord)
        for chord in pitches
    ]
    return np.concatenate(chords).astype(np.float32) * np.float32(0.1)


@pytest.fixture
def network() -> KeyClassifier:
    torch.manual_seed(0)
    return KeyClassifier(4).eval().requires_grad_(False)


def test_scores_turn_with_the_circle_of_pitch_classes(network: KeyClassifier) -> None:
    registers = torch.rand(2, REGISTERS, 12, 30)
    scores = network(registers).view(2, 2, 12)
    turned = network(registers.roll(5, 2)).view(2, 2, 12)
    torch.testing.assert_close(turned, scores.roll(5, 2))
    torch.testing.assert_close(scores.exp().sum((1, 2)), torch.ones(2))


def test_transposed_music_has_transposed_registers() -> None:
    low, high = pitch_registers(tune(), RATE_HZ), pitch_registers(tune(2), RATE_HZ)
    loudest, moved = low.mean(-1).sum(0), high.mean(-1).sum(0)
    assert torch.equal(loudest.topk(3).indices.sort().values, torch.tensor([0, 4, 7]))
    assert torch.equal((loudest.topk(3).indices + 2) % 12, moved.topk(3).indices)
    assert torch.cosine_similarity(moved, loudest.roll(2), 0) > 0.98


def test_the_level_does_not_matter() -> None:
    soft = tune() * np.float32(0.125)
    torch.testing.assert_close(mel_image(soft, RATE_HZ), mel_image(tune(), RATE_HZ))
    registers = pitch_registers(soft, RATE_HZ)
    torch.testing.assert_close(registers, pitch_registers(tune(), RATE_HZ), rtol=1e-3, atol=1e-3)


def test_a_listener_names_what_it_hears() -> None:
    heard = Tagger(CLASSES).eval().predict(tune(), RATE_HZ)
    assert heard.genre in CLASSES.genres
    assert heard.family in CLASSES.families
    assert heard.embedding.shape == (64,)


def test_silence_is_heard_without_complaint(network: KeyClassifier) -> None:
    silence = np.zeros(RATE_HZ, np.float32)
    assert Tagger(CLASSES).eval().predict(silence, RATE_HZ).embedding.isfinite().all()
    assert network(pitch_registers(silence, RATE_HZ)[None]).isfinite().all()


def test_weights_come_back_with_their_names_and_figures(tmp_path: Path) -> None:
    tagger, path = Tagger(CLASSES).eval(), tmp_path / "tagger.safetensors"
    classifier_weights.write_tagger(path, tagger, ACCURACY)
    again = classifier_weights.read_tagger(path)
    assert again.classes == CLASSES
    assert classifier_weights.read_accuracy(path) == ACCURACY
    before, after = tagger.predict(tune(), RATE_HZ), again.predict(tune(), RATE_HZ)
    torch.testing.assert_close(after.embedding, before.embedding, rtol=0.02, atol=0.02)


def test_weights_of_the_key_network_come_back(tmp_path: Path, network: KeyClassifier) -> None:
    path = tmp_path / "keys.safetensors"
    classifier_weights.write_key_classifier(path, network, ACCURACY)
    again = classifier_weights.read_key_classifier(path)
    registers = torch.rand(1, REGISTERS, 12, 30)
    torch.testing.assert_close(again(registers), network(registers), rtol=0.02, atol=0.02)


def test_what_are_no_such_weights_is_told(tmp_path: Path, network: KeyClassifier) -> None:
    path = tmp_path / "keys.safetensors"
    with pytest.raises(CheckpointError, match=r"keys\.safetensors"):
        classifier_weights.read_key_classifier(path)
    path.write_bytes(b"not weights")
    with pytest.raises(CheckpointError, match=r"keys\.safetensors"):
        classifier_weights.read_key_classifier(path)
    classifier_weights.write_key_classifier(path, network, ACCURACY)
    with pytest.raises(CheckpointError, match="no tagger"):
        classifier_weights.read_tagger(path)
