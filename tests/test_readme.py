"""What README.md takes from the code is as the code is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_generated_parts_are_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "readme.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr


def test_every_source_file_is_named() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    files = (ROOT / "src" / "toccata").rglob("*.py")
    assert [
        path for path in files if f" {path.name} " not in text and path.stem != "__init__"
    ] == []
