"""Who may do what, and what is shown to whom: tokens, models, files, operations."""

from __future__ import annotations

import hashlib
import json
import socket
import sqlite3
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import SEED_VERSION, Serve, Served
from toccata.errors import CheckpointError, InputError
from toccata.server.api.auth import Tokens
from toccata.server.api.replicate.file_routes import _plain_name
from toccata.server.app import check_start
from toccata.server.config import ServerSettings, read_server
from toccata.server.views import Address
from toccata.settings import Settings

TOKEN = "t0ken-of-mine"


@pytest.fixture
def served(serve: Serve) -> Served:
    return serve()


@pytest.mark.parametrize("form", ["Bearer {}", "Token {}", "bearer {}", "TOKEN   {}"])
def test_a_token_opens_the_api_in_any_form(serve: Serve, form: str) -> None:
    served = serve(token=TOKEN)
    headers = {"Authorization": form.format(TOKEN)}
    assert served.client.get("/v1/account", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("header", "detail"),
    [
        (None, "You did not pass an authentication token"),
        ("Basic abc", "You did not pass an authentication token"),
        ("Bearer wrong", "You did not pass a valid authentication token"),
        (f"Bearer {TOKEN}x", "You did not pass a valid authentication token"),
    ],
)
def test_without_a_good_token_the_api_is_closed(
    serve: Serve, header: str | None, detail: str
) -> None:
    served = serve(token=TOKEN)
    served.client.headers.pop("authorization")
    headers = {"Authorization": header} if header else {}
    for path in ("/v1/predictions", "/v1/account", "/v1/files", "/v1/v1/models"):
        answer = served.client.get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["detail"] == detail
    body = {"version": SEED_VERSION, "input": {"prompt": "x"}}
    assert served.client.post("/v1/predictions", json=body, headers=headers).status_code == 401


def test_what_a_prediction_made_needs_no_token(serve: Serve) -> None:
    served = serve(token=TOKEN)
    ended = served.until(served.create()["id"])
    served.client.headers.pop("authorization")
    for url in (ended["output"], ended["urls"]["stream"], ended["urls"]["audio"]):
        assert served.client.get(url).status_code == 200


def test_tokens_are_kept_as_hashes() -> None:
    tokens = Tokens([TOKEN, "another"])
    assert TOKEN not in repr(vars(tokens))
    assert tokens.refusal(f"Bearer {TOKEN}") is None
    assert tokens.refusal("Bearer another") is None


def test_a_token_is_nowhere_on_disk(serve: Serve, tmp_path: Path) -> None:
    served = serve(token=TOKEN)
    served.until(served.create(auth=TOKEN)["id"])
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()


def test_an_open_server_stays_on_this_machine() -> None:
    with pytest.raises(InputError, match="no-auth"):
        ServerSettings(host="192.0.2.1")
    assert ServerSettings(host="192.0.2.1", no_auth=True).no_auth
    assert ServerSettings(host="192.0.2.1", tokens=("a",)).tokens == ("a",)


def test_settings_come_from_flags_variables_and_files(tmp_path: Path) -> None:
    listed = tmp_path / "tokens"
    listed.write_text("one\n\ntwo\n")
    environment = {"TOCCATA_TOKEN": "three", "TOCCATA_TOKEN_FILE": str(listed),
                   "TOCCATA_PORT": "7000", "TOCCATA_RETENTION_S": "60"}  # fmt: skip
    settings = read_server(Settings(), ["four"], environment, port=8000, host="192.0.2.1")
    assert settings.tokens == ("four", "three", "one", "two")
    assert (settings.port, settings.retention_s) == (8000, 60.0)


def test_models_to_be_loaded_at_start_come_by_flag_and_by_variable() -> None:
    machine = Settings(model="melody")
    assert read_server(machine, environment={}, models="mini, large").machine.also == (
        "mini",
        "large",
    )
    settings = read_server(machine, environment={"TOCCATA_MODELS": "mini,melody"}, stand_in="mini")
    assert settings.models == ("melody", "mini")


