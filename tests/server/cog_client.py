"""What a client of the Cog API does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.server.conftest import TIMEOUT_S, Served

KEYS = {
    "input", "output", "id", "version", "created_at", "started_at", "completed_at", "logs", "error",
    "status", "metrics",
}  # fmt: skip
ASYNC = {"Prefer": "respond-async"}


def wait_until(done: Callable[[], object]) -> None:
    ends = time.monotonic() + TIMEOUT_S
    while not done():
        assert time.monotonic() < ends
        time.sleep(0.02)


def ready(served: Served) -> Served:
    wait_until(lambda: health(served) == "READY")
    return served


def health(served: Served) -> str:
    answer = served.client.get("/health-check")
    assert answer.status_code == 200
    return str(answer.json()["status"])


def body(prompt: str = "piano", **more: Any) -> dict[str, Any]:
    return {"input": {"prompt": prompt, "duration": 1}, **more}


def run(served: Served, prompt: str = "piano", **more: Any) -> dict[str, Any]:
    """A prediction from beginning to end."""
    answer = served.client.post("/predictions", json=body(prompt, **more))
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def begin(served: Served, prompt: str = "slow 60", **more: Any) -> dict[str, Any]:
    answer = served.client.post("/predictions", json=body(prompt, **more), headers=ASYNC)
    assert answer.status_code == 202, answer.text
    made: dict[str, Any] = answer.json()
    return made
