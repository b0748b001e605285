"""Loading is lazy: it takes the size of the loaded model, not of model and file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from toccata.errors import CheckpointError
from toccata.models.checkpoints.tensors import (
    Part,
    Rule,
    build,
    fuse_weight_norms,
    open_safetensors,
)

AS_IT_IS = (Rule(r"(.+)", (r"\1",)),)
CPU = torch.device("cpu")

# Runs in a process of its own, small models first, so that the peak is that of loading.
MEASURE = """
import resource, sys
from pathlib import Path
import torch
from torch import nn
from toccata.models.checkpoints.audiocraft import _tensors
from toccata.models.checkpoints.bin_files import read_bin
from toccata.models.checkpoints.tensors import Part, Rule, build, open_safetensors

UNIT = 1 if sys.platform == "darwin" else 1024
RULES = (Rule(r"(.+)", (r"\\1",)),)

def load(name, dtype):
    file = Path(sys.argv[1]) / name
    found = _tensors(file, read_bin(file)) if file.suffix == ".bin" else open_safetensors(file)
    layers, width = (60, 512) if "large" in name else (1, 8)
    make = lambda: nn.Sequential(*(nn.Linear(width, width, bias=False) for _ in range(layers)))
    model = build(make, Part(file, found, RULES), torch.device("cpu"), dtype)
    return sum(parameter.nbytes for parameter in model.parameters())

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT

for suffix in (".bin", ".safetensors"):
    load("small" + suffix, torch.float32)
before = peak()
for dtype in (torch.bfloat16, torch.float32):
    for suffix in (".bin", ".safetensors"):
        size = load("large" + suffix, dtype)
        print((peak() - before) / size)
"""
# A process starts with the peak of the one that starts it: one in between, which is small.
BETWEEN = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, *sys.argv[1:]]))"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Large: 60 MiB in 60 tensors."""
    folder = tmp_path_factory.mktemp("weights")
    for name, layers, width in (("small", 1, 8), ("large", 60, 512)):
        state = {f"{i}.weight": torch.full((width, width), 0.1) for i in range(layers)}
        save_file(state, folder / f"{name}.safetensors")
        torch.save({"best_state": state}, folder / f"{name}.bin")
    return folder


def test_the_peak_is_below_1_3_times_the_loaded_size(folder: Path) -> None:
    command = [sys.executable, "-c", BETWEEN, "-c", MEASURE, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    ratios = [float(line) for line in done.stdout.split()]
    assert len(ratios) == 4
    assert all(0.9 < ratio < 1.3 for ratio in ratios), ratios


def saved(state: dict[str, torch.Tensor], folder: Path) -> Part:
    file = folder / "model.safetensors"
    save_file(state, file)
    return Part(file, open_safetensors(file), AS_IT_IS)


def test_a_model_outlives_its_file(tmp_path: Path) -> None:
    part = saved({"weight": torch.ones(2, 2), "bias": torch.ones(2)}, tmp_path)
    model = build(lambda: nn.Linear(2, 2), part, CPU, torch.bfloat16)
    part.file.write_bytes(bytes(part.file.stat().st_size))
    assert model.weight.dtype is torch.bfloat16
    assert model.weight.eq(1).all()
    assert not model.training
    assert not model.weight.requires_grad


def test_a_tensor_with_two_names_is_held_once(tmp_path: Path) -> None:
    part = saved({"one": torch.ones(3, 3), "two": torch.zeros(3, 3)}, tmp_path)
    rules = (Rule(r"[01]\.weight", ("one",)), Rule(r"2\.weight", ("two",)))
    model = build(
        lambda: nn.Sequential(*(nn.Linear(3, 3, bias=False) for _ in range(3))),
        Part(part.file, part.found, rules),
        CPU,
        torch.float32,
    )
    one, same, two = (layer.get_parameter("weight") for layer in model)
    assert one is same
    assert two.eq(0).all()


@pytest.mark.parametrize("kept", [0.0, 0.2, 0.9])
def test_a_truncated_safetensors_file_is_named(kept: float, tmp_path: Path) -> None:
    file = saved({"weight": torch.ones(9, 9)}, tmp_path).file
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * kept)])
    with pytest.raises(CheckpointError, match=r"model\.safetensors.*toccata models pull"):
        open_safetensors(file)


def test_a_missing_safetensors_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.safetensors: missing"):
        open_safetensors(tmp_path / "none.safetensors")


PARAMETRIZED = "parametrizations.weight.original"


@pytest.mark.parametrize(
    ("gain", "direction"),
    [("weight_g", "weight_v"), (f"{PARAMETRIZED}0", f"{PARAMETRIZED}1")],
)
def test_weight_norm_is_fused_in_both_spellings(gain: str, direction: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    normed = nn.utils.parametrizations.weight_norm(nn.Conv1d(3, 4, 5))
    pair = normed.parametrizations["weight"]
    pair.original0.data *= 1.5
    part = saved({
        f"0.{gain}": pair.original0.detach().clone(),
        f"0.{direction}": pair.original1.detach().clone(),
        "0.bias": torch.zeros(4),
    }, tmp_path)  # fmt: skip
    fused = Part(part.file, fuse_weight_norms(part.found), AS_IT_IS)
    model = build(lambda: nn.Sequential(nn.Conv1d(3, 4, 5)), fused, CPU, torch.float32)
    torch.testing.assert_close(model.state_dict()["0.weight"], normed.weight.detach())


def test_half_a_weight_norm_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"0\.weight_v is missing"):
        fuse_weight_norms(saved({"0.weight_g": torch.ones(4, 1, 1)}, tmp_path).found)