def test_every_setting_has_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("token")
    texts = {
        "port": "1",
        "queue": "1",
        "retention_s": "1",
        "drain_s": "1",
        "max_duration_s": "1",
        "host": "localhost",
    }
    files = dict.fromkeys(("token_file", "tls_cert", "tls_key"), str(file))
    addresses = dict.fromkeys(("public_url", "upload_url"), "https://there")
    given = {"output_urls": "url", **texts, **files, **addresses}
    names = {field.name for field in fields(ServerSettings)} - {"machine", "cog_webhook_token"}
    names = names - {"tokens"} | {"token", "token_file", "models"}
    environment = {f"TOCCATA_{name.upper()}": given.get(name, "1") for name in names}
    settings = read_server(Settings(), environment=environment)
    assert (settings.page, settings.machine.also, settings.tokens) == (True, ("1",), ("1", "token"))


def test_a_server_does_not_start_without_its_models(tmp_path: Path) -> None:
    lacking = ServerSettings(data_dir=tmp_path, machine=Settings(also=("melody",)))
    with pytest.raises(CheckpointError, match="toccata models pull melody"):
        check_start(lacking)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("TOCCATA_PORT", "99999"), ("TOCCATA_PORT", "http"), ("TOCCATA_TLS_CERT", "/nowhere"),
        ("TOCCATA_PUBLIC_URL", "example.org"), ("TOCCATA_DRAIN_S", "soon"),
        ("TOCCATA_OUTPUT_URLS", "both"), ("TOCCATA_TOKEN_FILE", "/nowhere"),
        ("TOCCATA_QUEUE", "-1"), ("TOCCATA_NO_AUTH", "perhaps"), ("TOCCATA_QUEUE", "0"),
        ("TOCCATA_MAX_CONNECTIONS", "0"), ("TOCCATA_PUBLIC_URL", "http://h/a/../b"),
        ("TOCCATA_PUBLIC_URL", "http://h/./b"), ("TOCCATA_PUBLIC_URL", "http://h//b"),
        ("TOCCATA_PUBLIC_URL", "http://h:99999"), ("TOCCATA_PUBLIC_URL", "http://[h"),
    ],
)  # fmt: skip
def test_wrong_settings_are_named(name: str, text: str) -> None:
    with pytest.raises(InputError):
        read_server(Settings(), environment={name: text})


def test_models_and_versions(served: Served) -> None:
    model = served.client.get("/v1/models/meta/musicgen").json()
    assert (model["owner"], model["name"]) == ("meta", "musicgen")
    listed = served.client.get("/v1/models/meta/musicgen/versions").json()["results"]
    assert SEED_VERSION in [version["id"] for version in listed]
    url = f"/v1/models/joehoover/musicgen/versions/{SEED_VERSION}"
    inputs = served.client.get(url).json()["openapi_schema"]["components"]["schemas"]["Input"]
    assert list(inputs["properties"])[:2] == ["model_version", "prompt"]
    assert served.client.get("/v1/models").json()["next"] is None
    found = served.client.request("QUERY", "/v1/models", content=b'"musicgen"').json()
    assert found["results"]
    assert served.client.get("/v1/models/meta/other").status_code == 404
    assert served.client.get(f"/v1/models/meta/musicgen/versions/{'0' * 64}").status_code == 404


def test_what_this_server_has_not_is_empty_and_not_an_accident(served: Served) -> None:
    page: dict[str, Any] = {"next": None, "previous": None, "results": []}
    for path in ("/v1/collections", "/v1/deployments", "/v1/trainings"):
        assert served.client.get(path).json() == page
    assert served.client.get("/v1/trainings/x").status_code == 404
    version = "/v1/models/meta/musicgen/versions/x"
    for path in ("/v1/models", "/v1/deployments", f"{version}/trainings", "/v1/trainings"):
        refused = served.client.post(path, json={})
        assert refused.status_code == 404
        assert "This server does not offer" in refused.json()["detail"]
    assert isinstance(served.client.get("/v1/hardware").json(), list)
    assert served.client.get("/v1/nothing").status_code == 404
    assert served.client.delete("/v1/account").status_code == 405


