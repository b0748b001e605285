"""Tests that need a GPU. Without one they are skipped, and say so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

NEED = "needs a CUDA device: torch.cuda.is_available() is False with torch " + torch.__version__


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.skip(reason=NEED))
