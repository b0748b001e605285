"""LoRA files: what is written is what loads, wherever it is added; what is wrong is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import toccata
from tests.models.test_toccata import with_words
from toccata.cli import main
from toccata.decoder.condition_scale import ConditionScale
from toccata.decoder.lora import Factors, LoraConfig, adapt, factors, updates
from toccata.errors import CheckpointError, InputError
from toccata.models import lora_files
from toccata.models.checkpoints.native import write as save_model
from toccata.models.loading import load_model
from toccata.models.lora_names import labels, parse
from toccata.models.model import Model

CONFIG = LoraConfig(rank=4, alpha=8.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that loads by its path."""
    path = tmp_path_factory.mktemp("base") / "text"
    save_model(with_words("text"), path)
    return path


def load(folder: Path, precision: str = "fp32", **options: Any) -> Model:
    return load_model(folder, device="cpu", precision=precision, offline=True, **options)


def learnt(model: Model, seed: int = 0, config: LoraConfig = CONFIG) -> dict[str, Factors]:
    """What training could have given."""
    adapt(model.lm, config)
    generator = torch.Generator().manual_seed(seed)
    for _, one in updates(model.lm):
        one.b.data = 0.2 * torch.randn(one.b.shape, generator=generator)
    return factors(model.lm)


def info_of(model: Model) -> lora_files.LoraInfo:
    return lora_files.LoraInfo(
        base=model.name,
        base_digest=lora_files.shape_digest(model.lm.config),
        base_shape=lora_files.shape_text(model.lm.config),
        rank=CONFIG.rank,
        alpha=CONFIG.alpha,
        targets=CONFIG.targets,
        caption="in my style",
        steps=7,
        toccata=toccata.__version__,
    )


def write(folder: Path, file: Path, seed: int = 0) -> Path:
    model = load(folder)
    info = info_of(model)
    lora_files.write(file, info, learnt(model, seed))
    return file


def test_what_was_learnt_is_scaled_as_the_rest_is(tmp_path: Path) -> None:
    loud = replace(with_words("melody"), condition_scale=ConditionScale({"description": 3.0}))
    save_model(loud, tmp_path / "loud")
    base = load(tmp_path / "loud", as_trained=True)
    config = replace(CONFIG, targets=("conditions",))
    info = replace(info_of(base), targets=config.targets)
    pairs = learnt(base, config=config)
    lora_files.write(tmp_path / "style.safetensors", info, pairs)
    used, plain = (
        load(tmp_path / "loud", lora=tmp_path / "style.safetensors", as_trained=as_trained)
        for as_trained in (False, True)
    )
    name = "projections.description.weight"
    torch.testing.assert_close(used.lm.state_dict()[name], 3 * plain.lm.state_dict()[name])
    assert not torch.equal(plain.lm.state_dict()[name], loud.lm.state_dict()[name])


@pytest.fixture
def file(folder: Path, tmp_path: Path) -> Path:
    return write(folder, tmp_path / "style.safetensors")


@torch.inference_mode()
def logits(model: Model) -> Tensor:
    config = model.lm.config
    codes = torch.arange(4 * 9).view(1, 4, 9) * 7 % config.card
    output: Tensor = model.lm(codes, memory=model.conditions("warm piano").text[None])  # type: ignore[index]
    return output


def test_it_is_added_when_the_model_is_loaded(folder: Path, file: Path) -> None:
    trained = load(folder)
    learnt(trained)
    output = logits(load(folder, lora=file))
    assert torch.allclose(output, logits(trained), atol=1e-5)
    assert not torch.allclose(output, logits(load(folder)), atol=0.01)


def test_a_scale_of_zero_is_the_model_itself(folder: Path, file: Path) -> None:
    assert torch.equal(logits(load(folder, lora=f"{file}:0")), logits(load(folder)))


def test_the_scale_is_linear_in_the_weights(folder: Path, file: Path) -> None:
    plain, half, full = (
        load(folder, lora=name).lm.state_dict()["layers.0.ffn_in.weight"]
        for name in (None, f"{file}:0.5", [file])
    )
    assert torch.allclose(half - plain, (full - plain) / 2, atol=1e-6)
    assert not torch.equal(half, plain)


def test_several_add_up(folder: Path, file: Path, tmp_path: Path) -> None:
    other = write(folder, tmp_path / "other.safetensors", seed=1)
    name = "layers.1.self_attn.qkv.weight"
    plain, one, two, both = (
        load(folder, lora=names).lm.state_dict()[name]
        for names in ((), file, f"{other}:-2", [file, f"{other}:-2"])
    )
    assert torch.allclose(both - plain, (one - plain) + (two - plain), atol=1e-6)


@pytest.mark.parametrize(("precision", "error"), [("bf16", 0.03), ("int8", 0.05), ("int4", 0.4)])
def test_it_is_added_before_matrices_are_compressed(
    precision: str, error: float, folder: Path, file: Path
) -> None:
    full, output = (logits(load(folder, kind, lora=file)) for kind in ("fp32", precision))
    assert (output.float() - full).norm() / full.norm() < error


def test_a_file_says_what_it_is_for(folder: Path, file: Path) -> None:
    assert lora_files.read_info(file) == info_of(load(folder))
    assert not list(file.parent.glob("*.partial"))


def test_another_shape_is_refused(file: Path, tmp_path: Path) -> None:
    save_model(with_words("stereo"), tmp_path / "stereo")
    with pytest.raises(CheckpointError, match=r"style.*trained on .* layers of .*load it with"):
        load(tmp_path / "stereo", lora=file)


