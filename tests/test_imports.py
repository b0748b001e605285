"""The shape of the code: one-way imports, small files and functions, a quick start."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import toccata

SOURCE = Path(toccata.__file__).parent

# Each part may import parts of the rows above its own, and itself.
LAYERS = (
    {"errors", "kernels"},
    {"config_limits", "whole_files"},
    {"audio", "codecs", "decoder", "devices", "extras", "settings"},
    {"analysis", "backends"},
    {"conditioners"},
    {"models"},
    {"engine", "evaluation"},
    {"generation"},
    {"finetuning", "benchmark", "__init__"},
    {"server"},
    {"cli"},
    {"__main__"},
)

# The same within the server.
SERVER_ROOMS = ("storage", "worker", "predictions", "api", "ui")

MAX_ROOMS = 22
MAX_FILE_LINES, MEDIAN_FILE_LINES = 500, 150
MAX_FUNCTION_LINES, MEDIAN_FUNCTION_LINES = 60, 10

HEAVY = (
    "pydantic", "sqlalchemy", "torch", "transformers", "numpy", "rich", "huggingface_hub",
    "soundfile", "av", "scipy", "matplotlib",
)  # fmt: skip


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE), ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.Module) -> Iterator[str]:
    """The parts of toccata that a module imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "toccata":
            for alias in node.names:
                inside = (SOURCE / alias.name).is_dir() or (SOURCE / f"{alias.name}.py").exists()
                yield alias.name if inside else "__init__"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("toccata."):
            yield str(node.module).split(".")[1]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "toccata":
                    yield [*alias.name.split("."), "__init__"][1]


def imported_modules(tree: ast.Module) -> Iterator[tuple[str, ...]]:
    """Every module that a file imports something from, as the parts of its name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield (*node.module.split("."), alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield tuple(alias.name.split("."))


def layer(part: str) -> int:
    return next(height for height, parts in enumerate(LAYERS) if part in parts)


def test_imports_point_one_way() -> None:
    wrong = {
        f"{path} imports {part}"
        for path, tree in sources()
        for part in imported(tree)
        if part != (own := path.parts[0].removesuffix(".py")) and layer(part) >= layer(own)
    }
    assert not wrong


def test_the_server_points_one_way() -> None:
    wrong = {
        f"{path} imports {module}"
        for path, tree in sources()
        if path.parts[0] == "server" and len(path.parts) > 2
        for module in imported_modules(tree)
        if module[:2] == ("toccata", "server") and len(module) > 2
        if module[2] in SERVER_ROOMS
        if SERVER_ROOMS.index(module[2]) > SERVER_ROOMS.index(path.parts[1])
    }
    assert not wrong


def test_the_package_needs_no_recipe_and_no_benchmark() -> None:
    wrong = {
        f"{path} imports {module}"
        for path, tree in sources()
        for module in imported_modules(tree)
        if module[0] in ("recipes", "bench", "tests")
    }
    assert not wrong


def test_the_package_has_few_rooms() -> None:
    rooms = {path.parts[0].removesuffix(".py") for path, _ in sources()} | {"mini"}
    rooms -= {"__init__", "__main__"}
    assert len(rooms) <= MAX_ROOMS


def test_files_are_small() -> None:
    lines = {path: len((SOURCE / path).read_text("utf-8").splitlines()) for path, _ in sources()}
    assert {path for path, count in lines.items() if count > MAX_FILE_LINES} == set()
    assert statistics.median(lines.values()) <= MEDIAN_FILE_LINES


def test_functions_are_short() -> None:
    lines = {
        f"{path}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name for name, count in lines.items() if count > MAX_FUNCTION_LINES} == set()
    assert statistics.median(lines.values()) <= MEDIAN_FUNCTION_LINES


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, toccata.cli\n"
        "try: toccata.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print('loaded:', *sys.modules)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    loaded = done.stdout.partition("loaded:")[2].split()
    assert "typer" in loaded
    assert not set(HEAVY) & set(loaded)


def test_the_public_names_are_there() -> None:
    assert all(getattr(toccata, name) is not None for name in toccata.__all__)
