"""Finding, fetching and removing weights, against a cache laid out as the hub's; no network."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import snapshot_download

from tests.models.helpers import publish
from toccata.errors import CheckpointError, InputError
from toccata.models import hub

SMALL = "facebook/musicgen-small"
CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


def files(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(name.encode() * 10)
    if INDEX in names:
        (folder / INDEX).write_text(
            json.dumps({"weight_map": dict(zip("ab", SHARDS, strict=True))})
        )
    return folder


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "hub"
    folder.mkdir()
    return folder


class Server:
    """In place of the hub: what a repository holds, and what was asked for."""

    def __init__(self, *names: str, error: Exception | None = None) -> None:
        self.names, self.error = names, error
        self.asked: list[tuple[str, list[str]]] = []

    def download(self, hub_id: str, **options: Any) -> str:
        if options.get("local_files_only"):
            return str(snapshot_download(hub_id, **options))
        self.asked.append((hub_id, options["allow_patterns"]))
        if self.error is not None:
            raise self.error
        patterns = options["allow_patterns"]
        wanted = [name for name in self.names if any(fnmatch(name, one) for one in patterns)]
        cache_dir: Path = options["cache_dir"]
        source = files(cache_dir.parent / f"server{len(self.asked)}", *wanted)
        bar = options["tqdm_class"](total=0, unit="B", unit_scale=True, desc="Reconstructing")
        bar.total = 30
        for _ in range(3):
            bar.update(10)
        with options["tqdm_class"](total=len(wanted), desc="Fetching files") as count:
            count.update(1)
        if len(self.asked) == 1:
            return str(publish(source, hub_id, cache_dir))
        return str(publish(source, hub_id + "-more", cache_dir))


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Any:
    def start(*names: str, error: Exception | None = None) -> Server:
        server = Server(*names, error=error)
        monkeypatch.setattr("huggingface_hub.snapshot_download", server.download)
        return server

    return start


@pytest.mark.parametrize(
    "names",
    [
        [CONFIG, WEIGHTS, "tokenizer.json"],
        [CONFIG, INDEX, *SHARDS],
        ["state_dict.bin", "compression_state_dict.bin"],
    ],
)
def test_what_is_wholly_in_the_cache_is_found_offline(
    names: list[str], tmp_path: Path, cache_dir: Path, serve: Any
) -> None:
    server = serve()
    snapshot = publish(files(tmp_path / "x", *names), SMALL, cache_dir)
    assert hub.find(SMALL, cache_dir=cache_dir) == str(snapshot)
    assert hub.fetch(SMALL, offline=True, cache_dir=cache_dir) == snapshot
    assert hub.fetch(SMALL, cache_dir=cache_dir) == snapshot
    assert server.asked == []


@pytest.mark.parametrize(
    "names",
    [[CONFIG], [WEIGHTS], [CONFIG, INDEX, SHARDS[0]], ["state_dict.bin"], ["pytorch_model.bin"]],
)
def test_what_is_not_whole_is_not_found(names: list[str], tmp_path: Path, cache_dir: Path) -> None:
    publish(files(tmp_path / "x", *names), SMALL, cache_dir)
    assert hub.find(SMALL, cache_dir=cache_dir) is None


@pytest.mark.parametrize(
    "index",
    [
        "{",
        "[]",
        "[" * 200_000,
        '{"weight_map": {"a": "../x.safetensors"}}',
        '{"weight_map": {"a": ["x"]}}',
        '{"weight_map": {"a": ".."}}',
        '{"weight_map": {"a": ""}}',
    ],
)
def test_a_damaged_index_is_left_to_whoever_loads_it(
    index: str, tmp_path: Path, cache_dir: Path
) -> None:
    folder = files(tmp_path / "x", CONFIG)
    (folder / INDEX).write_text(index)
    publish(folder, SMALL, cache_dir)
    assert hub.find(SMALL, cache_dir=cache_dir) is not None


def test_offline_without_the_files_says_what_to_run(cache_dir: Path) -> None:
    with pytest.raises(CheckpointError, match="`toccata models pull small`"):
        hub.fetch(SMALL, offline=True, cache_dir=cache_dir)
    with pytest.raises(CheckpointError, match="`toccata models pull someone/else`"):
        hub.fetch("someone/else", offline=True, cache_dir=cache_dir)


def test_no_network_says_what_to_run(cache_dir: Path, serve: Any) -> None:
    serve(error=ConnectionError("no route to host\nmore"))
    with pytest.raises(CheckpointError, match=r"no route to host\).*`toccata models pull small`"):
        hub.fetch(SMALL, cache_dir=cache_dir)


def test_only_what_is_needed_is_fetched(
    cache_dir: Path, serve: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    bins = ("state_dict.bin", "compression_state_dict.bin", "pytorch_model.bin", "flax.msgpack")
    server = serve(CONFIG, INDEX, *SHARDS, "tokenizer.json", "README.md", *bins)
    seen: list[tuple[int, int]] = []
    report = lambda done, total: seen.append((done, total))  # noqa: E731
    with caplog.at_level(logging.WARNING):
        folder = hub.fetch(SMALL, cache_dir=cache_dir, on_bytes=report)
    assert {file.name for file in folder.iterdir()} == {CONFIG, INDEX, *SHARDS, "tokenizer.json"}
    assert seen == [(10, 30), (20, 30), (30, 30)]
    assert len(server.asked) == 1
    assert "CC-BY-NC 4.0" in caplog.text
    assert capfd.readouterr() == ("", "")


def test_bins_are_fetched_where_there_is_nothing_else(cache_dir: Path, serve: Any) -> None:
    server = serve("state_dict.bin", "compression_state_dict.bin")
    folder = hub.fetch(SMALL, cache_dir=cache_dir)
    assert [file.name for file in sorted(folder.iterdir())] == sorted(server.names)


def test_a_repository_without_a_model_says_so(cache_dir: Path, serve: Any) -> None:
    serve("README.md", "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"someone/else: .* no model.*state_dict\.bin"):
        hub.fetch("someone/else", cache_dir=cache_dir)


def test_t5_is_known_by_its_first_name(tmp_path: Path, cache_dir: Path, serve: Any) -> None:
    server = serve(CONFIG, WEIGHTS)
    folder = hub.fetch("t5-base", cache_dir=cache_dir)
    assert server.asked[0][0] == "google-t5/t5-base"
    assert hub.fetch("t5-base", cache_dir=cache_dir) == folder
    early = publish(files(tmp_path / "x", CONFIG, WEIGHTS), "t5-base", cache_dir)
    assert hub.fetch("t5-base", cache_dir=cache_dir) == early


def test_remove_frees_what_it_says(tmp_path: Path, cache_dir: Path) -> None:
    publish(files(tmp_path / "x", CONFIG, WEIGHTS), SMALL, cache_dir)
    publish(files(tmp_path / "y", CONFIG, WEIGHTS), "facebook/musicgen-large", cache_dir)
    size = hub.cached(cache_dir)[SMALL]
    assert size == sum(file.stat().st_size for file in (tmp_path / "x").iterdir())
    assert hub.remove(SMALL, cache_dir=cache_dir) == size
    assert list(hub.cached(cache_dir)) == ["facebook/musicgen-large"]
    assert hub.find(SMALL, cache_dir=cache_dir) is None
    with pytest.raises(CheckpointError, match=SMALL):
        hub.remove(SMALL, cache_dir=cache_dir)


def test_no_cache_at_all_is_an_empty_one(tmp_path: Path) -> None:
    assert hub.cached(tmp_path / "none") == {}
    assert hub.find(SMALL, cache_dir=tmp_path / "none") is None
    with pytest.raises(CheckpointError, match="models list"):
        hub.remove(SMALL, cache_dir=tmp_path / "none")


def test_the_model_that_ships_is_here_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = files(tmp_path / "mini", CONFIG, WEIGHTS)
    monkeypatch.setattr(hub, "PACKAGED", packaged)
    assert hub.find(None) == str(packaged)
    assert hub.fetch(None) == packaged
    with pytest.raises(InputError, match="mini"):
        hub.remove(None)
    (packaged / WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match="install toccata again"):
        hub.fetch(None)


def test_looking_for_weights_imports_no_torch() -> None:
    code = (
        "import sys, toccata.models.hub as hub; hub.find('a/b'); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603
