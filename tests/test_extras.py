"""What is not installed is named with a command that is true for where toccata came from."""

from __future__ import annotations

import json
import shlex
import sys
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from toccata import extras

SOURCE = Path(extras.__file__).parent
EXTRAS: dict[str, list[str]] = tomllib.loads(
    (SOURCE.parent.parent / "pyproject.toml").read_text(encoding="utf-8")
)["project"]["optional-dependencies"]


def command(monkeypatch: pytest.MonkeyPatch, origin: dict[str, Any] | None) -> list[str]:
    """What pip is told by the error, after `python -m pip install`."""
    text = None if origin is None else json.dumps(origin)
    found = SimpleNamespace(read_text=lambda name: text)
    monkeypatch.setattr(extras, "distribution", lambda name: found)
    said = str(extras.missing_extra("the server", "server"))
    assert said.startswith("the server is not installed (extra server); run: ")
    python, *options = shlex.split(said.partition("run: ")[2])
    assert [python, *options[:3]] == [sys.executable, "-m", "pip", "install"]
    return options[3:]


def test_the_command_installs_from_where_toccata_was_installed_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = "file:///home/a%20b/toccata"
    editable = {"url": folder, "dir_info": {"editable": True}}
    assert command(monkeypatch, editable) == ["-e", "/home/a b/toccata[server]"]
    assert command(monkeypatch, {"url": folder, "dir_info": {}}) == ["/home/a b/toccata[server]"]


def test_elsewhere_it_is_for_the_folder_of_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    here = ["-e", ".[server]"]
    assert command(monkeypatch, None) == here
    wheel = {"url": "file:///tmp/toccata.whl", "archive_info": {}}
    assert command(monkeypatch, wheel) == here

    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(extras, "distribution", missing)
    assert ".[server]" in str(extras.missing_extra("the server", "server"))


def test_no_extra_needs_a_compiler() -> None:
    needed = " ".join(need for needs in EXTRAS.values() for need in needs)
    assert "tinysoundfont" not in needed, "it depends on pyaudio, which needs portaudio.h"


def test_errors_name_extras_that_there_are_and_no_package_that_is_nowhere() -> None:
    for path in SOURCE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "toccata[" not in text, f"{path}: toccata is on no index"
        for part in text.split("missing_extra(")[1:]:
            if path.name != "extras.py":
                assert any(f'"{extra}")' in part[:80] for extra in EXTRAS), path
