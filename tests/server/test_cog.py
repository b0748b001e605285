"""The API of a Cog container: what its clients send at the root, and what they rely on."""

from __future__ import annotations

import base64
import io
import json
import signal
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx2
import pytest
import soundfile

from tests.server.cog_client import ASYNC, KEYS, begin, body, health, ready, run, wait_until
from tests.server.conftest import SEED_VERSION, Serve, Served
from toccata.server.versions import VERSIONS, openapi
from toccata.server.worker import supervisor

CAPACITY = {
    "detail": "Already running a prediction",
    "error": "At capacity - all prediction slots busy",
    "status": "failed",
}


@pytest.fixture
def served(serve: Serve) -> Served:
    return ready(serve(slots=1))


def problems(answer: httpx2.Response) -> list[tuple[list[Any], str]]:
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/json"
    return [(each["loc"], each["type"]) for each in answer.json()["detail"]]


def test_the_index_names_what_there_is(served: Served) -> None:
    index = served.client.get("/").json()
    assert index["cog_version"] == "0.16.12"
    assert index["predictions_cancel_url"] == "/predictions/{prediction_id}/cancel"
    assert set(index) == {
        "cog_version", "docs_url", "openapi_url", "shutdown_url", "healthcheck_url",
        "predictions_url", "predictions_idempotent_url", "predictions_cancel_url",
    }  # fmt: skip
    for name in ("docs_url", "openapi_url", "healthcheck_url"):
        assert served.client.get(index[name]).status_code == 200


def test_the_document_is_that_of_the_seed_version(served: Served) -> None:
    assert served.client.get("/openapi.json").json() == openapi(VERSIONS[SEED_VERSION])


def test_health_says_how_the_worker_is(served: Served) -> None:
    setup = served.client.get("/health-check").json()["setup"]
    assert setup["status"] == "succeeded"
    assert setup["started_at"] <= setup["completed_at"]
    begin(served)
    assert health(served) == "BUSY"
    for state, status in ((supervisor.STARTING, "STARTING"), (supervisor.STOPPED, "DEFUNCT")):
        served.predictions.supervisor.state = state
        assert health(served) == status


def test_a_new_worker_is_set_up_anew(served: Served) -> None:
    before = served.client.get("/health-check").json()["setup"]
    run(served, "crash 1")
    after = served.client.get("/health-check").json()["setup"]
    assert after["started_at"] > before["completed_at"]


def test_a_prediction_is_answered_when_it_has_ended(served: Served) -> None:
    made = run(served)
    assert made.keys() == KEYS
    assert (made["status"], made["error"], made["version"]) == ("succeeded", None, None)
    assert made["id"]
    assert made["created_at"] <= made["started_at"] <= made["completed_at"]
    assert made["metrics"].keys() == {"predict_time"}
    assert "Using seed" in made["logs"]
    head, _, encoded = made["output"].partition(",")
    assert head == "data:audio/wav;base64"
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(encoded)))
    assert len(samples) == rate


def test_warnings_are_in_the_logs(served: Served) -> None:
    assert "warning: input_audio: it says warn\n" in run(served, "warn")["logs"]


def test_the_input_is_shown_with_all_defaults(served: Served) -> None:
    shown = run(served)["input"]
    fields = VERSIONS[SEED_VERSION].schema.fields
    assert shown == {each.name: each.default for each in fields} | body()["input"]


def test_one_that_is_not_waited_for(served: Served) -> None:
    made = begin(served, "slow 0.2")
    assert made.keys() == KEYS
    assert made["status"] == "processing"
    assert [made[name] for name in ("output", "completed_at", "metrics")] == [None, None, None]
    assert served.until(made["id"])["status"] == "succeeded"


def test_only_this_very_preference_counts(served: Served) -> None:
    for prefer in ("wait=1", "respond-async; wait=1", "RESPOND-ASYNC"):
        answer = served.client.post("/predictions", json=body(), headers={"Prefer": prefer})
        assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")


def test_the_hosted_api_knows_it_too(served: Served) -> None:
    made = run(served)
    shown = served.get(made["id"])
    assert (shown["version"], shown["output"]) == (SEED_VERSION, made["output"])


def test_outputs_are_addresses_if_the_operator_says_so(serve: Serve) -> None:
    served = ready(serve(output_urls="url"))
    assert run(served)["output"].startswith(f"{served.url}/outputs/")


def test_what_goes_wrong_is_told_with_200(served: Served) -> None:
    made = run(served, "fail")
    assert (made["status"], made["error"]) == ("failed", "prompt: it says fail")
    assert made["output"] is None
    given = {"prompt": "x", "input_audio": "http://127.0.0.1:1/a.wav"}
    answer = served.client.post("/predictions", json={"input": given})
    assert (answer.status_code, answer.json()["status"]) == (200, "failed")
    assert "http://127.0.0.1:1/a.wav" in answer.json()["error"]


