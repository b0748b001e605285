"""README.md and docs/ are as the code is: generated parts, commands, links, and the gallery."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import toccata
from toccata.cli import app

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
MAX_README_LINES = 150
DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r'\]\(([^)\s]+)\)|(?:src|srcset)="([^"]+)"')


def blocks(path: Path, *languages: str) -> Iterator[str]:
    """The code blocks of a document in one of some languages."""
    for language, code in BLOCK.findall(path.read_text(encoding="utf-8")):
        if language in languages:
            yield code


def command_lines() -> Iterator[str]:
    """Every line of a document that runs `toccata`."""
    for path in DOCUMENTS:
        for code in blocks(path, "", "sh"):
            lines = code.replace("\\\n", " ").replace(" && ", "\n").splitlines()
            yield from (
                line for line in lines if line.startswith("toccata ") and "--help" not in line
            )


@pytest.mark.parametrize("script", ["reference.py", "examples.py"])
def test_the_generated_parts_are_up_to_date(script: str) -> None:
    command = [sys.executable, str(ROOT / "scripts" / script), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr


def test_every_source_file_is_named() -> None:
    text = (ROOT / "docs" / "reference" / "source.md").read_text(encoding="utf-8")
    files = (ROOT / "src" / "toccata").rglob("*.py")
    assert [
        path for path in files if f" {path.name} " not in text and path.stem != "__init__"
    ] == []


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= MAX_README_LINES


@pytest.mark.parametrize("line", sorted(set(command_lines())))
def test_every_command_of_a_document_is_one_that_toccata_takes(line: str) -> None:
    """Names, options and the kinds of their values; nothing is run."""
    words = shlex.split(re.split(r" \| | > ", line)[0], comments=True)[1:]
    name, command, context = "toccata", typer.main.get_command(app), None
    while commands := getattr(command, "commands", None):
        assert words, f"{name} needs a command"
        if words[0].startswith("-"):
            break
        name, command = f"{name} {words[0]}", commands[words[0]]
        words = words[1:]
    parsed: Any = command.make_context(name, words, parent=context, resilient_parsing=False)
    assert parsed is not None


def test_every_target_of_make_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    text = "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    code = "\n".join(
        [*re.findall(r"`([^`\n]+)`", text), *(body for _, body in BLOCK.findall(text))]
    )
    targets = set(re.findall(r"^make ([a-z-]+)", code, re.MULTILINE))
    assert {"song", "serve", "site"} <= targets
    assert [target for target in targets if f"\n{target}:" not in makefile] == []


def test_every_python_block_is_python() -> None:
    for path in DOCUMENTS:
        for code in blocks(path, "python"):
            compile(code, str(path), "exec")


def test_every_link_leads_to_a_file() -> None:
    """Headings are checked by `make site`."""
    documents = [*{*DOCUMENTS, *ROOT.glob("*.md")}, ROOT / "src/toccata/mini/MODEL_CARD.md"]
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in documents
        for groups in LINK.findall(path.read_text(encoding="utf-8"))
        for target in groups
        if target and "://" not in target and not target.startswith("#")
        if not (path.parent / target.partition("#")[0]).exists()
    ]
    assert broken == []


def test_every_source_file_that_a_document_names_exists() -> None:
    """In documents of what is; the training log also names files of the past."""
    places = [ROOT, ROOT / "src/toccata", ROOT / "recipes/mini", ROOT / "bench"]
    missing = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in DOCUMENTS
        if path.name not in ("training_log.md", "source.md")
        for name in re.findall(r"`([a-z_]+/[a-z_/]*\.py)`", path.read_text(encoding="utf-8"))
        if not any((place / name).exists() for place in places)
    ]
    assert missing == []


def test_every_public_name_is_in_the_reference() -> None:
    text = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    errors = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    public = [name for name in toccata.__all__ if not name.startswith("__")]
    assert [n for n in public if f":: {n}\n" not in text and f"`{n}`" not in errors] == []


def test_make_site_finds_broken_links(tmp_path: Path) -> None:
    pages = {"index.html": '<a href="b.html#there">x</a>', "b.html": '<p id="there">'}
    for name, text in pages.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    command = [sys.executable, str(ROOT / "scripts" / "check_links.py"), str(tmp_path)]
    subprocess.run(command, check=True)  # noqa: S603

    broken = '<a href="gone.html">x</a><a href="b.html#nowhere">y</a>'
    (tmp_path / "c.html").write_text(broken, encoding="utf-8")
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "c.html: gone.html: no such file",
        "c.html: b.html#nowhere: no such heading",
    ]
