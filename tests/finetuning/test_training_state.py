from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from toccata.errors import CheckpointError
from toccata.finetuning import training_state
from toccata.finetuning.run_files import RunFiles


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.pt"
    training_state.save(path, {"step": 3, "weights": torch.ones(2)})
    state = training_state.load(path)
    assert state["step"] == 3
    assert torch.equal(state["weights"], torch.ones(2))
    assert list(path.parent.iterdir()) == [path]


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("ran",)


@pytest.mark.parametrize(
    "content",
    [b"", b"not a checkpoint", pickle.dumps(Hostile(), 2)],
    ids=["empty", "text", "pickle"],
)
def test_a_damaged_or_hostile_file_is_refused(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "state.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"state\.pt") as refused:
        training_state.load(path)
    assert "weights_only" not in str(refused.value)
    assert capsys.readouterr().out == ""


def test_a_state_of_something_else_is_refused(tmp_path: Path) -> None:
    training_state.save(tmp_path / "state.pt", {})
    with pytest.raises(CheckpointError, match=r"state\.pt: has no options.*delete it"):
        RunFiles(tmp_path).state()
