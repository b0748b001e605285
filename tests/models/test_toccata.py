"""Our own folder: what is written is what loads, and what is wrong with one is named."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.models.helpers import golden_model
from toccata.codecs.encodec import Encodec
from toccata.conditioners.word_encoder import WordsConfig, WordsTextEncoder
from toccata.decoder.condition_scale import ConditionScale
from toccata.decoder.quantized import COMPRESSED, compress
from toccata.errors import CheckpointError, InputError
from toccata.models import hub
from toccata.models.checkpoints.native import write as save_model
from toccata.models.loading import load_model
from toccata.models.model import Model
from toccata.models.sampling_params import SamplingParams

CONFIG, WEIGHTS = "config.json", "model.safetensors"
LOUD = ConditionScale({"description": 2.0}, (1.0, 1.25, 1.5, 0.5))
WORDS = WordsConfig(dim=768, layers=1, heads=2, buckets=16, max_words=4)


def with_words(kind: str) -> Model:
    torch.manual_seed(0)
    words = WordsTextEncoder(WORDS).eval().requires_grad_(False)
    return replace(
        golden_model(kind),
        name="mine",
        text_encoder=words,
        segment_s=4.0,
        defaults=SamplingParams(top_k=7, cfg=2.0),
        licence="MIT",
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ours") / "melody"
    save_model(with_words("melody"), folder)
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy that may be written to."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in (CONFIG, WEIGHTS):
        (copy / name).write_bytes((written / name).read_bytes())
    return copy


def load(folder: Path) -> Model:
    return load_model(folder, device="cpu", precision="fp32", offline=True)


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["text", "melody", "stereo"])
def test_what_is_written_is_what_loads(kind: str, tmp_path: Path) -> None:
    was = with_words(kind)
    save_model(was, tmp_path / kind)
    now = load(tmp_path / kind)
    for part in ("lm", "text_encoder", "codec"):
        before, after = (getattr(model, part).state_dict() for model in (was, now))
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
    kept = ("name", "chroma", "segment_s", "defaults", "licence", "dtype")
    assert [getattr(was, name) for name in kept] == [getattr(now, name) for name in kept]
    assert was.lm.config == now.lm.config
    inputs = [model.conditions("warm piano") for model in (was, now)]
    rows = [one.text if kind != "melody" else one.prefix for one in inputs]
    assert rows[0] is not None
    assert rows[1] is not None
    assert torch.equal(rows[0], rows[1])


def test_half_precision_halves_the_file_and_loads_as_any(written: Path, tmp_path: Path) -> None:
    from toccata.models.checkpoints.native import write

    write(with_words("melody"), tmp_path / "half", torch.float16)
    sizes = [(place / WEIGHTS).stat().st_size for place in (tmp_path / "half", written)]
    assert 1.9 < sizes[1] / sizes[0] < 2.1
    model = load(tmp_path / "half")
    assert model.lm.out_norm.weight.dtype is torch.float32


def test_the_lm_loads_in_the_dtype_asked_for_and_the_codec_in_float32(written: Path) -> None:
    model = load_model(written, device="cpu", precision="bf16")
    assert {parameter.dtype for parameter in model.lm.parameters()} == {torch.bfloat16}
    assert isinstance(model.codec, Encodec)
    assert {parameter.dtype for parameter in model.codec.parameters()} == {torch.float32}
    assert prefix_dtype(model) is torch.bfloat16


def test_a_model_is_scaled_when_it_loads_for_generation(tmp_path: Path) -> None:
    save_model(replace(with_words("melody"), condition_scale=LOUD), tmp_path / "loud")
    used = load(tmp_path / "loud")
    plain = load_model(tmp_path / "loud", device="cpu", precision="fp32", as_trained=True)
    assert (plain.condition_scale, used.condition_scale) == (LOUD, ConditionScale())
    for name, weight in with_words("melody").lm.state_dict().items():
        assert torch.equal(plain.lm.state_dict()[name], weight), name
        torch.testing.assert_close(used.lm.state_dict()[name], LOUD.of(name) * weight, msg=name)
    int8 = load_model(tmp_path / "loud", device="cpu", precision="int8").lm.state_dict()
    compress(COMPRESSED["int8"], used.lm)
    assert all(torch.equal(int8[name], tensor) for name, tensor in used.lm.state_dict().items())


def test_what_is_written_again_is_not_scaled_twice(tmp_path: Path) -> None:
    save_model(replace(with_words("melody"), condition_scale=LOUD), tmp_path / "loud")
    used = load(tmp_path / "loud")
    save_model(used, tmp_path / "used")
    plain = load_model(tmp_path / "loud", device="cpu", precision="fp32", as_trained=True)
    save_model(plain, tmp_path / "plain")
    for again in (load(tmp_path / "used"), load(tmp_path / "plain")):
        for name, weight in used.lm.state_dict().items():
            assert torch.equal(again.lm.state_dict()[name], weight), name


def test_a_folder_from_before_there_was_a_condition_scale_loads(folder: Path) -> None:
    config = json.loads((folder / CONFIG).read_text())
    del config["condition_scale"]
    (folder / CONFIG).write_text(json.dumps(config))
    assert load(folder).name == "mine"


def scale_of(config: dict[str, Any]) -> dict[str, Any]:
    scale: dict[str, Any] = config["condition_scale"]
    return scale


@pytest.mark.parametrize("precision", COMPRESSED)
def test_matrices_are_compressed_as_they_are_read(written: Path, precision: str) -> None:
    model, full = load_model(written, device="cpu", precision=precision), load(written)
    compress(COMPRESSED[precision], full.lm)
    states = [one.lm.state_dict() for one in (model, full)]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert prefix_dtype(model) is torch.float32


def test_a_compressed_model_is_not_written(written: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fp32"):
        save_model(load_model(written, device="cpu", precision="int8"), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def prefix_dtype(model: Model) -> torch.dtype:
    prefix = model.conditions("warm piano").prefix
    assert prefix is not None
    return prefix.dtype


def test_it_loads_without_transformers_or_the_compiler(written: Path) -> None:
    """Each takes seconds to import."""
    code = (
        "import sys; from toccata.models.loading import load_model; "
        "load_model(sys.argv[1], device='cpu'); "
        "sys.exit(bool({'transformers', 'torch._dynamo', 'sympy'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code, str(written)], check=True)  # noqa: S603


def test_the_model_that_ships_is_read_from_the_package(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "PACKAGED", written)
    assert load_model("mini", device="cpu").name == "mine"


def test_a_folder_that_is_not_empty_is_left_alone(written: Path) -> None:
    before = (written / WEIGHTS).read_bytes()
    with pytest.raises(CheckpointError, match="not empty"):
        save_model(with_words("melody"), written)
    assert (written / WEIGHTS).read_bytes() == before


def test_an_encoder_that_has_no_layout_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="GivenText cannot be written"):
        save_model(golden_model("text"), tmp_path / "new")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda c: c.update(version=2), "version"),
        (lambda c: c.pop("name"), "name"),
        (lambda c: c["lm"].update(dim=66), "heads"),
        (lambda c: c["lm"].update(dim="wide"), "dim"),
        (lambda c: c["lm"].update(layers=4), r"layers\.3"),
        (lambda c: c["lm"].update(layers=2), r"unexpected tensor lm\.layers\.2|layers\.2"),
        (lambda c: c["lm"].update(new=1), "new is not a field"),
        (lambda c: c["codec"]["seanet"].update(filters=8), "encoder"),
        (lambda c: c["codec"].update(card=64), "codes"),
        (lambda c: c["text"].update(kind="poem"), "poem"),
        (lambda c: c["text"]["shape"].update(dim=4), "positions"),
        (lambda c: c.update(chroma={"bins": 12}), "sample_rate_hz"),
        (lambda c: scale_of(c).update(conditions={"lead": 2.0}), "'lead', but it must be one of"),
        (lambda c: scale_of(c).update(inverse_temperature=[1.0]), "1 codebooks"),
        (lambda c: scale_of(c).update(inverse_temperature=["loud"] * 4), r"only 0\.001 to 1000"),
        (lambda c: c.update(emphasis=scale_of(c)), "emphasis is now condition_scale"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(
    change: Callable[[dict[str, Any]], object], problem: str, folder: Path
) -> None:
    config = json.loads((folder / CONFIG).read_text())
    change(config)
    (folder / CONFIG).write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=problem) as refused:
        load(folder)
    assert str(folder) in str(refused.value)


@pytest.mark.parametrize("part", ["lm", "codec", "text"])
def test_a_tensor_that_is_missing_or_unexpected_is_named(part: str, folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    name = next(name for name in sorted(tensors) if name.startswith(part))
    tensors[f"{part}.other"] = tensors[name].clone()
    save_file(tensors, folder / WEIGHTS)
    with pytest.raises(CheckpointError, match=f"unexpected tensor {part}.other|unexpected.*other"):
        load(folder)
    del tensors[f"{part}.other"], tensors[name]
    save_file(tensors, folder / WEIGHTS)
    with pytest.raises(CheckpointError, match=f"{name.removeprefix(part + '.')} is missing"):
        load(folder)
