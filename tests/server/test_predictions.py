"""Predictions over HTTP: created, waited for, listed, canceled, and never lost."""

from __future__ import annotations

import base64
import io
import os
import signal
from pathlib import Path

import pytest
import soundfile

from tests.server.conftest import SEED_VERSION, Serve, Served, serving
from toccata.server.config import ServerSettings
from toccata.settings import Settings

KEYS = {
    "id", "model", "version", "status", "input", "output", "error", "logs", "metrics", "created_at",
    "started_at", "completed_at", "data_removed", "source", "urls",
}  # fmt: skip


@pytest.fixture
def served(serve: Serve) -> Served:
    return serve()


def audio_of(data: bytes) -> tuple[float, int]:
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        return file.frames / file.samplerate, file.channels


def test_a_prediction_from_beginning_to_end(served: Served) -> None:
    made = served.create(seed=7)
    assert made.keys() == KEYS
    assert made["status"] == "starting"
    assert made["output"] is None
    assert made["input"] == {"prompt": "piano", "duration": 1, "seed": 7}
    ended = served.until(made["id"])
    assert ended["status"] == "succeeded"
    assert "Using seed 7\n" in ended["logs"]
    assert ended["metrics"]["total_time"] >= ended["metrics"]["predict_time"] >= 0
    assert ended["created_at"] <= ended["started_at"] <= ended["completed_at"]
    assert ended["output"].startswith(f"{served.url}/outputs/")
    assert ended["output"].endswith("/out.wav")
    answer = served.client.get(ended["output"])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "audio/wav"
    assert audio_of(answer.content) == (1.0, 1)


def test_both_prefixes_and_every_way_to_name_a_model(served: Served) -> None:
    body = {"input": {"prompt": "piano", "duration": 1}}
    for path, version in (
        ("/v1/v1/predictions", SEED_VERSION),
        ("/v1/predictions", f"meta/musicgen:{SEED_VERSION}"),
        ("/v1/predictions", "meta/musicgen"),
        ("/v1/models/facebookresearch/musicgen/predictions", None),
    ):
        answer = served.client.post(
            path, json={**body, **({"version": version} if version else {})}
        )
        assert answer.status_code == 201, answer.text
        assert served.until(answer.json()["id"])["status"] in ("succeeded", "failed")


def test_a_wait_ends_with_the_output_as_a_data_uri(served: Served) -> None:
    made = served.create({"Prefer": "wait"})
    assert made["status"] == "succeeded"
    head, _, encoded = made["output"].partition(",")
    assert head == "data:audio/wav;base64"
    assert audio_of(base64.b64decode(encoded)) == (1.0, 1)
    assert served.get(made["id"])["output"] == made["output"]
    listed = served.client.get("/v1/predictions").json()["results"]
    assert listed[0]["output"].startswith("http://")


def test_base64_may_have_line_breaks_and_nothing_else(served: Served) -> None:
    """The audio comes back as it was sent: the worker's encode-decode copies it."""
    content = bytes(range(256)) * 3
    for encoded in (base64.encodebytes(content).decode(), base64.b64encode(content).decode()):
        for uri in (f"data:audio/wav;base64,{encoded}", f"data:audio/wav;base64,\r\n {encoded}\t"):
            made = served.create(model_version="encode-decode", input_audio=uri)
            ended = served.until(made["id"])
            assert ended["status"] == "succeeded", ended["error"]
            assert served.client.get(ended["output"]).content == content
    damaged = f"data:audio/wav;base64,{encoded[:100]}*{encoded[100:]}"
    body = {"version": SEED_VERSION, "input": {"input_audio": damaged}}
    answer = served.client.post("/v1/predictions", json=body)
    assert answer.status_code == 422
    assert "its base64 is damaged" in answer.json()["detail"]


def test_a_wait_that_is_over_says_starting_and_where_to_look(served: Served) -> None:
    body = {"version": SEED_VERSION, "input": {"prompt": "slow 3", "duration": 1}}
    answer = served.client.post("/v1/predictions", json=body, headers={"Prefer": "wait=1"})
    made = answer.json()
    assert made["status"] == "starting"
    assert made["output"] is None
    assert answer.headers["preference-applied"] == "wait=1"
    assert answer.headers["location"] == made["urls"]["get"]
    assert served.until(made["id"], "processing")["output"] is None
    assert served.until(made["id"])["output"].startswith("data:")


def test_progress_is_in_the_logs_as_clients_read_it(served: Served) -> None:
    ended = served.until(served.create(prompt="slow 0.2")["id"])
    assert ended["logs"].splitlines()[-1].startswith("100%|##########| 4/4 [")


