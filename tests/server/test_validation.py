"""What a create request may have as `input`, and in which words it is refused."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toccata.errors import InputErrors
from toccata.generation.schema import Field, Schema
from toccata.generation.values import checked
from toccata.server.api.replicate import validation
from toccata.server.api.replicate.validation import (
    CogInvalid,
    InvalidRequest,
    Problem,
    coerce,
    validate,
)
from toccata.server.hosted_inputs import HOSTED, read_inputs
from toccata.server.versions import LATEST, VERSIONS, Version

SEED = VERSIONS["7a76a8258b23fae65c5a22debb8841d1d7e816b75c2f24218cd2bd8573787906"]
STEREO = LATEST["meta/musicgen"]
OWN = LATEST["toccata/musicgen"]
TOKEN = "r8_do_not_tell"
AUDIO = "https://x.test/a.wav"


def refused(given: object, version: Version = SEED) -> dict[str, Any]:
    with pytest.raises(InvalidRequest) as caught:
        validate(version, given)
    assert caught.value.http_status == 422
    return caught.value.to_problem()


def cog_refused(given: object, version: Version = SEED) -> list[dict[str, Any]]:
    with pytest.raises(CogInvalid) as caught:
        coerce(version, given)
    assert caught.value.http_status == 422
    detail: list[dict[str, Any]] = caught.value.to_detail().pop("detail")
    return detail


def test_what_is_good_stays_as_it_was_given() -> None:
    good: dict[str, object] = {"model_version": "large", "prompt": "  a waltz ", "top_p": 0.5}
    good |= {"duration": 30, "temperature": 1, "continuation": True, "continuation_end": -1}
    for uri in (AUDIO, "data:audio/wav;base64,AAAA", "HTTP://x.test/a"):
        assert validate(SEED, {**good, "input_audio": uri}) == {**good, "input_audio": uri}
    assert validate(SEED, {}) == {}


def test_a_whole_number_may_be_written_as_a_fraction() -> None:
    kept = validate(SEED, {"duration": 8.0, "temperature": 1.0, "seed": -1.0})
    assert [(value, type(value)) for value in kept.values()] == [(8, int), (1, float), (-1, int)]


def test_null_is_as_if_left_out_where_there_is_no_default() -> None:
    names = ("prompt", "input_audio", "continuation_end", "seed")
    assert validate(SEED, dict.fromkeys(names)) == {}
    assert validate(OWN, {"top_k": None}) == {}
    lines = refused(dict.fromkeys(HOSTED.names))["detail"].splitlines()
    assert len(lines) == len(HOSTED.names) - len(names)
    assert lines[0] == f"- input.model_version: {TYPES.format('string', 'null')}"


def test_the_body_of_a_refusal() -> None:
    text = 'output_format must be one of the following: "wav", "mp3"'
    assert refused({"output_format": "flac"}) == {
        "title": "Input validation failed",
        "detail": f"- input.output_format: {text}\n",
        "status": 422,
        "invalid_fields": [{"type": "enum", "field": "input.output_format", "description": text}],
    }


def test_problems_of_the_body_itself_have_no_field() -> None:
    body = InvalidRequest([Problem("required", "", "version is required")]).to_problem()
    assert body["detail"] == "- version is required\n"
    assert body["invalid_fields"][0]["field"] == ""


TYPES = "Invalid type. Expected: {}, given: {}"
LEAST, MOST = "Must be greater than or equal to {}", "Must be less than or equal to {}"
ENUM = 'model_version must be one of the following: "melody", "large", "encode-decode"'
NO_URI = "Does not match format 'uri'"
CONTROL = "character 2 ('\\x00') is a control character: remove it"
WRONG = [
    ("duration", "8", "invalid_type", TYPES.format("integer", "string")),
    ("duration", 8.5, "invalid_type", TYPES.format("integer", "number")),
    ("duration", math.inf, "invalid_type", TYPES.format("integer", "number")),
    ("duration", True, "invalid_type", TYPES.format("integer", "boolean")),
    ("temperature", "1", "invalid_type", TYPES.format("number", "string")),
    ("continuation", 1, "invalid_type", TYPES.format("boolean", "integer")),
    ("prompt", 3, "invalid_type", TYPES.format("string", "integer")),
    ("input_audio", {}, "invalid_type", TYPES.format("string", "object")),
    ("model_version", 1.5, "invalid_type", TYPES.format("string", "number")),
    ("model_version", "melodi" * 10**6, "enum", ENUM),
    ("duration", 31, "number_lte", MOST.format(30)),
    ("duration", 0, "number_gte", LEAST.format(1)),
    ("continuation_end", -2, "number_gte", LEAST.format(0)),
    ("top_p", math.nan, "number_gte", LEAST.format(0)),
    ("seed", 10**400, "number_lte", MOST.format(2**63 - 1)),
    ("prompt", "x" * 4001, "string_lte", "String length must be less than or equal to 4000"),
    ("prompt", "a\0", "pattern", CONTROL),
    ("input_audio", "/etc/passwd", "format", NO_URI),
    ("input_audio", "file:///etc/passwd", "format", NO_URI),
    ("input_audio", "http://x\0", "pattern", "it must be a file or a URI"),
]


@pytest.mark.parametrize(("name", "value", "kind", "text"), WRONG, ids=lambda value: str(value)[:9])
def test_one_problem(name: str, value: object, kind: str, text: str) -> None:
    problem = {"type": kind, "field": f"input.{name}", "description": text}
    assert refused({name: value})["invalid_fields"] == [problem]


def test_every_problem_at_once_in_the_order_of_the_inputs() -> None:
    lines = refused({"seed": "x", "prompt": 3, "duration": 31})["detail"].splitlines()
    assert [line.split(":")[0][8:] for line in lines] == ["prompt", "duration", "seed"]


def test_limits_are_those_of_the_version() -> None:
    raw = {"duration": 100, "multi_band_diffusion": True, "model_version": "stereo-large"}
    assert validate(STEREO, raw) == raw
    assert validate(OWN, {"duration": 100.5}) == {"duration": 100.5}
    assert "0.1" in refused({"duration": 0}, OWN)["detail"]
    assert "3600" in refused({"duration": 3601}, STEREO)["detail"]
    assert validate(SEED, {"multi_band_diffusion": True}) == {}


@pytest.mark.parametrize(("raw", "kind"), [(None, "null"), ("x", "string"), ([{}], "array")])
def test_an_input_that_is_no_object(raw: object, kind: str) -> None:
    assert refused(raw)["detail"] == f"- input: {TYPES.format('object', kind)}\n"


@pytest.mark.parametrize("version", VERSIONS.values(), ids=lambda version: version.id[:8])
def test_unknown_keys_are_never_seen_again(version: Version) -> None:
    raw: dict[str, object] = {"auth": TOKEN, TOKEN: 1, "fetch": {"auth": TOKEN}, "prompt": "x"}
    assert validate(version, raw) == {"prompt": "x"}
    assert TOKEN not in str(coerce(version, raw))
    assert TOKEN not in json.dumps(refused({**raw, "duration": "x"}, version))
    assert TOKEN not in json.dumps(cog_refused({**raw, "duration": "x"}, version))


def test_an_unknown_version() -> None:
    why = "The specified version does not exist (or perhaps you don't have permission to use it?)"
    title = "Invalid version or not permitted"
    assert validation.invalid_version() == {"title": title, "detail": why, "status": 422}


READ: list[tuple[str, object, object]] = [
    ("duration", " 8 ", 8),
    ("duration", 1.5, 1),
    ("temperature", "0.5", 0.5),
    ("prompt", 123, "123"),
    ("continuation", "yes", True),
    ("continuation", "OFF", False),
    ("seed", "-1", -1),
]


@pytest.mark.parametrize(("name", "value", "coerced"), READ)
def test_what_a_cog_container_reads(name: str, value: object, coerced: object) -> None:
    defaults = {field.name: field.default for field in HOSTED.fields}
    read = coerce(SEED, {name: value})
    assert read == {**defaults, name: coerced}
    assert type(read[name]) is type(coerced)


def test_a_cog_container_fills_everything_in() -> None:
    defaults = {field.name: field.default for field in STEREO.schema.fields}
    assert coerce(STEREO, None) == coerce(STEREO, {}) == defaults


PERMITTED = "value is not a valid enumeration member; permitted: 'wav', 'mp3'"
ENUMERATION = ("type_error.enum", PERMITTED, {"enum_values": ["wav", "mp3"]})
INTEGER = ("type_error.integer", "value is not a valid integer")


def limit(kind: str, words: str, value: int) -> tuple[str, str, dict[str, int]]:
    return f"value_error.{kind}", f"ensure this value {words}", {"limit_value": value}


ZERO = limit("number.not_ge", "is greater than or equal to 0", 0)
COG_WRONG: list[tuple[str, object, tuple[Any, ...]]] = [
    ("duration", "1.5", INTEGER),
    ("duration", math.inf, INTEGER),
    ("duration", None, ("type_error.none.not_allowed", "none is not an allowed value")),
    ("duration", "31", limit("number.not_le", "is less than or equal to 30", 30)),
    ("continuation_start", -1, ZERO),
    ("top_p", {}, ("type_error.float", "value is not a valid float")),
    ("top_p", "nan", ZERO),
    ("top_p", 10**400, limit("number.not_le", "is less than or equal to 1", 1)),
    ("prompt", ["x"], ("type_error.str", "str type expected")),
    ("continuation", 2, ("type_error.bool", "value could not be parsed to a boolean")),
    ("prompt", "x" * 4001, limit("any_str.max_length", "has at most 4000 characters", 4000)),
    ("prompt", "a\0", ("value_error", CONTROL)),
    ("output_format", "flac", ENUMERATION),
    ("output_format", 3, ENUMERATION),
    ("input_audio", "notaurl", ("value_error", "only http, https and data URIs are supported")),
]


@pytest.mark.parametrize(("name", "value", "problem"), COG_WRONG, ids=lambda value: str(value)[:9])
def test_what_a_cog_container_refuses(name: str, value: object, problem: tuple[Any, ...]) -> None:
    shown = dict(zip(("type", "msg", "ctx"), problem, strict=False))
    assert cog_refused({name: value}) == [{"loc": ["body", "input", name], **shown}]


def test_a_cog_container_names_every_problem() -> None:
    found = cog_refused({"duration": "x", "prompt": [], "auth": TOKEN})
    assert [problem["loc"][-1] for problem in found] == ["prompt", "duration"]
    whole = {"loc": ["body", "input"], "msg": "value is not a valid dict"}
    assert cog_refused("prompt") == [{**whole, "type": "type_error.dict"}]


CROSS_FIELD = {"model_version", "prompt", "input_audio", "continuation", "continuation_start"}
GOOD: dict[str, st.SearchStrategy[Any]] = {"string": st.text(), "audio": st.just(AUDIO)}
GOOD |= {"boolean": st.booleans(), "integer": st.integers(1, 30), "number": st.floats(0.5, 1)}
ANY = st.none() | st.booleans() | st.integers(-9) | st.floats() | st.text() | st.just([1])


def good(field: Field) -> st.SearchStrategy[object]:
    values = st.sampled_from(field.choices) if field.choices else GOOD[field.kind]
    return values | st.none() if field.default is None else values


@given(st.sampled_from(list(VERSIONS.values())), st.data())
def test_what_is_accepted_is_good_input(version: Version, data: st.DataObject) -> None:
    mostly = {field.name: good(field) for field in version.schema.fields}
    raw: dict[str, object] = data.draw(st.fixed_dictionaries({}, optional=mostly))
    raw |= data.draw(st.dictionaries(st.sampled_from([*mostly, "auth"]), ANY, max_size=1))
    for read in (validate, coerce):
        try:
            kept = read(version, raw)
        except (InvalidRequest, CogInvalid):
            continue
        assert blamed(kept, version) <= CROSS_FIELD


def blamed(kept: dict[str, object], version: Version) -> set[str]:
    """The inputs that `read_inputs` refuses together; none may be one that is wrong by itself."""
    for name, value in kept.items():
        checked(version.schema[name], value)
    # Only the hosted API knows multi_band_diffusion.
    known = tuple(field for field in version.schema.fields if field.name in HOSTED.names)
    try:
        read_inputs({name: kept[name] for name in kept if name in HOSTED.names}, Schema(known))
    except InputErrors as errors:
        return {problem.field for problem in errors.problems}
    return set()
