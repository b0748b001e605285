"""The server under load: how soon it answers while the engine works, and what batching gains.

Run as `python -m bench.server`. 50 clients poll one prediction each, as the official ones do, first
beside an idle engine and then beside a full one. Then some predictions are made one after another,
and many at once.
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
from typing import Any

import httpx2

PORT = 5099
URL = f"http://127.0.0.1:{PORT}"
VERSION = "7a76a8258b23fae65c5a22debb8841d1d7e816b75c2f24218cd2bd8573787906"
POLLERS, POLL_S = 50, 0.5
ALONE, TOGETHER, CLIP_S = 4, 32, 8


@contextmanager
def server() -> Iterator[None]:
    """`toccata serve` in a process of its own, until the block ends."""
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
    given = {"prompt": "lo-fi beat, 80 bpm", "duration": duration_s, "seed": seed}
    body = {"version": VERSION, "input": given}
    answer = await client.post("/v1/predictions", json=body)
    return str(answer.raise_for_status().json()["id"])


async def end(client: httpx2.AsyncClient, prediction_id: str) -> dict[str, Any]:
    while True:
        answer = await client.get(f"/v1/predictions/{prediction_id}")
        now: dict[str, Any] = answer.json()
        if now["status"] not in ("starting", "processing"):
            return now
        await asyncio.sleep(POLL_S)


async def poll(client: httpx2.AsyncClient, prediction_id: str, until_s: float) -> list[float]:
    """How long each answer took, in milliseconds."""
    took_ms = []
    while time.monotonic() < until_s:
        began_s = time.monotonic()
        await client.get(f"/v1/predictions/{prediction_id}")
        took_ms.append(1000 * (time.monotonic() - began_s))
        await asyncio.sleep(POLL_S)
    return took_ms


async def polled(
    client: httpx2.AsyncClient, prediction_id: str, seconds: float
) -> dict[str, float]:
    until_s = time.monotonic() + seconds
    polls = [poll(client, prediction_id, until_s) for _ in range(POLLERS)]
    took_ms = sorted(one for many in await asyncio.gather(*polls) for one in many)
    cuts = statistics.quantiles(took_ms, n=100)
    return {"p50_ms": round(cuts[49], 1), "p99_ms": round(cuts[98], 1), "answers": len(took_ms)}


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    began_s = time.monotonic()
    await work()
    return time.monotonic() - began_s


async def measure() -> dict[str, Any]:
    async with httpx2.AsyncClient(base_url=URL, timeout=120) as client:
        await ready(client)
        first = await create(client, 2, 0)
        await end(client, first)
        idle = await polled(client, first, 10)
        busy_ids = [await create(client, 30, seed) for seed in range(8)]
        busy = await polled(client, busy_ids[0], 10)
        for prediction_id in busy_ids:
            await client.post(f"/v1/predictions/{prediction_id}/cancel")

        async def one_by_one() -> None:
            for seed in range(ALONE):
                await end(client, await create(client, CLIP_S, seed))

        async def at_once() -> None:
            ids = [await create(client, CLIP_S, seed) for seed in range(TOGETHER)]
            await asyncio.gather(*(end(client, one) for one in ids))

        alone_s = await timed(one_by_one) / ALONE
        together_s = await timed(at_once) / TOGETHER
    return {
        "get_beside_idle_engine": idle,
        "get_beside_full_engine": busy,
        "s_per_clip_alone": round(alone_s, 2),
        "s_per_clip_of_32": round(together_s, 2),
        "faster": round(alone_s / together_s, 2),
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
