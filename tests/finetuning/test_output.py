"""What a run may replace: its own files, as it wrote them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import run
from tests.finetuning.test_run import Run, base, command, music
from toccata.finetuning.run_files import run_folder
from toccata.finetuning.training_state import save
from toccata.models.loading import load_model

__all__ = ["base", "music", "run"]


def test_a_folder_that_has_the_name_of_a_temporary_one_stays(
    base: Path, music: Path, run: Run
) -> None:
    notes = [Path("my-model.partial/notes.txt"), Path("style.safetensors.partial")]
    for note in notes:
        note.parent.mkdir(exist_ok=True)
        note.write_text("mine")
    assert run(*command("full", base, "-o", "my-model")).code == 0
    assert run(*command("lora", base, "-o", "style.safetensors")).code == 0
    assert [note.read_text() for note in notes] == ["mine", "mine"]


def test_notes_in_the_folder_of_a_model_stay_when_it_is_trained_on(
    base: Path, music: Path, run: Run
) -> None:
    assert run(*command("full", base, "-o", "my-model")).code == 0
    Path("my-model/notes.txt").write_text("mine")
    before = Path("my-model/model.safetensors").read_bytes()
    assert (
        run(*command("full", base, "-o", "my-model", "--steps", "6", "--patience", "0")).code == 0
    )
    assert Path("my-model/notes.txt").read_text() == "mine"
    assert sorted(path.name for path in Path("my-model").iterdir()) == [
        "config.json", "model.safetensors", "notes.txt",
    ]  # fmt: skip
    assert Path("my-model/model.safetensors").read_bytes() != before
    assert load_model("my-model", device="cpu", offline=True).name == "my-model"
    assert not list(Path().glob(".toccata-*"))


@pytest.mark.parametrize(("kind", "name"), [("full", "my-model"), ("lora", "style.safetensors")])
def test_what_stands_where_a_stopped_run_wrote_nothing_is_refused(
    kind: str, name: str, base: Path, music: Path, run: Run
) -> None:
    made = run(*command(kind, base, "-o", name))
    assert made.code == 0
    Path(name).rename("elsewhere")
    (run_folder(Path(name)) / "written.json").unlink()  # as if stopped before
    Path(name).mkdir()
    (Path(name) / "notes.txt").write_text("mine")
    refused = run(*command(kind, base, "-o", name, "--steps", "6"))
    assert refused.code == 2
    assert "it is there already" in refused.err
    assert (Path(name) / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("kind", "file"), [("full", "my-model/config.json"), ("lora", "style.safetensors")]
)
def test_what_was_changed_since_it_was_written_is_refused_before_any_training(
    kind: str, file: str, base: Path, music: Path, run: Run
) -> None:
    name = Path(file).parts[0]
    assert run(*command(kind, base, "-o", name)).code == 0
    Path(file).write_text("mine")
    log = (run_folder(Path(name)) / "log.jsonl").read_text()
    refused = run(*command(kind, base, "-o", name, "--steps", "6"))
    assert refused.code == 2
    assert f"{file} is not as this run has written it" in refused.err
    assert Path(file).read_text() == "mine"
    assert (run_folder(Path(name)) / "log.jsonl").read_text() == log


def test_a_link_that_leads_nowhere_is_refused_before_any_training(
    base: Path, music: Path, run: Run
) -> None:
    Path("link").symlink_to("nowhere")
    refused = run(*command("full", base, "-o", "link"))
    assert refused.code == 2
    assert "leads nowhere" in refused.err
    assert not run_folder(Path("link")).exists()


def test_a_temporary_file_of_the_state_replaces_no_file_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "state.partial").write_text("mine")
    save(tmp_path / "state.pt", {"step": 3})
    assert (tmp_path / "state.partial").read_text() == "mine"