def test_cancel_ends_it_and_frees_its_slot(serve: Serve) -> None:
    served = serve(slots=1)
    made = served.create(prompt="slow 60")
    served.until(made["id"], "processing")
    waiting = served.create()
    canceled = served.client.post(f"/v1/predictions/{made['id']}/cancel").json()
    assert canceled["status"] == "canceled"
    assert canceled["output"] is None
    assert canceled["completed_at"] is not None
    assert served.until(waiting["id"])["status"] == "succeeded"
    again = served.client.post(f"/v1/predictions/{made['id']}/cancel")
    assert (again.status_code, again.json()["status"]) == (200, "canceled")


def test_one_that_waits_is_canceled_at_once(serve: Serve) -> None:
    served = serve(slots=1)
    served.until(served.create(prompt="slow 60")["id"], "processing")
    waiting = served.create()
    assert waiting["status"] == "starting"
    answer = served.client.post(f"/v1/predictions/{waiting['id']}/cancel", content=b"")
    assert answer.json()["status"] == "canceled"


def test_what_goes_wrong_is_told(served: Served) -> None:
    failed = served.until(served.create(prompt="fail")["id"])
    assert (failed["status"], failed["error"]) == ("failed", "prompt: it says fail")


def test_inputs_that_do_not_go_together_fail_the_prediction(served: Served) -> None:
    failed = served.until(served.create(prompt="", continuation=True)["id"])
    assert failed["status"] == "failed"
    assert "continuation" in failed["error"]


def test_wrong_requests_are_refused_with_their_reasons(served: Served) -> None:
    for body, status, text in (
        ({"input": {}}, 422, "version is required"),
        ({"version": SEED_VERSION}, 422, "input is required"),
        ({"version": "f" * 64, "input": {}}, 422, "Invalid version or not permitted"),
        ({"version": SEED_VERSION, "input": {"output_format": "aiff"}}, 422, "output_format"),
        ({"version": SEED_VERSION, "input": {}, "webhook": "ftp://x"}, 422, "webhook"),
        ({"version": SEED_VERSION, "input": {}, "webhook": "http://example.org",
          "webhook_events_filter": ["never"]}, 422, "webhook_events_filter"),
    ):  # fmt: skip
        answer = served.client.post("/v1/predictions", json=body)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert text in answer.text
    assert served.client.post("/v1/predictions", content=b"{").status_code == 400
    assert served.client.post("/v1/predictions", json=[]).status_code == 400
    assert served.client.get("/v1/predictions/nobody").status_code == 404
    assert served.client.get("/v1/predictions/nobody").json()["status"] == 404


def test_unknown_inputs_are_neither_kept_nor_shown(served: Served) -> None:
    made = served.create(auth="r8_secret", baseUrl="x")
    assert "r8_secret" not in str(served.until(made["id"]))


def test_pages_go_on_where_the_last_one_ended(served: Served) -> None:
    ids = [served.create()["id"] for _ in range(103)]
    first = served.client.get("/v1/predictions").json()
    assert [one["id"] for one in first["results"]] == ids[:2:-1]
    assert first["next"].startswith(served.url)
    second = served.client.get(first["next"]).json()
    assert [one["id"] for one in second["results"]] == ids[2::-1]
    assert second["next"] is None


def test_a_deadline_aborts_what_waits_and_cancels_what_runs(serve: Serve) -> None:
    served = serve(slots=1)
    running = served.create({"Cancel-After": "6s"}, prompt="slow 60")
    waiting = served.create({"Cancel-After": "5"})
    assert running["deadline"] > running["created_at"]
    assert served.until(waiting["id"])["status"] == "aborted"
    assert served.until(running["id"])["status"] == "canceled"


def test_a_retried_creation_is_the_same_prediction(served: Served) -> None:
    first, other = served.create(), served.create()
    retried = served.create({"x-stainless-retry-count": "1"})
    assert retried["id"] == other["id"] != first["id"]


def test_a_retry_at_another_address_is_no_retry(served: Served) -> None:
    """Each address has a version of its own, and the body does not say which."""
    body = {"input": {"prompt": "piano", "duration": 1, "seed": 3}}
    first, again, other = (
        served.client.post(f"/v1/models/{name}/predictions", json=body, headers=headers).json()
        for name, headers in (
            ("toccata/musicgen", {}),
            ("toccata/musicgen", {"x-stainless-retry-count": "1"}),
            ("meta/musicgen", {"x-stainless-retry-count": "1"}),
        )
    )
    assert again["id"] == first["id"]
    assert other["id"] != first["id"]
    assert other["model"] == "meta/musicgen"