def test_a_file_from_upload_to_deletion(served: Served) -> None:
    content = b"RIFF" + bytes(100)
    answer = served.client.post(
        "/v1/files", files={"content": ("a/../b.wav", content, "audio/wav")},
        data={"metadata": '{"a": 1}'},
    )  # fmt: skip
    assert answer.status_code == 201
    file = answer.json()
    assert file["name"] == "b.wav"
    assert file["size"] == len(content)
    assert file["metadata"] == {"a": 1}
    assert file["etag"] == hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert file["checksums"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert served.client.get(file["urls"]["get"]).json() == file
    assert served.client.get("/v1/files").json()["results"] == [file]
    assert served.client.get(f"/v1/files/{file['id']}/download").content == content
    deleted = served.client.delete(f"/v1/files/{file['id']}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert served.client.get(file["urls"]["get"]).status_code == 404


def test_metadata_in_the_forms_that_clients_send(served: Served) -> None:
    content = ("x", b"1", "audio/wav")
    for files, data in (
        ({"content": content, "metadata": ("blob", b'{"a": {"b": "1"}}', "application/json")}, {}),
        ({"content": content}, {"metadata[a][b]": "1"}),
        ({"content": content}, {"metadata": '{"a": {"b": "1"}}'}),
    ):
        answer = served.client.post("/v1/files", files=files, data=data)
        assert answer.json()["metadata"] == {"a": {"b": "1"}}


@pytest.mark.parametrize("name", ["metadata[{}]", "metadata[x][{}]"])
def test_metadata_has_a_limit_in_every_form(served: Served, name: str) -> None:
    fields = {name.format(number): "x" * 60_000 for number in range(2)}
    files = {"content": ("x", b"1", "audio/wav")}
    answer = served.client.post("/v1/files", files=files, data=fields)
    assert answer.status_code == 400
    assert "at most 8192 bytes" in answer.json()["detail"]
    assert served.client.get("/v1/files").json()["results"] == []


def test_metadata_has_few_values(served: Served) -> None:
    files = {"content": ("x", b"1", "audio/wav")}
    for count, status in ((250, 201), (260, 400)):
        data = {"metadata": '{"a": [' + ",".join(["[]"] * count) + "]}"}
        answer = served.client.post("/v1/files", files=files, data=data)
        assert answer.status_code == status, answer.text
    assert "at most 256 values" in answer.json()["detail"]


def test_damaged_uploads_are_refused(served: Served) -> None:
    multipart = {"Content-Type": "multipart/form-data; boundary=x"}
    for content, headers in ((b"--x\r\nnonsense", multipart), (b"", {})):
        answer = served.client.post("/v1/files", content=content, headers=headers)
        assert answer.status_code in (400, 422)
    wrong = [("content", ("x", b"1")), ("metadata", ("blob", b"{"))]
    assert served.client.post("/v1/files", files=wrong).status_code == 400


def test_a_file_that_is_too_large_is_refused_before_it_is_read(served: Served) -> None:
    head = f"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: {500 * 2**20}"
    request = f"{head}\r\n\r\n--x"
    with socket.create_connection(("127.0.0.1", served.client.base_url.port or 0)) as connection:
        connection.sendall(request.encode())
        assert b" 413 " in connection.recv(100)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("a\\b.wav", "b.wav"),
        ("a\nb\0.wav", "ab.wav"),
        ("..", "upload"),
    ],
)
def test_names_of_files_are_only_names(given: str, kept: str) -> None:
    assert _plain_name(given) == kept


