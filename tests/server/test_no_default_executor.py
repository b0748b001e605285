"""No request waits for asyncio's default executor, whose few threads anybody may fill."""

from __future__ import annotations

import ast
import asyncio
import base64
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

import toccata.server
from tests.server.conftest import SEED_VERSION, TIMEOUT_S, Serve, Served, serving
from toccata.server.api.dependencies import LONG_BODY_BYTES
from toccata.server.config import ServerSettings

SOURCES = sorted(Path(toccata.server.__file__).parent.rglob("*.py"))


def uses_default_executor(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module == "asyncio" and any(one.name == "to_thread" for one in node.names)
    if isinstance(node, ast.Attribute):
        return node.attr == "to_thread" and ast.unparse(node.value) == "asyncio"
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    if node.func.attr in ("getaddrinfo", "getnameinfo"):
        return ast.unparse(node.func.value) != "socket"
    return node.func.attr == "run_in_executor" and ast.unparse(node.args[0]) == "None"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_no_module_uses_the_default_executor(source: Path) -> None:
    tree = ast.parse(source.read_text(encoding="utf-8"))
    assert [node.lineno for node in ast.walk(tree) if uses_default_executor(node)] == []  # type: ignore[attr-defined]


@contextmanager
def blocked_default_executor(served: Served) -> Iterator[None]:
    """Every thread of the default executor waits until the end of the block."""
    free, busy = threading.Event(), threading.Event()
    executor = ThreadPoolExecutor(1)

    def block() -> None:
        busy.set()
        free.wait()

    def begin() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(executor)
        loop.run_in_executor(None, block)

    server = served.program.servers[0]
    server.get_loop().call_soon_threadsafe(begin)
    assert busy.wait(TIMEOUT_S)
    try:
        yield
    finally:
        free.set()


def long_audio() -> str:
    """A data URI in a body that is not read in the event loop."""
    return "data:audio/wav;base64," + base64.b64encode(bytes(LONG_BODY_BYTES)).decode()


def test_everything_answers_while_the_default_executor_is_blocked(serve: Serve) -> None:
    served = serve(output_urls="data")
    with blocked_default_executor(served):
        made = served.create()
        ended = served.until(made["id"])
        assert ended["status"] == "succeeded"
        assert ended["output"].startswith("data:audio/")
        assert made["id"] in [
            one["id"] for one in served.client.get("/v1/predictions").json()["results"]
        ]
        given = {"prompt": "piano", "duration": 1, "input_audio": long_audio()}
        body = {"version": SEED_VERSION, "input": given}
        large = served.client.post("/v1/predictions", json=body)
        assert large.status_code == 201, large.text
        assert served.until(large.json()["id"])["status"] == "succeeded"


def test_files_go_in_and_out_while_the_default_executor_is_blocked(serve: Serve) -> None:
    served, music = serve(), bytes(2 * 2**20)
    with blocked_default_executor(served):
        answer = served.client.post("/v1/files", files={"content": ("a.wav", music, "audio/wav")})
        assert answer.status_code == 201
        file = f"/v1/files/{answer.json()['id']}"
        assert served.client.get(f"{file}/download").content == music
        assert served.client.get("/v1/files").json()["results"][0]["size"] == len(music)
        made = served.create(input_audio=f"{served.url}{file}")
        output = served.until(made["id"])["output"]
        assert served.client.get(output).status_code == 200
        assert served.client.delete(file).status_code == 204
        assert served.client.get("/readyz").status_code == 200


def test_a_stopped_server_leaves_no_thread(tmp_path: Path) -> None:
    shared = "fsspecIO"  # of fsspec, for all storages of a process
    before = {thread for thread in threading.enumerate() if thread.name != shared}
    settings = ServerSettings(data_dir=tmp_path / "data", drain_s=0.0, page=False)
    with serving(settings, None) as served:
        assert served.client.get("/v1/predictions").status_code == 200
    ends = time.monotonic() + TIMEOUT_S
    while left := {thread for thread in threading.enumerate() if thread.name != shared} - before:
        assert time.monotonic() < ends, left
        time.sleep(0.02)
