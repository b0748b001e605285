"""The notebooks in examples/ run from top to bottom, as a reader would run them."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.ipynb"))


def test_there_is_a_notebook_for_each_task() -> None:
    names = {path.stem for path in EXAMPLES}
    assert names == {"quickstart", "melody", "continuation", "batches", "finetuning"}


# zmq closes the sockets of a kernel that has ended when they are collected.
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    assert not any(cell.get("outputs") for cell in nbformat.read(path, as_version=4).cells)
    players = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "<audio controls" in output.get("data", {}).get("text/html", "")
    ]
    assert players
