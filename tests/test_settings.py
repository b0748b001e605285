"""Environment and flags become one Settings, or an error that names the variable."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from toccata.errors import InputError
from toccata.settings import Settings, read, wait_as_by_default, wait_passively


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
