"""What .bin files hold: configurations of two kinds, damage, and attempts to run code."""

from __future__ import annotations

import os
import pickle
import sys
from collections import defaultdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import yaml

from tests.golden_lm import GOLDEN
from tests.models.helpers import CODEC_FILE, LM_FILE, copy_golden, edit, golden_model, load_golden
from toccata.errors import CheckpointError
from toccata.models.checkpoints.bin_files import plain_config, read_bin

FILES = [LM_FILE, CODEC_FILE]


class Omega:
    """Makes objects that pickle as OmegaConf's do, without OmegaConf."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        patch.setitem(sys.modules, "omegaconf", ModuleType("omegaconf"))
        self._dict = self._kind("omegaconf.dictconfig", "DictConfig")
        self._list = self._kind("omegaconf.listconfig", "ListConfig")
        self._any = self._kind("omegaconf.nodes", "AnyNode")
        self._metadata = self._kind("omegaconf.base", "Metadata")
        self._container_metadata = self._kind("omegaconf.base", "ContainerMetadata")

    def _kind(self, module: str, name: str) -> type:
        kind = type(name, (), {"__module__": module})
        if module not in sys.modules:
            self._patch.setitem(sys.modules, module, ModuleType(module))
        self._patch.setattr(sys.modules[module], name, kind, raising=False)
        return kind

    def __call__(self, value: Any, key: Any = None, parent: Any = None) -> Any:
        if not isinstance(value, (dict, list)):
            node = self._node(self._any, self._metadata, None, key, parent)
            node._val = value
            return node
        kind = self._dict if isinstance(value, dict) else self._list
        node = self._node(kind, self._container_metadata, type(value), key, parent)
        vars(node._metadata).update(key_type=Any, element_type=Any)
        if isinstance(value, dict):
            node._content = {name: self(item, name, node) for name, item in value.items()}
        else:
            node._content = [self(item, place, node) for place, item in enumerate(value)]
        return node

    def _node(self, kind: type, metadata: type, holds: type | None, key: Any, parent: Any) -> Any:
        node = kind()
        node._metadata, node._parent = metadata(), parent
        vars(node._metadata).update(
            ref_type=Any, object_type=holds, optional=True, key=key, flags={}, flags_root=False,
            resolver_cache=defaultdict(dict),
        )  # fmt: skip
        return node


@pytest.fixture
def omega(monkeypatch: pytest.MonkeyPatch) -> Omega:
    return Omega(monkeypatch)


def test_a_pickled_omegaconf_is_what_its_text_is(omega: Omega, tmp_path: Path) -> None:
    kind = "melody"
    folder = copy_golden(kind, tmp_path / kind)
    for name in FILES:
        edit(folder / name, lambda c: c.update({"xp.cfg": omega(yaml.safe_load(c["xp.cfg"]))}))
        text = read_bin(GOLDEN / kind / name)["xp.cfg"]
        pickled = read_bin(folder / name)["xp.cfg"]
        assert not isinstance(pickled, str)
        assert plain_config(pickled, folder / name) == plain_config(text, folder / name)
    loaded, expected = load_golden(folder, kind), golden_model(kind)
    assert (loaded.lm.config, loaded.chroma) == (expected.lm.config, expected.chroma)


def test_references_are_followed_and_circles_refused() -> None:
    text = "a: ${b.c}\nb: {c: '${d}', whole: '${b}'}\nd: 32000"
    assert plain_config(text, Path("x.bin"))["a"] == 32000
    with pytest.raises(CheckpointError, match=r"x\.bin.*refers to itself"):
        plain_config("a: ${b}\nb: ${a}", Path("x.bin"))


@pytest.mark.parametrize("config", [None, "just text", "a: [", 3])
def test_no_configuration_is_an_error(config: object, tmp_path: Path) -> None:
    folder = copy_golden("text", tmp_path / "x")
    edit(folder / LM_FILE, lambda content: content.update({"xp.cfg": config}))
    with pytest.raises(CheckpointError, match=f"{LM_FILE}.*xp.cfg"):
        load_golden(folder, "text")


class Hostile:
    """Unpickling it makes a folder, if anything is run at all."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._mark),)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_nothing_in_a_hostile_file_is_run(name: str, legacy: bool, tmp_path: Path) -> None:
    folder, mark = copy_golden("text", tmp_path / "x"), tmp_path / "ran"
    content = torch.load(folder / name, weights_only=True)
    content["xp.cfg"] = Hostile(mark)
    torch.save(content, folder / name, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError) as refused:
        load_golden(folder, "text")
    assert not mark.exists()
    for part in (str(folder / name), "mkdir", "nothing was run", "toccata models pull"):
        assert part in str(refused.value)


