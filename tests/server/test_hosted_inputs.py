"""The inputs of the hosted versions are checked once, and refused with every problem."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toccata.audio.audio_input import AudioPart
from toccata.errors import InputErrors
from toccata.generation.request import EncodeDecodeRequest, GenerationRequest
from toccata.generation.schema import MELODY_MODELS, STYLE_MODELS, TEXT_MODELS, Schema
from toccata.generation.values import from_text
from toccata.models import KNOWN
from toccata.server.hosted_inputs import EXTENDED, HOSTED, read_inputs

PUBLISHED = [
    ("model_version", "string", "melody", None, None),
    ("prompt", "string", None, None, None),
    ("input_audio", "audio", None, None, None),
    ("duration", "integer", 8, None, 30),
    ("continuation", "boolean", False, None, None),
    ("continuation_start", "integer", 0, 0, None),
    ("continuation_end", "integer", None, 0, None),
    ("normalization_strategy", "string", "loudness", None, None),
    ("top_k", "integer", 250, None, None),
    ("top_p", "number", 0, None, None),
    ("temperature", "number", 1, None, None),
    ("classifier_free_guidance", "integer", 3, None, None),
    ("output_format", "string", "wav", None, None),
    ("seed", "integer", None, None, None),
]


def request(raw: dict[str, object], schema: Schema = HOSTED) -> GenerationRequest:
    made = read_inputs(raw, schema).request
    assert isinstance(made, GenerationRequest)
    return made


def problems(raw: dict[str, object], schema: Schema = HOSTED) -> dict[str, str]:
    with pytest.raises(InputErrors) as caught:
        read_inputs(raw, schema)
    return {problem.field: str(problem) for problem in caught.value.problems}


def test_the_hosted_table_is_the_published_one() -> None:
    rows = [(f.name, f.kind, f.default, f.minimum, f.maximum) for f in HOSTED.fields]
    assert rows == PUBLISHED
    assert HOSTED["model_version"].choices == ("melody", "large", "encode-decode")
    assert HOSTED["output_format"].choices == ("wav", "mp3")


def test_both_tables_have_the_same_names() -> None:
    assert HOSTED.names == EXTENDED.names


def test_the_models_are_those_that_can_be_loaded() -> None:
    assert {*MELODY_MODELS, *STYLE_MODELS, *TEXT_MODELS} == set(KNOWN)
    assert {name for name in KNOWN if "melody" in KNOWN[name].follows} == set(MELODY_MODELS)
    assert {name for name in KNOWN if "style" in KNOWN[name].follows} == set(STYLE_MODELS)


def test_a_prompt_is_enough() -> None:
    inputs = read_inputs({"prompt": "a waltz"})
    assert (inputs.model, inputs.output_format) == ("melody", "wav")
    made = request({"prompt": "a waltz"})
    assert (made.prompt, made.duration_s) == ("a waltz", 8)
    assert (made.top_k, made.top_p, made.temperature, made.cfg) == (250, 0, 1, 3)
    assert made.seed is not None
    assert 0 <= made.seed < 2**32


def test_extended_takes_the_model_that_ships_and_its_own_sampling() -> None:
    assert read_inputs({"prompt": "a waltz"}, EXTENDED).model == "mini"
    made = request({"prompt": "a waltz"}, EXTENDED)
    assert made.top_k is made.temperature is made.cfg is None


def test_everything_wrong_is_said_at_once() -> None:
    raw = {
        "promt": "jazz",
        "prompt": 3,
        "duration": 31,
        "continuation": "yes",
        "normalization_strategy": "loud",
        "top_p": 2,
        "continuation_start": 9,
        "continuation_end": 4,
    }
    found = problems(raw)
    assert list(found) == [
        "promt",
        "prompt",
        "duration",
        "continuation",
        "normalization_strategy",
        "top_p",
        "continuation_start",
    ]
    assert "did you mean prompt?" in found["promt"]
    assert "31" in found["duration"]
    assert "from 1 to 30" in found["duration"]
    assert "loudness, clip, peak, rms" in found["normalization_strategy"]


def test_an_unknown_name_like_no_other_lists_them_all() -> None:
    assert "classifier_free_guidance" in problems({"prompt": "x", "zzz": 1})["zzz"]


@pytest.mark.parametrize("value", [True, "8", None, math.nan, math.inf, 8.5, 0, -1, 10**400, [8]])
def test_values_that_are_no_hosted_duration(value: object) -> None:
    assert set(problems({"prompt": "x", "duration": value})) == {"duration"}


@pytest.mark.parametrize("value", [True, "1", None, math.nan, math.inf, -0.1, 10**400])
def test_values_that_are_no_temperature(value: object) -> None:
    assert set(problems({"prompt": "x", "temperature": value})) == {"temperature"}


def test_an_integral_float_is_a_whole_number() -> None:
    assert request({"prompt": "x", "duration": 12.0}).duration_s == 12
    top_k = request({"prompt": "x", "top_k": 12.0}).top_k
    assert top_k == 12
    assert isinstance(top_k, int)


def test_fractions_are_for_the_extended_inputs() -> None:
    raw = {"prompt": "x", "duration": 100.5, "classifier_free_guidance": 2.5}
    assert set(problems(raw)) == {"duration", "classifier_free_guidance"}
    made = request(raw, EXTENDED)
    assert (made.duration_s, made.cfg) == (100.5, 2.5)


@pytest.mark.parametrize("seed", [None, -1])
def test_no_seed_draws_a_new_one_each_time(seed: int | None) -> None:
    drawn = {request({"prompt": "x", "seed": seed}).seed for _ in range(20)}
    assert len(drawn) > 1


@given(st.integers(0, 2**63 - 1))
def test_a_given_seed_is_kept(seed: int) -> None:
    assert request({"prompt": "x", "seed": seed}).seed == seed


@pytest.mark.parametrize("seed", [-2, 2**63, 1.5])
def test_seeds_out_of_range(seed: object) -> None:
    assert set(problems({"prompt": "x", "seed": seed})) == {"seed"}


@pytest.mark.parametrize("prompt", [None, "", " \n\t "])
def test_neither_prompt_nor_audio(prompt: str | None) -> None:
    assert "input_audio" in problems({"prompt": prompt})["prompt"]


def test_continuation_needs_audio() -> None:
    assert "input_audio" in problems({"prompt": "x", "continuation": True})["continuation"]


def test_encode_decode_needs_audio() -> None:
    assert set(problems({"model_version": "encode-decode", "prompt": "x"})) == {"input_audio"}


def test_a_text_model_follows_no_melody_and_another_is_named() -> None:
    raw: dict[str, object] = {"model_version": "large", "input_audio": "a.wav"}
    assert "use melody," in problems(raw)["model_version"]
    assert "stereo-melody" in problems(raw, EXTENDED)["model_version"]
    made = request({**raw, "continuation": True})
    assert made.continue_from == AudioPart("a.wav")
    assert made.melody is None


def test_a_wrong_audio_is_not_blamed_on_the_others() -> None:
    assert set(problems({"input_audio": "", "continuation": True})) == {"input_audio"}


@pytest.mark.parametrize("end", [3, 4])
def test_an_empty_part(end: int) -> None:
    raw = {"input_audio": "a.wav", "continuation_start": 4, "continuation_end": end}
    assert "before continuation_end" in problems(raw)["continuation_start"]


def test_a_name_of_a_model_that_is_nearly_right() -> None:
    assert (
        "did you mean melody?"
        in problems({"prompt": "x", "model_version": "melodi"})["model_version"]
    )


@pytest.mark.parametrize("character", ["\0", "\x1b", "\x85", "\ud800"])
def test_control_characters_in_a_prompt(character: str) -> None:
    assert "character 3" in problems({"prompt": f"ab{character}c"})["prompt"]


def test_line_breaks_and_space_around_a_prompt() -> None:
    assert request({"prompt": "  slow\r\n\tpiano \n"}).prompt == "slow\r\n\tpiano"


def test_a_prompt_too_long_is_not_printed_whole() -> None:
    message = problems({"prompt": "la " * 5000})["prompt"]
    assert "4000" in message
    assert len(message) < 300


@pytest.mark.parametrize("audio", [Path("a.wav"), "data:audio/wav;base64,AAAA", "https://x/a.mp3"])
def test_audio_by_path_or_uri(audio: str | Path) -> None:
    part = request({"input_audio": audio}).melody
    assert isinstance(part, AudioPart)
    assert part.file == audio


def test_a_part_of_the_audio_is_a_part_of_its_file() -> None:
    raw = {"input_audio": "a.wav", "continuation_start": 2, "continuation_end": 5}
    assert request(raw).melody == AudioPart("a.wav", 2, 5)
    assert request({**raw, "continuation_end": -1}).melody == AudioPart("a.wav", 2)
    coded = read_inputs({**raw, "model_version": "encode-decode"}).request
    assert coded == EncodeDecodeRequest(audio=AudioPart("a.wav", 2, 5), normalization="loudness")


@given(
    st.dictionaries(
        st.sampled_from(HOSTED.names),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text()
        | st.lists(st.integers()),
    )
)
def test_whatever_is_given_it_is_inputs_or_errors_that_name_fields(raw: dict[str, object]) -> None:
    try:
        made = read_inputs(raw).request
        duration, blamed = getattr(made, "duration_s", 1), set()
    except InputErrors as errors:
        duration, blamed = 1, {problem.field for problem in errors.problems}
    assert 1 <= duration <= 30
    assert blamed <= set(HOSTED.names)


def test_numbers_from_text() -> None:
    assert from_text(EXTENDED["top_k"], "12") == 12
    assert from_text(EXTENDED["top_k"], "12.0") == 12.0
    assert from_text(EXTENDED["duration"], "1e1") == 10
    assert from_text(EXTENDED["duration"], "long") == "long"
    assert from_text(EXTENDED["prompt"], "12") == "12"
