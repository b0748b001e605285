"""`toccata models`, on an empty cache."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.cli.conftest import Result
from tests.models.helpers import CODEC_FILE, copy_golden
from toccata.models import KNOWN, hub

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def nothing_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "find", lambda _: None)
    monkeypatch.setattr(hub, "cached", lambda: {"someone/their-model": 123})


def test_list_names_all_models_and_what_else_was_fetched(run: Run) -> None:
    header, *lines = run("models", "list").out.splitlines()
    assert header.split() == ["name", "follows", "channels", "size", "licence", "here"]
    assert [line.split()[0] for line in lines] == [*KNOWN, "someone/their-model"]
    small, theirs = lines[1], lines[-1]
    assert "300 M weights  CC-BY-NC 4.0  no" in small
    assert "123 B" in theirs
    assert "see the hub" in theirs


def test_list_has_the_size_of_what_is_here(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "cached", lambda: {"facebook/musicgen-small": 2_360_000_000})
    mini, small = run("models", "list").out.splitlines()[1:3]
    assert "2.36 GB" in small
    assert "MIT" in mini


def test_list_as_json(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "find", lambda hub_id: None if hub_id else "/mini")
    rows = [json.loads(line) for line in run("models", "list", "--json").out.splitlines()]
    assert rows[0]["path"] == "/mini"
    assert rows[1] == {
        "name": "small",
        "hub_id": "facebook/musicgen-small",
        "follows": "text",
        "channels": 1,
        "path": None,
        "size_bytes": None,
        "licence": "CC-BY-NC 4.0",
    }


def test_info_of_one(run: Run) -> None:
    assert "hub_id: facebook/musicgen-melody\n" in run("models", "info", "melody").out


def test_an_unknown_name(run: Run) -> None:
    result = run("models", "info", "melodi")
    assert result.code == 4
    assert "did you mean melody" in result.err


def test_pull_fetches_and_says_where(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(hub_id: str, *, offline: bool, on_bytes: Callable[[int, int], None]) -> Path:
        on_bytes(1, 2)
        return Path(hub_id) / f"offline-{offline}"

    monkeypatch.setattr(hub, "fetch", fetch)
    assert run("models", "pull", "small").out == "facebook/musicgen-small/offline-False\n"
    monkeypatch.setenv("TOCCATA_OFFLINE", "1")
    assert run("models", "pull", "small").out == "facebook/musicgen-small/offline-True\n"


def test_pull_fetches_what_the_model_only_names(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    requested: list[str] = []
    folder = copy_golden("text", tmp_path / "text")
    torch.save({"pretrained": "facebook/encodec_32khz"}, folder / CODEC_FILE)

    def fetch(hub_id: str, **_: object) -> Path:
        requested.append(hub_id)
        return folder

    monkeypatch.setattr(hub, "fetch", fetch)
    assert run("models", "pull", "small").out == f"{folder}\n"
    assert requested == ["facebook/musicgen-small", "t5-base", "facebook/encodec_32khz"]


def test_remove_says_how_much(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "remove", lambda _: 5 * 2**20)
    assert run("models", "remove", "small").err == "small: 5 MiB removed\n"


def test_the_model_that_ships_cannot_be_removed(run: Run) -> None:
    assert run("models", "remove", "mini").code == 2
