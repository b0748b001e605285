"""The words of errors: each is a sentence, whatever is wrong."""

from __future__ import annotations

from toccata.errors import InputError, InputErrors


def test_a_wrong_value_is_shown() -> None:
    error = InputError("duration", 99, "it must be at most 30")
    assert str(error) == "duration: 99 is not valid; it must be at most 30"


def test_a_missing_value_is_missing() -> None:
    assert str(InputError("prompt", None, "give one")) == "prompt is missing; give one"


def test_what_is_wrong_can_be_said() -> None:
    error = InputError("raw", True, "it goes with stream", "cannot be used alone")
    assert str(error) == "raw cannot be used alone; it goes with stream"
    assert (error.field, error.value, error.allowed) == ("raw", True, "it goes with stream")


def test_names_can_be_those_of_a_surface() -> None:
    error = InputError("bit_depth", 8, "leave bit_depth out")
    renamed = error.sentence(lambda text: text.replace("bit_depth", "--bit-depth"))
    assert renamed == "--bit-depth: 8 is not valid; leave --bit-depth out"


def test_all_problems_keep_their_words() -> None:
    problems = [InputError("a", None, "give it"), InputError("b", True, "go", "is alone")]
    assert str(InputErrors(problems)) == "a is missing; give it\nb is alone; go"
    assert InputErrors(problems[1:]).problem == "is alone"