def test_a_full_queue_is_said(serve: Serve) -> None:
    served = serve(slots=1, queue=1)
    running = served.create(prompt="slow 60")["id"]
    served.until(running, "processing")

    def limits() -> list[str]:
        headers = served.client.get(f"/v1/predictions/{running}").headers
        return [headers["ratelimit-remaining"], headers["ratelimit-reset"]]

    assert limits() == ["1", "1"]
    served.create()
    assert limits() == ["0", "1"]
    assert "ratelimit-remaining" not in served.client.get("/healthz").headers
    body = {"version": SEED_VERSION, "input": {"prompt": "one too many"}}
    answer = served.client.post("/v1/predictions", json=body)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert answer.headers["ratelimit-remaining"] == "0"


def test_a_killed_worker_is_replaced_and_its_predictions_made_again(serve: Serve) -> None:
    served = serve(slots=2)
    both = [served.create(prompt="slow 1", seed=seed) for seed in (1, 2)]
    for one in both:
        served.until(one["id"], "processing")
    pid = served.predictions.supervisor.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    for one in both:
        ended = served.until(one["id"])
        assert ended["status"] == "succeeded"
        assert ended["logs"].count("Using seed") == 1
    alone = served.until(served.create(seed=1)["id"])
    first = served.get(both[0]["id"])
    assert served.client.get(first["output"]).content == served.client.get(alone["output"]).content


def test_a_prediction_that_kills_every_worker_fails(served: Served) -> None:
    failed = served.until(served.create(prompt="crash 99")["id"])
    assert failed["status"] == "failed"
    assert "died 3 times" in failed["error"]
    assert served.until(served.create()["id"])["status"] == "succeeded"


def test_a_killed_server_goes_on_where_it_was(tmp_path: Path) -> None:
    settings = ServerSettings(
        machine=Settings(slots=1), data_dir=tmp_path / "data", drain_s=0.0, page=False
    )
    with serving(settings) as served:
        running = served.create(prompt="slow 30", seed=3)
        served.until(running["id"], "processing")
        waiting = served.create(seed=4)
    with serving(settings) as served:
        assert served.get(waiting["id"])["status"] == "starting"
        served.client.post(f"/v1/predictions/{running['id']}/cancel")
        assert served.until(waiting["id"])["status"] == "succeeded"


def test_files_are_given_in_ranges(served: Served) -> None:
    url = served.until(served.create()["id"])["output"]
    whole = served.client.get(url).content
    for header, part in (
        ("bytes=0-9", whole[:10]), ("bytes=10-", whole[10:]), ("bytes=-5", whole[-5:]),
    ):  # fmt: skip
        answer = served.client.get(url, headers={"Range": header})
        assert (answer.status_code, answer.content) == (206, part)
    assert served.client.get(url, headers={"Range": "bytes=999999999-"}).status_code == 416


def test_addresses_of_others_are_not_to_be_guessed(served: Served) -> None:
    ended = served.until(served.create()["id"])
    key = ended["output"].split("/")[-2]
    assert len(key) >= 40
    assert served.client.get(f"/outputs/{key[:-1]}/out.wav").status_code == 404
    assert served.client.get(f"/outputs/{key}/..%2f..%2fserver.db").status_code == 404


def test_a_stand_in_is_served_for_what_is_not_here_and_says_so(serve: Serve) -> None:
    served = serve(stand_in="mini")
    ended = served.until(served.create(model_version="melody")["id"])
    assert (ended["metrics"]["model"], ended["metrics"]["stand_in"]) == ("mini", "mini")
    assert "\nmelody is not on this machine: mini stands in for it\n" in ended["logs"]


def test_nothing_stands_in_for_what_is_here(serve: Serve) -> None:
    served = serve(stand_in="mini")
    body = {"version": "toccata/musicgen", "input": {"prompt": "piano", "duration": 1}}
    ended = served.until(served.client.post("/v1/predictions", json=body).json()["id"])
    assert ended["metrics"]["model"] == "mini"
    assert "stand_in" not in ended["metrics"]
    assert "stands in" not in ended["logs"]


def test_unknown_versions_are_taken_for_the_latest_if_that_is_wanted(serve: Serve) -> None:
    served = serve(accept_any_version=True)
    body = {"version": "f" * 64, "input": {"prompt": "piano", "duration": 1}}
    answer = served.client.post("/v1/predictions", json=body)
    assert answer.status_code == 201
    latest = served.client.get("/v1/models/meta/musicgen").json()["latest_version"]
    assert answer.json()["version"] == latest["id"]
