"""What each served version says that it takes, and how it is found."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from toccata.server import versions
from toccata.server.hosted_inputs import EXTENDED, HOSTED
from toccata.server.versions import LATEST, VERSIONS, Version, find_model, find_version, openapi

SEED = "7a76a8258b23fae65c5a22debb8841d1d7e816b75c2f24218cd2bd8573787906"
STEREO = "671ac645ce5e552cc63a54a2bbff63fcf798043055d2dac5fc9e36a837eedcfb"
STEREO_CODEC = "b05b1dff1d8c6dc63d14b0cdb42135378dcb87f6373b0d3d341ede46e59e2b38"
OWN = hashlib.sha256(b"toccata/1").hexdigest()

STEREO_MODELS = ["stereo-melody-large", "stereo-large", "melody-large", "large"]
STRATEGIES = ["loudness", "clip", "peak", "rms"]

# In the order of `x-order`: name, type (a list: an enumeration), default, limits.
PUBLISHED: list[tuple[str, str | list[str], object, dict[str, int]]] = [
    ("model_version", ["melody", "large", "encode-decode"], "melody", {}),
    ("prompt", "string", None, {}),
    ("input_audio", "uri", None, {}),
    ("duration", "integer", 8, {"maximum": 30}),
    ("continuation", "boolean", False, {}),
    ("continuation_start", "integer", 0, {"minimum": 0}),
    ("continuation_end", "integer", None, {"minimum": 0}),
    ("normalization_strategy", STRATEGIES, "loudness", {}),
    ("top_k", "integer", 250, {}),
    ("top_p", "number", 0, {}),
    ("temperature", "number", 1, {}),
    ("classifier_free_guidance", "integer", 3, {}),
    ("output_format", ["wav", "mp3"], "wav", {}),
    ("seed", "integer", None, {}),
]
SINCE_STEREO = [
    ("model_version", STEREO_MODELS, "stereo-melody-large", {}),
    *PUBLISHED[1:3],
    ("duration", "integer", 8, {}),
    *PUBLISHED[4:7],
    ("multi_band_diffusion", "boolean", False, {}),
    *PUBLISHED[7:],
]
ENVELOPES = {"Input", "Output", "PredictionRequest", "PredictionResponse", "Status"}
ENVELOPES |= {"WebhookEvent", "HTTPValidationError", "ValidationError"}
EVERY = pytest.mark.parametrize("version", VERSIONS.values(), ids=lambda version: version.id[:8])


def schemas(version: Version) -> dict[str, Any]:
    found: dict[str, Any] = openapi(version)["components"]["schemas"]
    return found


def published(version: Version) -> list[tuple[str, str | list[str], object, dict[str, int]]]:
    """The rows of the schema of `version`, which are checked for what no row has.

    An optional input has no default, and that is all there is to it.
    """
    known = schemas(version)
    assert set(known["Input"]) == {"type", "title", "properties"}
    rows = []
    for order, (name, shown) in enumerate(known["Input"]["properties"].items()):
        assert shown.pop("x-order") == order
        assert shown.pop("description") == version.schema[name].description
        limits = {key: shown.pop(key) for key in ("minimum", "maximum") if key in shown}
        assert shown.get("default", "none") is not None
        default = shown.pop("default", None)
        kind: str | list[str]
        if "allOf" in shown:
            assert shown == {"allOf": [{"$ref": f"#/components/schemas/{name}"}]}
            kind = known[name]["enum"]
        else:
            assert shown.pop("title") == " ".join(map(str.capitalize, name.split("_")))
            kind = shown.pop("format", shown["type"])
            assert shown == {"type": "string" if kind == "uri" else kind}
        rows.append((name, kind, default, limits))
    return rows


def containers(value: object) -> Iterator[dict[str, Any] | list[Any]]:
    """All objects and arrays in `value`, itself included."""
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from containers(inner)


def references(value: object) -> set[str]:
    found = containers(value)
    return {one["$ref"] for one in found if isinstance(one, dict) and "$ref" in one}


def test_the_seed_version_takes_what_is_published() -> None:
    assert published(VERSIONS[SEED]) == PUBLISHED
    assert VERSIONS[SEED].schema is HOSTED


def test_numbers_are_published_as_they_were_written() -> None:
    shown = schemas(VERSIONS[SEED])["Input"]["properties"]
    assert '"default": 0,' in json.dumps(shown["top_p"])
    assert '"default": 1,' in json.dumps(shown["temperature"])
    assert shown["continuation"]["default"] is False


def test_the_versions_since_stereo() -> None:
    assert published(VERSIONS[STEREO]) == SINCE_STEREO
    codec = [*STEREO_MODELS, "encode-decode"]
    rows = [("model_version", codec, "stereo-melody-large", {}), *SINCE_STEREO[1:]]
    assert published(VERSIONS[STEREO_CODEC]) == rows
    for version in (VERSIONS[STEREO], VERSIONS[STEREO_CODEC]):
        assert (version.schema["duration"].low, version.schema["duration"].high) == (1, 3600)
    assert "encode-decode" not in json.dumps(openapi(VERSIONS[STEREO]))


def test_toccata_s_own_version() -> None:
    assert VERSIONS[OWN].schema.fields[:-1] == EXTENDED.fields
    shown = schemas(VERSIONS[OWN])["Input"]["properties"]
    assert shown["duration"]["type"] == "number"
    assert (shown["duration"]["default"], shown["duration"]["maximum"]) == (8, 3600)
    assert "minimum" not in shown["duration"]
    assert "default" not in shown["top_k"]
    limits = [shown["count"][name] for name in ("type", "default", "minimum", "maximum")]
    assert limits == ["integer", 1, 1, 8]


def test_several_variations_are_a_list() -> None:
    uri = {"type": "string", "format": "uri"}
    output = schemas(VERSIONS[OWN])["Output"]
    assert output == {"title": "Output", "anyOf": [uri, {"type": "array", "items": uri}]}
    assert all("count" not in one.schema.names for one in VERSIONS.values() if one.id != OWN)


@EVERY
def test_the_other_schemas(version: Version) -> None:
    known = schemas(version)
    enumerations = {field.name for field in version.schema.fields if field.choices}
    assert set(known) - enumerations == ENVELOPES
    if version.id != OWN:
        assert known["Output"] == {"type": "string", "title": "Output", "format": "uri"}
    assert known["output_format"] == {
        "type": "string",
        "enum": list(version.schema["output_format"].choices),
        "title": "output_format",
        "description": "An enumeration.",
    }


@EVERY
def test_the_document_is_json_whose_references_resolve(version: Version) -> None:
    document = openapi(version)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["openapi"] == "3.0.2"
    assert document["info"] == {"title": "Cog", "version": "0.1.0"}
    known = {f"#/components/schemas/{name}" for name in schemas(version)}
    assert references(document) <= known
    for field in version.schema.fields:  # Clients that put a reference in place do so only once.
        if field.choices:
            assert not references(schemas(version)[field.name])


def test_the_paths_of_a_cog_container() -> None:
    paths = openapi(VERSIONS[SEED])["paths"]
    operations = {
        (path, method): operation["operationId"]
        for path, methods in paths.items()
        for method, operation in methods.items()
    }
    one = "/predictions/{prediction_id}"
    assert operations == {
        ("/", "get"): "root__get",
        ("/health-check", "get"): "healthcheck_health_check_get",
        ("/predictions", "post"): "predict_predictions_post",
        (one, "put"): "predict_idempotent_predictions__prediction_id__put",
        (f"{one}/cancel", "post"): "cancel_predictions__prediction_id__cancel_post",
        ("/shutdown", "post"): "start_shutdown_shutdown_post",
    }
    assert [path for path in paths if "422" in str(paths[path])] == [*paths][2:5]
    names = [parameter["name"] for parameter in paths[one]["put"]["parameters"]]
    assert names == ["prediction_id", "prefer"]


def test_each_document_is_a_new_one_through_and_through() -> None:
    first, second = openapi(VERSIONS[SEED]), openapi(VERSIONS[SEED])
    assert first == second
    ids = [id(one) for one in (*containers(first), *containers(second))]
    assert len(set(ids)) == len(ids)


def test_every_version_is_found_by_its_id() -> None:
    assert set(VERSIONS) == {SEED, STEREO, STEREO_CODEC, OWN}
    for id_, version in VERSIONS.items():
        assert re.fullmatch("[0-9a-f]{64}", id_)
        assert version.id == id_
        assert find_version(id_) is version


@pytest.mark.parametrize("owner", ["meta", "facebookresearch", "joehoover", "facebook"])
def test_the_owners_of_the_hosted_model(owner: str) -> None:
    assert find_version(f"{owner}/musicgen:{SEED}") is VERSIONS[SEED]
    assert find_version(f"{owner}/musicgen") is VERSIONS[STEREO]
    assert [version.id for version in find_model(owner, "musicgen")] == [STEREO, STEREO_CODEC, SEED]


def test_the_latest_versions() -> None:
    latest = {"meta/musicgen": VERSIONS[STEREO], "toccata/musicgen": VERSIONS[OWN]}
    assert latest == LATEST
    assert find_version("toccata/musicgen") is VERSIONS[OWN]
    assert find_model("meta", "riffusion") == find_model("someone", "musicgen") == ()
    for model in LATEST:
        dates = [version.created_at for version in find_model(*model.split("/"))]
        assert dates == sorted(dates, reverse=True)


UNKNOWN = ["", ":", SEED[:12], f":{SEED}", SEED.upper(), "musicgen", "meta/riffusion"]
UNKNOWN += ["someone/musicgen", "meta/musicgen:", f"meta/musicgen:{SEED[:-1]}0"]
UNKNOWN += [f"someone/musicgen:{SEED}", f"toccata/musicgen:{SEED}", f"meta/musicgen/x:{SEED}"]


@pytest.mark.parametrize("reference", UNKNOWN)
def test_what_is_no_version(reference: str) -> None:
    assert find_version(reference) is None


def test_a_version_as_json() -> None:
    version = VERSIONS[SEED]
    assert versions.version_json(version) == {
        "id": SEED,
        "created_at": version.created_at,
        "cog_version": "0.8.6",
        "openapi_schema": openapi(version),
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", version.created_at)


def test_a_model_as_json() -> None:
    found = find_model("joehoover", "musicgen")
    shown = versions.model_json(found, base_url="https://x.test/", run_count=7)
    assert shown.pop("latest_version")["id"] == STEREO
    assert shown.pop("description")
    assert shown == {
        "url": "https://x.test/meta/musicgen",
        "owner": "meta",
        "name": "musicgen",
        "visibility": "public",
        "is_official": False,
        "github_url": None,
        "paper_url": "https://arxiv.org/abs/2306.05284",
        "license_url": None,
        "cover_image_url": None,
        "run_count": 7,
        "default_example": None,
        "created_at": VERSIONS[SEED].created_at,
    }
