"""What installing says and shows, so that nobody looks at a silent terminal for minutes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("target", ["song", "serve"])
def test_make_shows_what_pip_does(target: str, tmp_path: Path) -> None:
    ran = subprocess.run(  # noqa: S603
        ["make", "--dry-run", target, f"VENV={tmp_path / 'venv'}"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    installs = [line for line in ran.stdout.splitlines() if "pip" in line and " install " in line]
    assert installs
    assert not any("--quiet" in line or " -q" in line for line in installs)


def test_help_and_docs_agree_on_how_long_an_evaluation_takes() -> None:
    for path in ("docs/lab/evaluation.md", "recipes/mini/cli.py"):
        text = " ".join((ROOT / path).read_text(encoding="utf-8").split())
        assert "a quarter to half an hour on two cores" in text
