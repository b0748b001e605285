"""Names use the words of the field, as docs/explanation/glossary.md has them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent

# A part of a name -> the word that stands for it now.
REPLACED = {
    "agreeing": "invariant",
    "brief": "request",
    "bury": "reap",
    "ears": "tagger, key classifier",
    "emphasis": "condition scale",
    "emphasized": "scaled",
    "entering": "input weight",
    "heed": "handle",
    "impression": "tag prediction",
    "impressions": "tag logits",
    "judge": "discriminator",
    "lessons": "dataset",
    "luck": "uniforms",
    "null": "uncond, no text, no melody",
    "owing": "undelivered",
    "quicken": "compile",
    "recorder": "graph capture",
    "returning": "recurrent weight",
    "seat": "slot",
    "sharpness": "inverse temperature",
    "teach": "train",
    "unsaid": "problem",
    "untold": "unreported",
    "unwell": "degenerate",
}
# Parts of names and words of docstrings that are replaced in these parts of the package.
PARTS = (
    "audio", "backends", "benchmark", "codecs", "conditioners", "decoder", "engine", "kernels",
    "models", "devices.py", "errors.py", "extras.py",
)  # fmt: skip
REPLACED_IN_NAMES = {
    "asked": "requested",
    "given": "input, options, arguments",
    "heard": "audio, prediction",
    "owed": "pending",
    "room": "workspace, capacity",
    "said": "message",
    "song": "composition, track",
    "songs": "compositions, tracks",
    "told": "reported, conditioning",
    "turns": "work counters",
    "wanted": "requested, expected",
}
REPLACED_IN_DOCSTRINGS = {
    "anybody": "a request, a user",
    "asked": "requested",
    "everybody": "all requests, all users",
    "halves": "branches",
    "hear": "analyse, predict",
    "heard": "analysed, predicted",
    "hears": "analyses, predicts",
    "nobody": "no request, no user",
    "owed": "pending",
    "somebody": "a request, a user",
    "told": "reported, conditioned on",
    "wanted": "requested, expected",
    "whoever": "the caller, the thread, the request",
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


def docstrings(tree: ast.Module) -> Iterator[str]:
    """The docstrings of a file, its classes and its functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


def part_sources() -> Iterator[Path]:
    """The files of PARTS."""
    for part in PARTS:
        path = ROOT / "src/toccata" / part
        yield from sorted(path.rglob("*.py")) if path.is_dir() else (path,)


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


def test_parts_of_the_package_have_no_private_word() -> None:
    wrong = set()
    for path in part_sources():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        where = path.relative_to(ROOT)
        wrong |= {
            f"{where}: {name}: use {REPLACED_IN_NAMES[part]}"
            for name in names(tree)
            for part in parts(name)
            if part in REPLACED_IN_NAMES
        }
        wrong |= {
            f"{where}: {word} in {text.partition(chr(10))[0]!r}: use {REPLACED_IN_DOCSTRINGS[word]}"
            for text in docstrings(tree)
            for word in re.findall(r"[a-z]+", text.lower())
            if word in REPLACED_IN_DOCSTRINGS
        }
    assert not wrong
