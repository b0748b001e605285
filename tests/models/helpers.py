"""Checkpoints to load: the golden ones, copies of them that are broken, a cache like the hub's."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.golden_lm import GOLDEN, expected
from toccata.conditioners.base import is_blank
from toccata.models.loading import load_model
from toccata.models.model import Model

LM_FILE, CODEC_FILE = "state_dict.bin", "compression_state_dict.bin"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class GivenText:
    """Stands where T5 would be: any prompt is the one whose states the golden files hold."""

    def __init__(self, states: Tensor) -> None:
        self._states = states

    def encode(self, prompt: str) -> Tensor:
        return torch.zeros(1, 768) if is_blank(prompt) else self._states


def load_golden(folder: Path, kind: str) -> Model:
    """A golden checkpoint, or a copy of it, in float32 and without stem separation."""
    text = GivenText(expected(kind)["text_hidden_single"][0])
    model = load_model(folder, device="cpu", precision="fp32", offline=True, text_encoder=text)
    if model.chroma is not None:
        model.chroma = replace(model.chroma, stems=False)
    return model


@cache
def golden_model(kind: str) -> Model:
    return load_golden(GOLDEN / kind, kind)


def copy_golden(kind: str, folder: Path) -> Path:
    """A copy that may be written to."""
    folder.mkdir()
    for name in (LM_FILE, CODEC_FILE):
        shutil.copyfile(GOLDEN / kind / name, folder / name)
    return folder


def edit(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change what a .bin file holds."""
    content = torch.load(file, weights_only=True)
    change(content)
    torch.save(content, file)


def publish(folder: Path, hub_id: str, cache_dir: Path) -> Path:
    """Put the files of `folder` into a cache, laid out as the hub's client does; the snapshot."""
    repository = cache_dir / f"models--{hub_id.replace('/', '--')}"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    for number, file in enumerate(sorted(folder.iterdir())):
        blob = repository / "blobs" / f"{number:040x}"
        shutil.copyfile(file, blob)
        (snapshot / file.name).symlink_to(Path("../../blobs") / blob.name)
    return snapshot
