"""The database that --database names: the server on PostgreSQL, and what is said of a wrong one."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import pytest

from tests.server import fake_worker
from tests.server.conftest import TIMEOUT_S, Serve, serving
from tests.server.postgres import Postgres
from toccata.errors import InputError, MissingExtraError
from toccata.server.app import check_start, create_app
from toccata.server.config import ServerSettings
from toccata.server.storage.repository import Repository
from toccata.settings import Settings

SECRET = "t0psecret"


def refusal(url: str) -> str:
    """What is said of the setting when the server starts."""
    with pytest.raises(InputError) as caught:
        Repository(url)
    assert caught.value.field == "database"
    assert SECRET not in str(caught.value)
    # A traceback would show what caused it.
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


def test_the_server_on_postgresql(serve: Serve, database: str, tmp_path: Path) -> None:
    served = serve(database=database)
    made = served.create(prompt="slow 0.2 世界", seed=2**53)
    ended = served.until(made["id"])
    assert (ended["status"], ended["input"]["prompt"]) == ("succeeded", "slow 0.2 世界")
    assert f"Using seed {2**53}\n" in ended["logs"]
    assert "100%" in ended["logs"]
    assert served.client.get(ended["output"]).status_code == 200
    assert served.until(served.create(prompt="fail")["id"])["error"] == "prompt: it says fail"
    assert len(served.client.get("/v1/predictions").json()["results"]) == 2
    assert served.client.get("/v1/predictions/%00").status_code == 400
    files = {"content": ("a.wav", b"RIFF", "audio/wav")}
    uploaded = served.client.post("/v1/files", files=files).json()
    assert served.client.get(f"{uploaded['urls']['get']}/download").content == b"RIFF"
    assert not list((tmp_path / "data").glob("*.db*"))


def test_a_restart_on_postgresql_takes_up_what_waits(database: str, tmp_path: Path) -> None:
    settings = ServerSettings(
        page=False,
        machine=Settings(slots=1),
        data_dir=tmp_path / "data",
        database=database,
        drain_s=0.0,
    )
    with serving(settings) as served:
        running = served.create(prompt="slow 0.5", seed=3)
        served.until(running["id"], "processing")
        waiting = served.create(seed=3)
    with serving(settings) as served:
        outputs = [served.until(one["id"])["output"] for one in (running, waiting)]
        first, second = (served.client.get(output).content for output in outputs)
        assert first == second


def test_a_database_that_goes_away_for_a_while(
    serve: Serve, database: str, cluster: Postgres
) -> None:
    served = serve(database=database, slots=1)
    running = served.create(prompt="slow 1")
    served.until(running["id"], "processing")
    waiting = served.create()
    cluster.stop()
    try:
        answer = served.client.get(f"/v1/predictions/{running['id']}")
        assert answer.status_code == 503
        assert "database" in answer.json()["detail"]
        assert served.client.get("/healthz").status_code == 200
        ends = time.monotonic() + TIMEOUT_S
        while served.predictions.counts()["waiting"]:  # for the worker to be done with the first
            assert time.monotonic() < ends
            time.sleep(0.02)
    finally:
        cluster.start()
    for one in (running, waiting):
        assert served.until(one["id"])["status"] == "succeeded"


def test_two_servers_on_one_database(serve: Serve, database: str, tmp_path: Path) -> None:
    serve(database=database)
    other = ServerSettings(page=False, data_dir=tmp_path / "other", database=database)
    app = create_app(other, fake_worker.run)

    async def start() -> None:
        async with app.router.lifespan_context(app):
            pass

    with pytest.raises(InputError, match="another server uses it"):
        asyncio.run(start())
    with pytest.raises(InputError, match="another server uses it"):
        check_start(other)


def test_a_wrong_password_is_not_told(cluster: Postgres) -> None:
    message = refusal(cluster.url(password=SECRET))
    assert "password authentication failed" in message
    assert f"127.0.0.1:{cluster.port}" in message


def test_a_database_that_is_not_there(cluster: Postgres, tmp_path: Path) -> None:
    assert '"nothing" does not exist' in refusal(cluster.url("nothing"))
    message = refusal(f"postgresql://user:{SECRET}@127.0.0.1:1/name")
    assert "postgresql+psycopg://127.0.0.1:1/name" in message
    assert "refused" in message
    assert "check that it runs" in message
    missing = f"sqlite:///{tmp_path / 'missing' / 'server.db'}"
    assert "its folder" in refusal(missing)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:top@{SECRET}@127.0.0.1:1/name",
        f"postgresql://user:pass/{SECRET}@127.0.0.1:1/name",
        f"postgresql://user:1/{SECRET}@127.0.0.1",
        f"postgresql://user:x@127.0.0.1:{SECRET}/name",
        f"postgresql://127.0.0.1:1/name?password={SECRET}",
        f"postgresql://127.0.0.1:1/name?options={SECRET}&nonsense={SECRET}",
        f"mysql://user:{SECRET}@127.0.0.1/name",
        SECRET,
        "",
    ],
)
def test_an_address_that_is_none_is_not_told_either(url: str) -> None:
    assert refusal(url).startswith("database: ")


def test_an_extra_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"-m pip install .*\[postgres\]"):
        Repository("postgresql://127.0.0.1/name")


def test_it_is_said_before_anything_starts(tmp_path: Path) -> None:
    check_start(ServerSettings(data_dir=tmp_path))
    with pytest.raises(InputError, match="database"):
        check_start(ServerSettings(data_dir=tmp_path, database="postgres://127.0.0.1:1/name"))
