"""Several variations of one prediction: made at once, heard and kept one by one."""

from __future__ import annotations

import base64
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.server.conftest import Serve, Served
from toccata.server.predictions.retention import tidy
from toccata.server.storage.blobs import StorageError


def create(served: Served, headers: dict[str, str] | None = None, **given: Any) -> dict[str, Any]:
    """A prediction of our own version."""
    body = {
        "version": "toccata/musicgen",
        "input": {"prompt": "piano", "duration": 1, "seed": 7, **given},
    }
    answer = served.client.post("/v1/predictions", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def alone(served: Served, seed: int) -> bytes:
    """What a prediction with that seed alone makes."""
    output = served.until(create(served, seed=seed)["id"])["output"]
    assert isinstance(output, str)
    return served.client.get(output).content


def stored(folder: Path) -> list[Path]:
    return [path for path in (folder / "data" / "files" / "outputs").rglob("*") if path.is_file()]


def test_the_output_is_a_list_in_the_order_of_the_seeds(serve: Serve) -> None:
    served = serve()
    ended = served.until(create(served, count=3)["id"])
    assert ended["input"]["count"] == 3
    assert [uri.rpartition("/")[2] for uri in ended["output"]] == [
        "out-1.wav", "out-2.wav", "out-3.wav",
    ]  # fmt: skip
    assert ended["metrics"]["seeds"] == [7, 8, 9]
    assert "Using seeds 7, 8, 9\n" in ended["logs"]
    for seed, uri in zip((7, 8, 9), ended["output"], strict=True):
        assert served.client.get(uri).content == alone(served, seed)
    audio = ended["urls"]["audio"]
    second = served.client.get(audio, params={"variation": 2})
    assert second.content == served.client.get(ended["output"][1]).content
    assert served.client.get(audio).content == served.client.get(ended["output"][0]).content
    for number in (0, 4):
        assert served.client.get(audio, params={"variation": number}).status_code == 404
    events = served.client.get(ended["urls"]["stream"]).text
    places = [events.index(f"event: output\nid: {line}") for line in _ids(events, "output")]
    assert len(places) == 3
    assert all(f"data: {uri}\n" in events for uri in ended["output"])


def _ids(events: str, name: str) -> list[str]:
    blocks = [block.splitlines() for block in events.split("\n\n") if block]
    return [lines[1][4:] for lines in blocks if lines[0] == f"event: {name}"]


def test_one_is_no_list(serve: Serve) -> None:
    served = serve()
    ended = served.until(create(served, count=1)["id"])
    assert ended["output"].endswith("/out.wav")


def test_they_are_data_uris_for_who_waits(serve: Serve) -> None:
    served = serve()
    made = create(served, {"Prefer": "wait"}, count=2)
    music = [base64.b64decode(uri.partition("base64,")[2]) for uri in made["output"]]
    assert music == [alone(served, 7), alone(served, 8)]
    assert served.get(made["id"])["output"] == made["output"]


@pytest.mark.parametrize("count", [0, 9, "2", 1.5])
def test_how_many_there_may_be(serve: Serve, count: object) -> None:
    body = {"version": "toccata/musicgen", "input": {"prompt": "piano", "count": count}}
    answer = serve().client.post("/v1/predictions", json=body)
    assert answer.status_code == 422
    assert answer.json()["invalid_fields"][0]["field"] == "input.count"


def test_the_hosted_versions_know_no_count(serve: Serve) -> None:
    served = serve()
    made = served.create(count=3)
    assert "count" not in made["input"]
    assert isinstance(served.until(made["id"])["output"], str)


def test_each_is_heard_while_it_is_made(serve: Serve) -> None:
    served = serve()
    made = create(served, count=2, prompt="slow 1")

    def hear(more: dict[str, int]) -> bytes:
        query = httpx2.QueryParams({"form": "wav", **more})
        return served.client.get(made["urls"]["audio"], params=query).content

    with ThreadPoolExecutor(2) as threads:
        heard = list(threads.map(hear, ({}, {"variation": 2})))
    assert [len(one) for one in heard] == [44 + 20 * 8000 * 2] * 2
    assert set(heard[0][44:]) == {0}
    assert set(heard[1][44:]) != {0}


def test_a_cancel_leaves_nothing_of_any(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    made = create(served, count=3, prompt="slow 60")
    served.until(made["id"], "processing")
    canceled = served.client.post(f"/v1/predictions/{made['id']}/cancel").json()
    assert (canceled["status"], canceled["output"]) == ("canceled", None)
    assert served.until(create(served, count=4)["id"])["status"] == "succeeded"
    assert len(stored(tmp_path)) == 4


def test_all_are_made_again_when_the_worker_dies(serve: Serve) -> None:
    served = serve()
    made = create(served, count=2, prompt="slow 1")
    served.until(made["id"], "processing")
    pid = served.predictions.supervisor.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    ended = served.until(made["id"])
    assert ended["status"] == "succeeded"
    music = [served.client.get(uri).content for uri in ended["output"]]
    assert music == [alone(served, 7), alone(served, 8)]


def test_they_are_wiped_together(serve: Serve, tmp_path: Path) -> None:
    served = serve(retention_s=1000.0)
    ended = served.until(create(served, count=3)["id"])
    assert len(stored(tmp_path)) == 3
    parts = served.app.state.parts
    tidy(parts.settings, parts.store.blocking, parts.storage.blocking, time.time() + 2000)
    assert stored(tmp_path) == []
    gone = served.get(ended["id"])
    assert (gone["output"], gone["data_removed"]) == (None, True)
    assert all(served.client.get(uri).status_code == 404 for uri in ended["output"])


def test_what_cannot_be_kept_whole_is_kept_later(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    storage = served.app.state.parts.storage.blocking
    put, kept = storage.put, list[list[Path]]()

    def fail_first(name: str, source: Path) -> None:
        if name.endswith("out-3.wav") and not kept:
            kept.append(stored(tmp_path))
            raise StorageError
        put(name, source)

    monkeypatch.setattr(storage, "put", fail_first)
    ended = served.until(create(served, count=3)["id"])
    assert len(kept[0]) == 2
    assert ended["status"] == "succeeded"
    assert len(stored(tmp_path)) == 3


def test_they_take_as_many_slots(serve: Serve) -> None:
    served = serve(slots=4)
    many = create(served, count=3, prompt="slow 60")
    served.until(many["id"], "processing")
    assert served.until(create(served)["id"])["status"] == "succeeded"
    two = create(served, count=2)
    time.sleep(0.3)
    assert served.get(two["id"])["status"] == "starting"
    served.client.post(f"/v1/predictions/{many['id']}/cancel")
    assert served.until(two["id"])["status"] == "succeeded"


def test_more_than_there_are_slots_are_made_all_the_same(serve: Serve) -> None:
    served = serve(slots=1)
    assert len(served.until(create(served, count=8)["id"])["output"]) == 8
