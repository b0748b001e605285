"""Measure the server under load, and the gain of batching: `python -m bench.server`.

50 clients poll a prediction twice a second, as the official clients do, with an idle and then with
a full engine. They poll at different times, and then all at the same time, which is the worst case.
Then some predictions are generated one after another, and many at once.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx2

T = TypeVar("T")

PORT = 5099
URL = f"http://127.0.0.1:{PORT}"
VERSION = "7a76a8258b23fae65c5a22debb8841d1d7e816b75c2f24218cd2bd8573787906"
POLLERS, POLL_S, POLLED_S = 50, 0.5, 10.0
ALONE, TOGETHER, CLIP_S = 4, 32, 8


@contextmanager
def server() -> Iterator[None]:
    """Run `toccata serve` in a separate process until the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "toccata", "serve", "--port", str(PORT)]
        command += ["--stand-in", "mini", "--data-dir", folder, "--drain-s", "0"]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603
        try:
            yield
        finally:
            process.terminate()
            process.wait()


async def create(client: httpx2.AsyncClient, duration_s: int, seed: int) -> str:
    """Create a prediction, and return its id."""
    inputs = {"prompt": "lo-fi beat, 80 bpm", "duration": duration_s, "seed": seed}
    body = {"version": VERSION, "input": inputs}
    response = await client.post("/v1/predictions", json=body)
    return str(response.raise_for_status().json()["id"])


async def end(client: httpx2.AsyncClient, prediction_id: str) -> dict[str, Any]:
    """Poll a prediction until it has ended, and return it."""
    while True:
        response = await client.get(f"/v1/predictions/{prediction_id}")
        now: dict[str, Any] = response.json()
        if now["status"] not in ("starting", "processing"):
            return now
        await asyncio.sleep(POLL_S)


async def poll(
    client: httpx2.AsyncClient, prediction_id: str, wait_s: float, until_s: float
) -> list[float]:
    """Poll until a time, after a first wait, and return the milliseconds of each response."""
    took_ms = []
    await asyncio.sleep(wait_s)
    while time.monotonic() < until_s:
        began_s = time.monotonic()
        await client.get(f"/v1/predictions/{prediction_id}")
        took_ms.append(1000 * (time.monotonic() - began_s))
        await asyncio.sleep(POLL_S)
    return took_ms


async def polled(
    client: httpx2.AsyncClient, prediction_id: str, *, spread: bool
) -> dict[str, float]:
    until_s = time.monotonic() + POLLED_S
    waits_s = [spread * POLL_S * n / POLLERS for n in range(POLLERS)]
    polls = [poll(client, prediction_id, wait_s, until_s) for wait_s in waits_s]
    took_ms = [one for many in await asyncio.gather(*polls) for one in many]
    return {"p50_ms": quantile(took_ms, 50), "p99_ms": quantile(took_ms, 99)}


async def polled_both(client: httpx2.AsyncClient, prediction_id: str) -> dict[str, Any]:
    return {
        "spread": await polled(client, prediction_id, spread=True),
        "at_once": await polled(client, prediction_id, spread=False),
    }


def quantile(values: list[float], percent: int) -> float:
    return round(statistics.quantiles(values, n=100, method="inclusive")[percent - 1], 2)


def waits(predictions: list[dict[str, Any]], name: str) -> dict[str, float]:
    """Return percentiles in seconds; `first_audio_s` includes the time in the queue."""
    before = "queue_time" if name == "first_audio_s" else None
    waited_s = [one["metrics"][name] + one["metrics"].get(before, 0.0) for one in predictions]
    return {"p50_s": quantile(waited_s, 50), "p99_s": quantile(waited_s, 99)}


async def timed(work: Callable[[], Awaitable[T]]) -> tuple[float, T]:
    began_s = time.monotonic()
    done = await work()
    return time.monotonic() - began_s, done


async def measure() -> dict[str, Any]:
    async with httpx2.AsyncClient(base_url=URL, timeout=120) as client:
        await ready(client)
        first = await create(client, 2, 0)
        await end(client, first)
        idle = await polled_both(client, first)
        busy_ids = [await create(client, 30, seed) for seed in range(8)]
        busy = await polled_both(client, busy_ids[0])
        for prediction_id in busy_ids:
            await client.post(f"/v1/predictions/{prediction_id}/cancel")

        async def one_by_one() -> None:
            for seed in range(ALONE):
                await end(client, await create(client, CLIP_S, seed))

        async def at_once() -> list[dict[str, Any]]:
            ids = [await create(client, CLIP_S, seed) for seed in range(TOGETHER)]
            return await asyncio.gather(*(end(client, one) for one in ids))

        alone_s = (await timed(one_by_one))[0] / ALONE
        took_s, predictions = await timed(at_once)
        together_s = took_s / TOGETHER
    return {
        "get_beside_idle_engine": idle,
        "get_beside_full_engine": busy,
        "s_per_clip_alone": round(alone_s, 2),
        "s_per_clip_of_32": round(together_s, 2),
        "faster": round(alone_s / together_s, 2),
        "waits_of_32": {name: waits(predictions, name) for name in ("queue_time", "first_audio_s")},
    }


async def ready(client: httpx2.AsyncClient) -> None:
    for _ in range(600):
        try:
            if (await client.get("/readyz")).status_code == 200:
                return
        except httpx2.TransportError:
            pass
        await asyncio.sleep(0.1)
    raise SystemExit("the server did not become ready")


def main() -> None:
    with server():
        print(json.dumps(asyncio.run(measure()), indent=2))


if __name__ == "__main__":
    main()
