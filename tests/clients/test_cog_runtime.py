"""The real runtimes of Cog containers and our Cog API, asked the same: do they say the same?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
import pytest

from tests.clients.cog_differences import DIFFERENCES, Difference
from tests.clients.cog_questions import QUESTIONS, Said, conversation, until
from tests.clients.cog_runtimes import NEW, OLD, both
from tests.server.conftest import serving
from toccata.server.config import ServerSettings
from toccata.settings import Settings

Clients = Mapping[str, httpx2.Client]
Conversations = Mapping[str, Mapping[str, Said]]  # by version, and "ours"; by question

with_versions = pytest.mark.parametrize("version", [OLD, NEW])


@pytest.fixture(scope="module")
def runtimes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    """The containers' servers, by version."""
    with both(tmp_path_factory.mktemp("cog")) as clients:
        yield clients


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """Our server, with one slot, as a container has."""
    settings = ServerSettings(
        page=False, machine=Settings(slots=1), data_dir=tmp_path_factory.mktemp("ours"), drain_s=0.0
    )
    with serving(settings) as served:
        until(served.client, "READY")
        yield served.client


@pytest.fixture(scope="module")
def said(runtimes: Clients, ours: httpx2.Client) -> Conversations:
    """What each says to each of the questions."""
    clients = {**runtimes, "ours": ours}
    return {name: conversation(client) for name, client in clients.items()}


@with_versions
@pytest.mark.parametrize("question", QUESTIONS)
def test_both_say_the_same(said: Conversations, question: str, version: str) -> None:
    unexplained = {
        place: (theirs, own)
        for place, theirs, own in _different(said, version, question)
        if not any(each.explains(question, place, theirs, own) for each in DIFFERENCES[version])
    }
    assert unexplained == {}


@with_versions
def test_no_difference_is_listed_that_is_gone(said: Conversations, version: str) -> None:
    found = [
        (question, *each) for question in QUESTIONS for each in _different(said, version, question)
    ]

    def is_found(listed: Difference) -> bool:
        return any(listed.explains(*each) for each in found)

    assert [each for each in DIFFERENCES[version] if not is_found(each)] == []


def test_the_old_one_publishes_the_same_inputs_and_paths(
    runtimes: Clients, ours: httpx2.Client
) -> None:
    theirs, own = (_published(client) for client in (runtimes[OLD], ours))
    asked = theirs["schemas"].pop("PredictionRequest")["properties"]
    own_asked = own["schemas"].pop("PredictionRequest")["properties"]
    assert asked.keys() - own_asked.keys() == {"context"}  # it is not heeded
    assert own_asked.keys() - asked.keys() == set()
    assert theirs == own


def _different(said: Conversations, version: str, question: str) -> Iterator[tuple[str, Any, Any]]:
    theirs, own = said[version][question], said["ours"][question]
    for place in sorted(theirs.keys() | own.keys()):
        pair = theirs.get(place, "absent"), own.get(place, "absent")
        if repr(pair[0]) != repr(pair[1]):  # 1 is not 1.0 in JSON, nor is it true
            yield place, *pair


def _published(client: httpx2.Client) -> dict[str, Any]:
    """What a document says that programs rely on: all but words."""
    document = client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    return {
        "openapi": document["openapi"],
        "info": document["info"],
        "routes": {path: sorted(each) for path, each in document["paths"].items()},
        "ids": {
            each["operationId"] for path in document["paths"].values() for each in path.values()
        },
        "schemas": {name: _wordless(each) for name, each in schemas.items()},
    }


def _wordless(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    return {
        name: _wordless(each)
        for name, each in schema.items()
        if name != "description" or isinstance(each, dict)
    }