def test_none_waits_for_a_slot(served: Served) -> None:
    first = begin(served)
    for answer in (
        served.client.post("/predictions", json=body()),
        served.client.put("/predictions/another", json=body()),
    ):
        assert (answer.status_code, answer.json()) == (409, CAPACITY)
    served.client.post(f"/predictions/{first['id']}/cancel")
    wait_until(lambda: health(served) == "READY")
    assert run(served)["status"] == "succeeded"


def test_as_many_run_as_there_are_slots(serve: Serve) -> None:
    served = ready(serve(slots=2))
    begin(served)
    assert health(served) == "READY"
    begin(served)
    assert health(served) == "BUSY"


def test_nothing_runs_before_the_worker_is_ready(served: Served) -> None:
    served.predictions.supervisor.state = supervisor.STARTING
    answer = served.client.post("/predictions", json=body())
    assert answer.status_code == 503
    assert answer.json().keys() == {"error", "status"}
    assert answer.json()["error"].startswith("Setup has not finished yet")
    assert answer.json()["status"] == "failed"


def test_a_server_that_takes_nothing_says_so(serve: Serve) -> None:
    served = ready(serve(queue=0))
    answer = served.client.post("/predictions", json=body())
    assert (answer.status_code, answer.json()["status"]) == (503, "failed")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"duration": "x"}, ("duration", "type_error.integer")),
        ({"duration": None}, ("duration", "type_error.none.not_allowed")),
        ({"output_format": "aiff"}, ("output_format", "type_error.enum")),
        ({"input_audio": "notaurl"}, ("input_audio", "value_error")),
    ],
)
def test_bad_inputs_are_named(
    served: Served, given: dict[str, Any], expected: tuple[str, str]
) -> None:
    answer = served.client.post("/predictions", json={"input": given})
    assert problems(answer) == [(["body", "input", expected[0]], expected[1])]
    assert all(each["msg"] for each in answer.json()["detail"])


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"webhook": "ftp://x"}, ("webhook", "value_error.url")),
        ({"webhook": 7}, ("webhook", "value_error.url")),
        ({"output_file_prefix": "here/"}, ("output_file_prefix", "value_error.url")),
        ({"webhook_events_filter": ["end"]}, ("webhook_events_filter", "type_error.enum")),
        ({"webhook_events_filter": "start"}, ("webhook_events_filter", "type_error.enum")),
        ({"id": "../../etc"}, ("id", "value_error.str.regex")),
        ({"id": ".."}, ("id", "value_error.str.regex")),
        ({"id": "x" * 65}, ("id", "value_error.str.regex")),
    ],
)
def test_what_is_bad_beside_the_input(
    served: Served, more: dict[str, Any], expected: tuple[str, str]
) -> None:
    answer = served.client.post("/predictions", json=body(**more))
    assert problems(answer) == [(["body", expected[0]], expected[1])]


def test_everything_wrong_is_said_at_once(served: Served) -> None:
    wrong = {"input": {"duration": "x", "top_k": "y"}, "webhook": "ftp://x", "id": "/"}
    places = [place for place, _ in problems(served.client.post("/predictions", json=wrong))]
    assert places == [
        ["body", "input", "duration"], ["body", "input", "top_k"], ["body", "id"],
        ["body", "webhook"],
    ]  # fmt: skip


def test_bodies_that_are_no_objects(served: Served) -> None:
    answer = served.client.post("/predictions", content=b'{"input":')
    assert problems(answer) == [(["body", 9], "json_invalid")]
    assert problems(served.client.post("/predictions", content=b"\xff")) == [
        (["body", 0], "json_invalid")
    ]
    assert problems(served.client.post("/predictions", json=[])) == [(["body"], "type_error.dict")]


def test_values_are_coerced_and_unknown_ones_ignored(served: Served) -> None:
    given = {"prompt": 123, "duration": "1", "top_k": 7.9, "continuation": "no", "auth": "secret"}
    answer = served.client.post("/predictions", json={"input": given, "unknown": 1})
    shown = answer.json()["input"]
    assert [shown[name] for name in ("prompt", "duration", "top_k", "continuation")] == [
        "123", 1, 7, False,
    ]  # fmt: skip
    assert "secret" not in answer.text


