"""Names use the words of the field, as docs/explanation/glossary.md has them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent

# A part of a name -> the word that stands for it now.
REPLACED = {
    "brief": "request",
    "bury": "reap",
    "ears": "tagger, key classifier",
    "heed": "handle",
    "impression": "tag prediction",
    "impressions": "tag logits",
    "judge": "discriminator",
    "lessons": "dataset",
    "luck": "uniforms",
    "owing": "undelivered",
    "quicken": "compile",
    "seat": "slot",
    "teach": "train",
    "unwell": "degenerate",
}


def names(tree: ast.Module) -> Iterator[str]:
    """The functions, classes, arguments and variables that a file defines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def parts(name: str) -> list[str]:
    """ "_LoadedSlot" and "loaded_slot" to ["loaded", "slot"]."""
    return [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def test_no_name_has_a_private_word() -> None:
    wrong = {
        f"{path.relative_to(ROOT)}: {name}: use {REPLACED[part]}"
        for folder in ("src/toccata", "recipes")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for name in names(ast.parse(path.read_text(encoding="utf-8")))
        for part in parts(name)
        if part in REPLACED
    }
    assert not wrong
