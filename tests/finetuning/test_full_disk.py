"""A disk that is full while a model is trained or written."""

from __future__ import annotations

import logging
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.finetuning.helpers import trainer
from tests.models.test_toccata import with_words
from toccata.errors import CheckpointError
from toccata.finetuning import trainer as training
from toccata.finetuning import training_state
from toccata.models.checkpoints.native import write as save_model


@contextmanager
def files_of_at_most(num_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_save_that_fails_does_not_end_a_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "SAVE_S", 0.0)
    one = trainer(tmp_path / "run")
    with files_of_at_most(4096), caplog.at_level(logging.WARNING):
        assert one.train().step == 6
    assert "state.pt: cannot be written" in caplog.text
    assert "free some space" in caplog.text
    assert not list((tmp_path / "run").glob(".toccata-*"))
    best = one.files.best()
    assert best is not None
    one.save()  # there is space again
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {"state.pt", "best.pt"}
    assert training_state.load(tmp_path / "run/best.pt")["weights"].keys() == best.keys()


def test_a_model_that_does_not_fit_leaves_nothing_and_is_named(tmp_path: Path) -> None:
    model = with_words("text")
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "new", tmp_path / "empty"):
        with (
            files_of_at_most(4096),
            pytest.raises(CheckpointError, match=f"{folder}: cannot be written .*free some space"),
        ):
            save_model(model, folder)
    assert not (tmp_path / "new").exists()
    assert not list((tmp_path / "empty").iterdir())