def test_uploaded_audio_is_read_from_the_storage(served: Served) -> None:
    file = served.client.post("/v1/files", files={"content": ("a.wav", b"RIFF")}).json()
    for url in (file["urls"]["get"], f"https://elsewhere.example/v1/files/{file['id']}"):
        ended = served.until(served.create(input_audio=url)["id"])
        assert ended["status"] == "succeeded", ended["error"]


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/a.wav", "http://localhost/a.wav", "file:///etc/passwd", "/etc/passwd",
     "http://169.254.169.254/latest/meta-data", "data:audio/wav;base64,@@", "data:nonsense"],
)  # fmt: skip
def test_audio_from_where_it_must_not_come_fails_the_prediction(served: Served, url: str) -> None:
    answer = served.client.post(
        "/v1/predictions", json={"version": SEED_VERSION, "input": {"input_audio": url}}
    )
    if answer.status_code != 422:
        failed = served.until(answer.json()["id"])
        assert failed["status"] == "failed"
        assert failed["error"]
    assert served.until(served.create()["id"])["status"] == "succeeded"


def test_old_predictions_are_wiped_but_known(serve: Serve) -> None:
    from toccata.server.predictions.retention import tidy

    served = serve(retention_s=60.0)
    ended = served.until(served.create()["id"])
    parts = served.app.state.parts
    tidy(parts.settings, parts.store.blocking, parts.storage.blocking, now=2e9 + 10)
    wiped = served.get(ended["id"])
    assert wiped["data_removed"]
    assert (wiped["output"], wiped["input"], wiped["logs"]) == (None, {}, "")
    assert served.client.get(ended["output"]).status_code == 404


def test_alive_ready_and_counted(served: Served) -> None:
    assert served.client.get("/healthz").json() == {"status": "ok"}
    served.until(served.create()["id"])
    assert served.client.get("/readyz").status_code == 200
    text = served.client.get("/metrics").text
    assert 'toccata_predictions_total{status="succeeded"} 1.0' in text
    assert 'toccata_predictions_now{state="active"}' in text


def test_counts_are_for_those_with_a_token(serve: Serve) -> None:
    served = serve(tokens=(TOKEN,))
    assert served.client.get("/metrics").status_code == 401
    given = {"Authorization": f"Bearer {TOKEN}"}
    assert served.client.get("/metrics", headers=given).status_code == 200


def test_every_answer_has_an_id_and_a_line_in_the_log(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="toccata.server.requests")
    ended = served.until(served.create()["id"])
    request_id = served.client.get(ended["output"]).headers["x-request-id"]
    ends = time.monotonic() + 5
    # The line is written when all has been sent.
    while not (found := [r.message for r in caplog.records if request_id in r.message]):
        assert time.monotonic() < ends
        time.sleep(0.01)
    line = json.loads(found[0])
    assert (line["method"], line["status"], line["path"]) == ("GET", 200, "/outputs/.../out.wav")


def test_the_database_survives_in_wal_mode(served: Served, tmp_path: Path) -> None:
    served.until(served.create()["id"])
    with sqlite3.connect(tmp_path / "data" / "server.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("SELECT status FROM predictions").fetchall() == [("succeeded",)]
    connection.close()


def test_addresses_are_public_ones_if_there_are_any(serve: Serve) -> None:
    served = serve(public_url="https://music.example.org/")
    made = served.create()
    assert made["urls"]["get"] == f"https://music.example.org/v1/predictions/{made['id']}"
    assert Address("https://x").prediction("a") == "https://x/v1/predictions/a"


def test_the_http_process_has_no_torch() -> None:
    code = "import sys, toccata.server.app; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=False)  # noqa: S603
    assert done.returncode == 0


def test_a_server_does_not_start_without_its_lora(tmp_path: Path) -> None:
    machine = Settings(lora=(f"{tmp_path / 'style'}:0.5",))
    with pytest.raises(CheckpointError, match="style: there is no such LoRA"):
        check_start(ServerSettings(machine=machine, data_dir=tmp_path))