def test_a_bare_pickle_is_not_run_either(tmp_path: Path) -> None:
    folder, mark = copy_golden("text", tmp_path / "x"), tmp_path / "ran"
    (folder / LM_FILE).write_bytes(pickle.dumps(Hostile(mark), protocol=2))
    with pytest.raises(CheckpointError, match=LM_FILE):
        load_golden(folder, "text")
    assert not mark.exists()


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.9999])
@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_named(name: str, kept: float, tmp_path: Path) -> None:
    folder = copy_golden("text", tmp_path / "x")
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(CheckpointError) as refused:
        load_golden(folder, "text")
    assert str(folder / name) in str(refused.value)
    assert "toccata models pull" in str(refused.value)


def test_a_missing_codec_is_named(tmp_path: Path) -> None:
    folder = copy_golden("text", tmp_path / "x")
    (folder / CODEC_FILE).unlink()
    with pytest.raises(CheckpointError, match=f"{CODEC_FILE}: missing"):
        load_golden(folder, "text")


def test_a_folder_without_a_model_says_what_should_be_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_golden(tmp_path, "text")


HEAD = "linears.2.weight"


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        ({HEAD: torch.zeros(127, 64)}, r"\[127, 64\].*\[128, 64\]"),
        ({HEAD: torch.zeros(128, 64, dtype=torch.int64)}, "int64"),
        ({HEAD: None}, "missing"),
        ({"adapter.weight": torch.zeros(2)}, "unexpected tensor adapter.weight"),
        ({"transformer.layers.0.self_attn.in_proj_weight": torch.zeros(5)}, r"\[5\]"),
        ({"transformer.layers.0.cross_attention.in_proj_weight": torch.tensor(1.0)}, "fit"),
    ],
)
def test_a_wrong_tensor_is_named(state: dict[str, Any], problem: str, tmp_path: Path) -> None:
    folder = copy_golden("text", tmp_path / "x")
    edit(folder / LM_FILE, lambda content: content["best_state"].update(state))
    with pytest.raises(CheckpointError, match=problem) as refused:
        load_golden(folder, "text")
    assert str(folder / LM_FILE) in str(refused.value)


@pytest.mark.parametrize(
    "missing", ["encoder.model.0.conv.conv.weight_v", "quantizer.vq.layers.3._codebook.embed"]
)
def test_a_missing_tensor_of_the_codec_is_named(missing: str, tmp_path: Path) -> None:
    folder = copy_golden("text", tmp_path / "x")
    edit(folder / CODEC_FILE, lambda content: content["best_state"].pop(missing))
    with pytest.raises(CheckpointError, match=f"{CODEC_FILE}.*missing"):
        load_golden(folder, "text")


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 10)
)
CHAIN = "\n".join(f"a{i}: ${{a{i + 1}}}" for i in range(1000))


@pytest.mark.parametrize("config", [BOMB, MERGES, CHAIN, "a: 2026-99-99", yaml.safe_load(BOMB)])
def test_a_small_configuration_that_stands_for_a_huge_one_is_refused(config: object) -> None:
    with pytest.raises(CheckpointError, match=r"x\.bin: xp\.cfg cannot be read"):
        plain_config(config, Path("x.bin"))


def test_no_message_tells_to_switch_the_protection_off(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="damaged or hostile") as refused:
        read_bin(tmp_path / "x.bin")
    assert "weights_only" not in str(refused.value)
    assert "https" not in str(refused.value)
