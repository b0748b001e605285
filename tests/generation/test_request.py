"""A request is checked once, refused with every problem, and survives JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.fakes import tone
from toccata import AudioPart, EncodeDecodeRequest, GenerationRequest
from toccata.errors import InputError, InputErrors
from toccata.generation.schema import REQUEST


def problems(**options: Any) -> dict[str, str]:
    with pytest.raises(InputErrors) as caught:
        GenerationRequest(**options)
    return {problem.field: str(problem) for problem in caught.value.problems}


def test_the_table_has_the_fields_of_the_request_with_their_defaults() -> None:
    defaults = {name: field.default for name, field in GenerationRequest.model_fields.items()}
    assert defaults == {field.name: field.default for field in REQUEST.fields}


def test_every_problem_is_raised_at_once_by_the_name_of_its_field() -> None:
    found = problems(prompt=3, duration_s=0, top_k="5", melody=5, fade_in_s=float("nan"), topp=1)
    assert list(found) == ["prompt", "duration_s", "melody", "top_k", "fade_in_s", "topp"]
    assert "from 0.1 to 3600" in found["duration_s"]
    assert "did you mean top_p?" in found["topp"]


def test_a_part_of_a_file_that_cannot_be_names_its_field() -> None:
    assert (
        "before end_s, 2"
        in problems(melody={"file": "x.wav", "start_s": 5, "end_s": 2})["melody.start_s"]
    )


def test_a_request_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        GenerationRequest(prompt="x").prompt = "y"


@pytest.mark.parametrize(
    "request_",
    [
        GenerationRequest(prompt="a waltz", duration_s=2.5, seed=7, top_k=5, cfg=2.5),
        GenerationRequest(melody="song.wav", normalization="peak"),
        GenerationRequest(continue_from=AudioPart("song.wav", 1, 2.5)),
        EncodeDecodeRequest(audio=AudioPart("song.wav")),
    ],
)
def test_a_request_survives_json(request_: GenerationRequest | EncodeDecodeRequest) -> None:
    text = json.dumps(request_.model_dump(mode="json"))
    again = type(request_)(**json.loads(text))
    assert again.model_dump(mode="json") == json.loads(text)
    assert again.normalization == request_.normalization


def test_audio_in_memory_has_no_json() -> None:
    with pytest.raises(Exception, match="give the path of the file"):
        GenerationRequest(melody=tone(1.0)).model_dump(mode="json")


def test_the_json_schema_has_limits_and_descriptions() -> None:
    schema = GenerationRequest.model_json_schema()
    assert schema["additionalProperties"] is False
    for field in REQUEST.fields:
        assert schema["properties"][field.name]["description"] == field.description
    assert schema["properties"]["duration_s"]["maximum"] == 3600


@given(
    st.dictionaries(
        st.sampled_from(REQUEST.names),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    )
)
def test_any_values_make_a_request_or_errors_that_name_fields(raw: dict[str, Any]) -> None:
    try:
        duration_s, named = GenerationRequest(**raw).duration_s, set()
    except InputErrors as errors:
        duration_s, named = 1.0, {problem.field for problem in errors.problems}
    assert 0.1 <= duration_s <= 3600
    assert named <= set(REQUEST.names)


def test_a_missing_value_is_named() -> None:
    with pytest.raises(InputError, match="audio is missing"):
        EncodeDecodeRequest()  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "audio", [{}, {"x": 1}, {"file": 5}, {1: 2}, {"file": "a.wav", "until": 3}]
)
def test_json_that_is_no_audio_is_refused_by_name(audio: Any) -> None:
    (field,) = problems(melody=audio)
    assert field.split(".")[0] == "melody"
    with pytest.raises(InputErrors, match=r"^audio"):
        EncodeDecodeRequest(audio=audio)


@pytest.mark.parametrize("file", [5, b"a.wav", None])
def test_a_part_is_of_a_file_with_a_path(file: Any) -> None:
    with pytest.raises(InputError, match="give the path of an audio file"):
        AudioPart(file)


def test_times_of_a_part_may_be_numbers_of_numpy() -> None:
    one, half = np.int64(1), np.float32(2.5)
    assert AudioPart("a.wav", one, half) == AudioPart("a.wav", 1.0, 2.5)  # type: ignore[arg-type]


def test_requests_with_arrays_can_be_compared() -> None:
    pair = (np.zeros(999, np.float32), 32000)
    first, second = (GenerationRequest(prompt="x", melody=pair) for _ in range(2))
    other = GenerationRequest(prompt="x", melody=(np.zeros(999, np.float32), 32000))
    assert first == second
    assert first != other
    assert len({first, second, GenerationRequest(prompt="x", seed=1)}) == 2


def test_names_that_are_no_text_are_refused() -> None:
    odd: Any = {1: 2}
    with pytest.raises(InputErrors, match="there is no such option"):
        GenerationRequest.of(odd)
