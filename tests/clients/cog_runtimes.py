"""The real runtimes of Cog containers, as processes, each with the same predictor."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from tests.clients.cog_questions import until
from tests.clients.conftest import CLIENTS, PROGRAMS, TIMEOUT_S
from tests.clients.live import free_port

OLD, NEW = "0.16.12", "0.23.1"
COG_YAML = 'predict: "cog_predictor.py:Predictor"\n'

Document = Mapping[str, Any]


@contextmanager
def both(folder: Path) -> Iterator[Mapping[str, httpx2.Client]]:
    """A client of each, by version. The new one does not derive a schema from a predictor: the
    build of a container writes it there. It is given the one that the old one derives.
    """
    with running(OLD, folder / OLD) as old:
        published: Document = old.get("/openapi.json").json()
        with running(NEW, folder / NEW, published) as new:
            yield {OLD: old, NEW: new}


@contextmanager
def running(
    version: str, folder: Path, published: Document | None = None
) -> Iterator[httpx2.Client]:
    """A client of a container's server, which is ready. `published`: what a build wrote there."""
    port = free_port()
    _fill(folder, published)
    with (
        _process(version, folder, port),
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=TIMEOUT_S) as client,
    ):
        until(client, "READY")
        yield client


def _fill(folder: Path, published: Document | None) -> None:
    (folder / ".cog").mkdir(parents=True)
    shutil.copy(PROGRAMS / "cog_predictor.py", folder)
    (folder / "cog.yaml").write_text(COG_YAML, encoding="utf-8")
    if published is not None:
        (folder / ".cog" / "openapi_schema.json").write_text(json.dumps(published))


@contextmanager
def _process(version: str, folder: Path, port: int) -> Iterator[None]:
    programs = CLIENTS / f"cog-{version}" / "bin"
    assert programs.exists(), "the runtime of Cog is not installed: run scripts/setup-clients"
    command = [str(programs / "python"), "-m", "cog.server.http", "--host", "127.0.0.1"]
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",  # the new one starts its worker as "python"
        "PORT": str(port),
        "TMPDIR": str(folder),
        "COG_PREDICT_TYPE_STUB": "cog_predictor.py:Predictor",
    }
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(  # noqa: S603
            command, cwd=folder, env=environment, stdout=log, stderr=log
        ) as process,
    ):
        try:
            yield
        finally:
            process.terminate()
            process.wait(TIMEOUT_S)
