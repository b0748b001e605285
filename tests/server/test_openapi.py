"""What the server answers is what its OpenAPI document says, whatever is asked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.server.cog_client import ready
from tests.server.conftest import Served, serving
from toccata.errors import ToccataError
from toccata.server import app
from toccata.server.config import ServerSettings
from toccata.server.outbound import Answer
from toccata.settings import Settings

TOKEN = "r8_of_these_tests"
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance,
    response_headers_conformance, response_schema_conformance,
]  # fmt: skip
EXAMPLES = 12
# Every operation of the contract.
CONTRACT = (
    "GET /v1/predictions",
    "POST /v1/predictions",
    "GET /v1/predictions/{prediction_id}",
    "POST /v1/predictions/{prediction_id}/cancel",
    "GET /v1/models",
    "POST /v1/models",
    "GET /v1/models/{owner}/{name}",
    "POST /v1/models/{owner}/{name}/predictions",
    "GET /v1/models/{owner}/{name}/versions",
    "GET /v1/models/{owner}/{name}/versions/{version_id}",
    "POST /v1/models/{owner}/{name}/versions/{version_id}/trainings",
    "GET /v1/models/{owner}/{name}/examples",
    "GET /v1/account",
    "GET /v1/hardware",
    "GET /v1/webhooks/default/secret",
    "GET /v1/collections",
    "GET /v1/collections/{slug}",
    "GET /v1/deployments",
    "POST /v1/deployments",
    "GET /v1/deployments/{owner}/{name}",
    "POST /v1/deployments/{owner}/{name}/predictions",
    "GET /v1/trainings",
    "GET /v1/trainings/{training_id}",
    "GET /v1/files",
    "POST /v1/files",
    "GET /v1/files/{file_id}",
    "DELETE /v1/files/{file_id}",
    "GET /v1/files/{file_id}/download",
    "GET /v1/files/{key}/stream",
    "GET /outputs/{key}/audio",
    "GET /outputs/{key}/{name}",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /",
    "GET /health-check",
    "POST /predictions",
    "PUT /predictions/{prediction_id}",
    "POST /predictions/{prediction_id}/cancel",
    "POST /shutdown",
)
DOCUMENT = app.create_app(ServerSettings(page=False)).openapi()
OPERATIONS: Mapping[tuple[str, str], dict[str, Any]] = {
    (method, path): operation
    for path, each in DOCUMENT["paths"].items()
    for method, operation in each.items()
}


class NoOutside:
    """What stands in for other machines: there are none."""

    def __init__(self, *_: object) -> None: ...

    async def fetch(self, url: str, to: Path, _: str) -> Path:
        raise ToccataError(f"{url}: there is nothing outside of these tests")

    async def post(self, *_: object) -> int:
        return 200

    async def put(self, url: str, body: bytes, headers: Mapping[str, str], owner: str) -> Answer:
        return Answer(200, url)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """With a token, which makes sure that none may shut it down."""
    folder = tmp_path_factory.mktemp("openapi")
    fields = ServerSettings(
        page=False,
        machine=Settings(slots=4),
        data_dir=folder,
        drain_s=0.0,
        tokens=(TOKEN,),
        queue=10_000,
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(app, "OutboundClient", NoOutside)
        with serving(fields, TOKEN) as served:
            yield ready(served)


@pytest.fixture(scope="module")
def known(served: Served) -> Mapping[str, str]:
    """By the name of a parameter: one that there is, for the paths to be tried with."""
    made = served.until(served.create()["id"])
    upload = served.client.post("/v1/files", files={"content": ("a.wav", b"RIFF")}).json()
    key, name = made["output"].split("/")[-2:]
    owner, model = made["model"].split("/")
    return {
        "prediction_id": made["id"], "key": key, "file_id": upload["id"], "owner": owner,
        "name": model, "version_id": made["version"], "output": name,
    }  # fmt: skip


@pytest.fixture(scope="module")
def document(served: Served, known: Mapping[str, str]) -> dict[str, Any]:
    """As it is published, with ids that there are and one that there is not."""
    document: dict[str, Any] = served.client.get("/v1/openapi.json").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for each in operation.get("parameters", []):
                if each["in"] == "path":
                    place = "output" if path.startswith("/outputs") else each["name"]
                    good = known.get(each["name"] if each["name"] == "key" else place)
                    each["schema"] = {"enum": _choices(good, method)}
    return document


def _choices(good: str | None, method: str) -> list[str]:
    """A file that is removed is not there for the tests that follow."""
    return ["nothing"] if good is None or method == "delete" else [good, good, "nothing"]


def test_every_operation_is_described(served: Served) -> None:
    assert served.client.get("/v1/openapi.json").json() == DOCUMENT
    assert sorted(f"{method.upper()} {path}" for method, path in OPERATIONS) == sorted(CONTRACT)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_an_operation_says_what_it_takes_and_answers(method: str, path: str) -> None:
    operation = OPERATIONS[method, path]
    assert operation["summary"].endswith(".")
    for status, response in operation["responses"].items():
        assert response["description"].endswith("."), status
    names = {(each["in"], each["name"]) for each in operation.get("parameters", ())}
    assert {("path", name) for name in re.findall(r"{(\w+)}", path)} <= names
    statuses = {"400", "403", "421"}
    statuses |= set() if method == "get" else {"413", "415"}
    statuses |= {"401"} if "security" in operation else set()
    assert statuses <= set(operation["responses"])


def test_every_operation_that_a_token_protects_says_so(served: Served) -> None:
    for (method, path), operation in OPERATIONS.items():
        answer = served.client.request(method, path, headers={"Authorization": "Bearer wrong"})
        assert (answer.status_code == 401) == ("security" in operation), (method, path)


def test_every_schema_that_is_named_is_there() -> None:
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(DOCUMENT)))
    schemas = DOCUMENT["components"]["schemas"]
    assert named <= set(schemas)
    assert {name for name, schema in schemas.items() if not schema.get("description")} <= {
        "HTTPValidationError", "ValidationError"
    }  # fmt: skip


def test_a_server_error_and_a_wrong_shape_are_noticed(served: Served) -> None:
    """The checks do check: a document with a lie in it does not pass."""
    document = served.client.get("/v1/openapi.json").json()
    document["components"]["schemas"]["Account"]["properties"]["name"] = {"type": "integer"}
    case = schemathesis.openapi.from_dict(document)["/v1/account"]["GET"].Case()
    with pytest.raises(BaseExceptionGroup):
        _ask(served, case)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_answers_are_as_described(
    served: Served, document: dict[str, Any], method: str, path: str
) -> None:
    operation = schemathesis.openapi.from_dict(document)[path][method.upper()]

    @seed(0)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    @given(case=operation.as_strategy())
    def ask(case: schemathesis.Case[Any]) -> None:
        _ask(served, case)

    ask()


def _ask(served: Served, case: schemathesis.Case[Any]) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    case.call_and_validate(base_url=served.url, headers=headers, checks=CHECKS, timeout=20)