@pytest.mark.parametrize("content", [b"", b"null", b"{}", b'{"input": null}'])
def test_no_body_is_an_empty_input(served: Served, content: bytes) -> None:
    answer = served.client.post("/predictions", content=content)
    assert answer.status_code == 200
    assert answer.json()["input"]["duration"] == 8


def test_put_runs_once(served: Served) -> None:
    path = "/predictions/mine.1"
    first = served.client.put(path, json=body("slow 1"), headers=ASYNC)
    assert (first.status_code, first.json()["status"]) == (202, "processing")
    assert first.json()["id"] == "mine.1"
    again = served.client.put(path, json=body("another"))
    assert (again.status_code, again.json()["status"]) == (202, "processing")
    assert again.json()["input"]["prompt"] == "slow 1"
    served.until("mine.1")
    ended = served.client.put(path, json=body("another"), headers=ASYNC)
    assert (ended.status_code, ended.json()["status"]) == (200, "succeeded")
    assert ended.json()["output"].startswith("data:audio/wav")
    assert ended.json()["logs"].count("Using seed") == 1


def test_put_waits_like_post(served: Served) -> None:
    answer = served.client.put("/predictions/mine", json=body(id=None))
    assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")
    assert answer.json()["id"] == "mine"


def test_put_wants_the_same_id_twice(served: Served) -> None:
    answer = served.client.put("/predictions/mine", json=body(id="yours"))
    assert problems(answer) == [(["body", "id"], "value_error")]
    assert answer.json()["detail"][0]["msg"] == (
        "prediction ID must match the ID supplied in the URL"
    )
    assert served.client.put("/predictions/mine", json=body(id="mine")).status_code == 200
    assert problems(served.client.put("/predictions/a~b", json=body()))


def test_post_takes_an_id_but_only_once(served: Served) -> None:
    assert run(served, id="mine")["id"] == "mine"
    answer = served.client.post("/predictions", json=body(id="mine"))
    assert answer.status_code == 409
    assert answer.json().keys() == CAPACITY.keys()


def test_cancel(served: Served) -> None:
    made = begin(served)
    path = f"/predictions/{made['id']}/cancel"
    answer = served.client.post(path)
    assert (answer.status_code, answer.json()) == (200, {})
    assert served.get(made["id"])["status"] == "canceled"
    for gone in (path, "/predictions/nobody/cancel"):
        answer = served.client.post(gone)
        assert (answer.status_code, answer.json()) == (404, {})


def test_nobody_is_told_of_a_prediction_by_get(served: Served) -> None:
    made = run(served)
    for path in ("/predictions", f"/predictions/{made['id']}"):
        assert served.client.get(path).status_code == 405


def test_streams_are_refused(served: Served) -> None:
    headers = {"Accept": "text/event-stream"}
    answer = served.client.post("/predictions", json=body(), headers=headers)
    assert answer.status_code == 406
    assert answer.json()["status"] == "failed"


def test_a_client_that_goes_away_cancels(served: Served) -> None:
    connection = HTTPConnection(served.url.removeprefix("http://"))
    connection.request("PUT", "/predictions/mine", json.dumps(body("slow 60")))
    served.until("mine", "processing")
    connection.close()
    assert served.until("mine")["status"] == "canceled"
    wait_until(lambda: health(served) == "READY")


def test_one_that_is_not_waited_for_goes_on_without_its_client(served: Served) -> None:
    with httpx2.Client(base_url=served.url) as client:
        client.put("/predictions/mine", json=body("slow 1"), headers=ASYNC)
    assert served.until("mine")["status"] == "succeeded"


def test_tokens_close_the_root_too(serve: Serve) -> None:
    served = ready(serve(token="t0ken"))
    assert run(served, id="mine")["status"] == "succeeded"
    served.client.headers.pop("authorization")
    for answer in (
        served.client.post("/predictions", json=body()),
        served.client.put("/predictions/mine", json=body()),
        served.client.post("/predictions/mine/cancel"),
    ):
        assert answer.status_code == 401
    assert served.client.get("/").status_code == 200


def test_shutdown_is_for_this_machine_and_no_page(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[int] = []
    monkeypatch.setattr(signal, "raise_signal", raised.append)
    closed = serve(token="t0ken", data_dir=tmp_path / "closed")
    assert closed.client.post("/shutdown").status_code == 403
    served = serve(data_dir=tmp_path / "open", shutdown_route=True)
    page = {"Origin": "https://example.org"}
    assert served.client.post("/shutdown", headers=page).status_code == 403
    forwarded = {"X-Forwarded-For": "203.0.113.9"}
    assert served.client.post("/shutdown", headers=forwarded).status_code == 403
    assert not raised
    assert served.client.post("/shutdown").status_code == 200
    assert raised == [signal.SIGTERM]
