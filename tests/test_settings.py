"""Environment and flags become one Settings, or an error that names the variable."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer

from toccata.cli import app
from toccata.errors import InputError, InputErrors
from toccata.server.config import read_server
from toccata.settings import (
    ServerSettings,
    Setting,
    Settings,
    common_settings,
    read,
    read_values,
    server_settings,
    wait_as_by_default,
    wait_passively,
)
from toccata.settings.declaration import settings_of

REFERENCE = Path(__file__).parent.parent / "docs" / "reference" / "settings.md"
DECLARED = (*common_settings(), *server_settings())


def test_nothing_given() -> None:
    assert read({"PATH": "/bin"}) == Settings()


def test_every_variable() -> None:
    environment = {
        "TOCCATA_MODEL": "melody",
        "TOCCATA_DEVICE": "cuda:1",
        "TOCCATA_PRECISION": "bf16",
        "TOCCATA_OFFLINE": "1",
        "TOCCATA_SLOTS": "4",
    }
    assert read(environment) == Settings("melody", "cuda:1", "bf16", True, 4)


def test_a_flag_wins_and_an_absent_one_does_not() -> None:
    assert read({"TOCCATA_DEVICE": "cuda"}, device="cpu", precision=None) == Settings(device="cpu")
    assert not read({"TOCCATA_OFFLINE": "yes"}, offline=False).offline


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("TOCCATA_MODEL", " "),
        ("TOCCATA_DEVICE", "gpu"),
        ("TOCCATA_DEVICE", "cuda:x"),
        ("TOCCATA_PRECISION", "int3"),
        ("TOCCATA_OFFLINE", "maybe"),
        ("TOCCATA_SLOTS", "0"),
        ("TOCCATA_SLOTS", "many"),
    ],
)
def test_wrong_values_name_the_variable(variable: str, text: str) -> None:
    with pytest.raises(InputError, match=variable):
        read({variable: text})


def test_a_wrong_flag_is_named_as_it_is_typed() -> None:
    with pytest.raises(InputError, match="--device"):
        read({}, device="gpu")


def test_a_misspelt_variable_is_an_error() -> None:
    with pytest.raises(InputError, match="did you mean TOCCATA_DEVICE"):
        read({"TOCCATA_DEVISE": "cpu"})


def test_all_wrong_values_are_told_at_once() -> None:
    with pytest.raises(InputErrors) as caught:
        read({"TOCCATA_SLOTS": "0", "TOCCATA_DEVISE": "cpu"}, device="gpu")
    fields = [problem.field for problem in caught.value.problems]
    assert sorted(fields) == ["--device", "TOCCATA_DEVISE", "TOCCATA_SLOTS"]
    assert "it must be a whole number from 1 to 1024" in str(caught.value)


@pytest.mark.parametrize("owner", [Settings, ServerSettings])
def test_every_field_of_settings_is_declared(owner: type) -> None:
    declared = {one.field for one in settings_of(owner)}
    own = {"machine", "cog_webhook_token"}  # neither comes from a flag
    assert {field.name for field in fields(owner)} - own == declared


@pytest.mark.parametrize("setting", DECLARED, ids=lambda setting: setting.name)
def test_every_setting_is_a_flag_a_variable_and_a_row_of_the_reference(setting: Setting) -> None:
    commands: Any = typer.main.get_command(app)
    parameter = {one.name: one for one in commands.commands["serve"].params}[setting.name]
    assert setting.flag in parameter.opts
    assert parameter.help.startswith(setting.about.text)
    rows = [row.split(" | ") for row in REFERENCE.read_text("utf-8").splitlines()]
    (row,) = [row for row in rows if len(row) > 1 and row[1] == f"`{setting.flag}`"]
    assert row[0] == (f"| `{setting.variable}`" if setting.variable else "| ")
    assert row[-1] == f"{setting.about.text} |"
    if setting.variable:
        with pytest.raises(InputError, match=setting.variable):
            read_values([setting], {setting.variable: " "}, {})


def test_secrets_are_shown_nowhere() -> None:
    texts = {
        "TOCCATA_TOKEN": "s3cret", "TOCCATA_DATABASE": "postgresql://me:s3cret@there/name",
        "TOCCATA_STORAGE": "s3://key:s3cret@bucket", "WEBHOOK_AUTH_TOKEN": "s3cret",
        "TOCCATA_UPLOAD_URL": "https://there?signature=s3cret",
    }  # fmt: skip
    assert "s3cret" not in repr(read_server(Settings(), environment=texts))
    with pytest.raises(InputError) as caught:
        read_server(Settings(), environment={"TOCCATA_UPLOAD_URL": "there?signature=s3cret"})
    assert "TOCCATA_UPLOAD_URL" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "1e10", "9" * 5000, "soon"])
def test_numbers_of_seconds_are_finite(text: str) -> None:
    with pytest.raises(InputError, match="a number from 0 to 999999999"):
        read_server(Settings(), environment={"TOCCATA_DRAIN_S": text})


def test_paths_may_begin_in_the_home_folder() -> None:
    folder = read_server(Settings(), environment={"TOCCATA_DATA_DIR": "~/music"}).data_dir
    assert folder == Path.home() / "music"
    with pytest.raises(InputError, match="home folder"):
        read_server(Settings(), environment={"TOCCATA_DATA_DIR": "~nobody-here/music"})


def test_what_is_added_to_the_model_comes_from_its_flag() -> None:
    assert read({}, lora=["a.safetensors:0.5", "b"]).lora == ("a.safetensors:0.5", "b")
    assert read({}, lora=None).lora == ()


def test_threads_wait_passively_unless_the_user_says_how() -> None:
    environment = {"PATH": "/bin"}
    wait_passively(environment)
    assert environment.pop("OMP_WAIT_POLICY") == "PASSIVE"
    assert int(environment.pop("GOMP_SPINCOUNT")) <= 1000
    assert environment == {"PATH": "/bin"}
    for name, value in (
        ("OMP_WAIT_POLICY", "ACTIVE"),
        ("GOMP_SPINCOUNT", "1000"),
        ("KMP_BLOCKTIME", "200"),
    ):
        environment = {name: value}
        wait_passively(environment)
        assert environment == {name: value}


def test_somebody_elses_program_waits_as_it_would_without_us() -> None:
    environment = {"PATH": "/bin"}
    wait_passively(environment)
    wait_as_by_default(environment)
    assert environment == {"PATH": "/bin"}
    environment = {"OMP_WAIT_POLICY": "PASSIVE"}  # the user's own
    wait_as_by_default(environment)
    assert environment == {"OMP_WAIT_POLICY": "PASSIVE"}


def _said_by_new_process(program: str) -> str:
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    command = [sys.executable, "-c", program]
    ran = subprocess.run(  # noqa: S603
        command, env=environment, capture_output=True, text=True, check=True
    )
    return ran.stdout.splitlines()[-1]


def test_the_command_line_waits_passively_and_an_import_of_the_library_changes_nothing() -> None:
    policy = "print(os.environ.get('OMP_WAIT_POLICY'))"
    command_line = (
        "import os, toccata.cli\ntry: toccata.cli.main(['--version'])\nexcept SystemExit: "
    )
    assert _said_by_new_process(command_line + policy) == "PASSIVE"
    assert (
        _said_by_new_process(f"import os, toccata, toccata.generation.pipeline; {policy}") == "None"
    )
