"""The files of a run: its state, its best weights, a log with a line of JSON for each step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from toccata.errors import CheckpointError
from toccata.finetuning import training_state
from toccata.whole_files import write_errors

STATE, BEST, LOG, CHART = "state.pt", "best.pt", "log.jsonl", "losses.svg"
STATE_PARTS = ("options", "data", "base", "record", "weights", "optimizer", "scaler")
CODES, KEPT, BEATS = "codes", "kept", "beats.json"

Row = Mapping[str, Any]


def run_folder(output: Path) -> Path:
    """The folder, beside `output`, with the state from which its run can be continued."""
    return output.with_name(output.name.removesuffix(".safetensors") + ".training")


class RunFiles:
    """Reads and writes the files of one run."""

    def __init__(self, folder: Path, beats: Path | None = None) -> None:
        """beats: the file of the cache of beats; None: in `folder`."""
        self.folder = folder
        self.beats = beats or folder / BEATS
        self._unsaved: dict[str, Tensor] | None = None

    def state(self) -> dict[str, Any] | None:
        """The training state; None if there is none. Raises CheckpointError for a damaged one."""
        path = self.folder / STATE
        if not path.is_file():
            return None
        state = training_state.load(path)
        missing = [name for name in STATE_PARTS if name not in state]
        if missing:
            raise CheckpointError(
                f"{path}: has no {missing[0]}, so it is no state of this kind of training; delete "
                "it to start afresh"
            )
        return state

    def save_state(self, state: dict[str, Any]) -> None:
        """Write the state, after best weights that could not be saved before."""
        if self._unsaved is not None:
            self.save_best(self._unsaved)
        training_state.save(self.folder / STATE, state)

    def best(self) -> dict[str, Tensor] | None:
        if self._unsaved is not None:
            return self._unsaved
        path = self.folder / BEST
        return training_state.load(path)["weights"] if path.is_file() else None

    def save_best(self, weights: Mapping[str, Tensor]) -> None:
        """Write the best weights.

        Raises:
            CheckpointError: They cannot be written; a copy is kept in memory for later.
        """
        try:
            training_state.save(self.folder / BEST, {"weights": dict(weights)})
            self._unsaved = None
        except CheckpointError:
            self._unsaved = {name: tensor.detach().clone() for name, tensor in weights.items()}
            raise

    def rows(self) -> list[Row]:
        path = self.folder / LOG
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        return [row for line in lines if (row := _row(line)) is not None]

    def note(self, row: Row) -> None:
        path = self.folder / LOG
        with write_errors(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as log:
                log.write(json.dumps(row) + "\n")

    def forget_after(self, step: int) -> None:
        """Drop the rows after the state from which a run continues."""
        kept = [row for row in self.rows() if row["step"] <= step]
        if (self.folder / LOG).is_file():
            text = "".join(json.dumps(row) + "\n" for row in kept)
            (self.folder / LOG).write_text(text, encoding="utf-8")

    def draw(self, chart: str) -> None:
        path = self.folder / CHART
        with write_errors(path):
            path.write_text(chart, encoding="utf-8")


def _row(line: str) -> Row | None:
    """None for a line that was cut off in the middle."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("step"), int) else None
