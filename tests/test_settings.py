"""Environment and flags become one Settings, or an error that names the variable."""

from __future__ import annotations

import pytest

from toccata.errors import InputError
from toccata.settings import Settings, read


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
