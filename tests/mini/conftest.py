"""Runs `python -m recipes.mini` as the shell would, with a model that takes no time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from recipes.mini.cli import app
from tests.cli.conftest import Result, fake, runner

__all__ = ["fake", "run"]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run `python -m recipes.mini` as the shell would."""
    return runner(app, "python -m recipes.mini", capsys)