Change = Callable[[dict[str, Tensor], dict[str, str]], object]
FIRST = "layers.0.self_attn.qkv.a"


def _info(**values: Any) -> Change:
    def change(_: dict[str, Tensor], metadata: dict[str, str]) -> None:
        metadata["lora"] = json.dumps({**json.loads(metadata["lora"]), **values})

    return change


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda tensors, _: tensors.pop(FIRST), f"{FIRST} is missing"),
        (lambda tensors, _: tensors.update(more=torch.zeros(1)), "more is unexpected"),
        (lambda tensors, _: tensors.update({FIRST: tensors[FIRST][:2]}), f"{FIRST} is "),
        (lambda tensors, _: tensors.update({FIRST: tensors[FIRST].int()}), "floats"),
        (lambda tensors, _: tensors[FIRST].fill_(torch.nan), "not finite"),
        (lambda tensors, _: tensors[FIRST].fill_(torch.inf), "not finite"),
        (lambda _, metadata: metadata.clear(), "format is None"),
        (lambda _, metadata: metadata.update(format="pt"), "format is 'pt'"),
        (lambda _, metadata: metadata.update(version="2"), "version is '2'"),
        (lambda _, metadata: metadata.pop("lora"), "what it is for"),
        (lambda _, metadata: metadata.update(lora="["), "what it is for"),
        (lambda _, metadata: metadata.update(lora="[]"), "what it is for"),
        (lambda _, metadata: metadata.update(lora="[" * 100_000), "what it is for"),
        (_info(alpha=1e308), "alpha"),
        (_info(rank=0), "rank is 0"),
        (_info(rank="16"), "rank is '16'"),
        (_info(rank=8), "tensor"),
        (_info(alpha=-1.0), "alpha"),
        (_info(targets=["soul"]), "targets"),
        (_info(targets=[1]), "targets"),
        (_info(colour="red"), "colour is not a field"),
        (_info(base_digest="0"), "trained on"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(
    change: Change, problem: str, folder: Path, file: Path
) -> None:
    from safetensors import safe_open

    tensors = load_file(file)
    with safe_open(file, "pt") as opened:
        metadata = dict(opened.metadata())
    change(tensors, metadata)
    save_file({name: one.contiguous() for name, one in tensors.items()}, file, metadata)
    with pytest.raises(CheckpointError, match=problem) as refused:
        load(folder, lora=file)
    assert str(file) in str(refused.value)


def test_a_damaged_file_is_refused(folder: Path, file: Path) -> None:
    whole = file.read_bytes()
    for content in (b"", b"no tensors", whole[: len(whole) // 2]):
        file.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"style.*cannot be read"):
            load(folder, lora=file)


def test_a_file_that_is_too_large_is_not_opened(
    folder: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lora_files, "MAX_BYTES", file.stat().st_size - 1)
    with pytest.raises(CheckpointError, match=r"style.*larger than"):
        load(folder, lora=file)


def test_a_file_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere\.safetensors: there is no such LoRA"):
        load(folder, lora=["nowhere.safetensors:0.5"])


@pytest.mark.parametrize(
    ("name", "path", "scale"),
    [
        ("style.safetensors", "style.safetensors", 1.0),
        ("style.safetensors:0.8", "style.safetensors", 0.8),
        ("a/b:1e-1", "a/b", 0.1),
        ("a:-2", "a", -2.0),
        (r"C:\style.safetensors", r"C:\style.safetensors", 1.0),
        (r"C:\style.safetensors:.5", r"C:\style.safetensors", 0.5),
        ("style:loud", "style:loud", 1.0),
        (Path("style.safetensors"), "style.safetensors", 1.0),
    ],
)
def test_the_scale_is_the_number_after_the_last_colon(
    name: str | Path, path: str, scale: float
) -> None:
    assert parse(name) == (Path(path), scale)


@pytest.mark.parametrize("name", ["style:1e9", "style:-101", "style:1.2.3"])
def test_a_scale_out_of_range_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="from -100 to 100"):
        parse(name)


def test_clips_name_what_was_added(folder: Path, file: Path) -> None:
    model = toccata.load(folder, precision="fp32", device="cpu", lora=[f"{file}:0.5", file])
    clip = model.generate("piano", duration_s=0.1, seed=1)
    assert clip.tags["lora"] == "style.safetensors:0.5, style.safetensors:1"
    assert labels(None) == ""
    plain = toccata.load(folder, precision="fp32", device="cpu")
    assert "lora" not in plain.generate("piano", duration_s=0.1).tags


def generated(folder: Path, *options: str) -> np.ndarray[Any, Any]:
    command = ["generate", "piano", "-m", str(folder), "-d", "0.5", "--seed", "1", "--overwrite"]
    with pytest.raises(SystemExit) as ended:
        main([*command, "-o", "x.wav", "--precision", "fp32", "--device", "cpu", *options])
    assert not ended.value.code
    from toccata.audio.files import read

    return read(Path("x.wav")).samples


def test_the_command_line_adds_it(
    folder: Path,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(file.parent)
    plain = generated(folder)
    assert np.array_equal(generated(folder, "--lora", f"{file}:0"), plain)
    assert not np.array_equal(generated(folder, "--lora", str(file)), plain)
    with pytest.raises(SystemExit):
        main(["info", "x.wav", str(file)])
    shown = capsys.readouterr().out
    assert "lora: style.safetensors:1" in shown
    assert "caption: in my style" in shown


def test_a_fine_tuned_base_of_the_same_shape_takes_it(file: Path, tmp_path: Path) -> None:
    save_model(replace(with_words("text"), name="other"), tmp_path / "other")
    assert load(tmp_path / "other", lora=file).name == "other"
