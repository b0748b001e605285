"""What does not come in: text that cannot be stored, requests of other websites, other hosts."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from starlette.requests import HTTPConnection
from starlette.types import Scope

from tests.server.cog_client import ready
from tests.server.conftest import SEED_VERSION, TIMEOUT_S, Serve, Served, serving
from toccata.server.api import dependencies
from toccata.server.api.cog.cog_requests import VERSION, read_request
from toccata.server.api.replicate import model_routes
from toccata.server.api.replicate.file_routes import MAX_FIELD_BYTES
from toccata.server.api.request_guard import RequestGuard
from toccata.server.config import ServerSettings
from toccata.server.storage.repository import Repository, RepositoryError, StoredFile
from toccata.server.strict_json import MAX_DEPTH, JsonError, encodable, read_json
from toccata.settings import Settings

TOKEN = "t0ken-of-mine"
JSON = {"Content-Type": "application/json"}
LISTS = ("/v1/predictions", "/v1/files", "/v1/models", "/v1/collections")
# As they stand in JSON.
WRONG = ("\"\\ud800\"", '"a\\u0000b"', "NaN", "Infinity", "-Infinity", "1e400", "1" * 400,
         "[" * 100 + "]" * 100, '{"\\udfff": 1}', '{"a": [{"b": "\\ud800"}]}')  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The same for all that does not need its own: what one test sends must not harm the next."""
    settings = ServerSettings(
        machine=Settings(slots=4), data_dir=tmp_path_factory.mktemp("border"), drain_s=0.0,
        page=False, queue=10_000,
    )  # fmt: skip
    with serving(settings) as served:
        yield ready(served)


def lists_answer(served: Served) -> None:
    for path in LISTS:
        assert served.client.get(path).status_code == 200, path


@pytest.mark.parametrize("text", [*WRONG, "\\ud800", "{", "", "nul", "[" * 100_000, '"' + "\x01"])
def test_json_that_cannot_be_stored_is_refused(text: str) -> None:
    for form in (text, text.encode()):
        with pytest.raises(JsonError):
            read_json(form)


def test_json_that_can_be_stored_is_read() -> None:
    value = {"a": [1, -2.5, 1e300, 10**300, None, True, "é\U0001f3b5"], "b": {}}
    assert read_json(json.dumps(value)) == value
    assert read_json(b"\xef\xbb\xbf" + json.dumps(value, ensure_ascii=False).encode()) == value
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert read_json(deep) == json.loads(deep)
    for damaged in (b"\xff", b'"\xed\xa0\x80"', '"a"'.encode("utf-16")):
        with pytest.raises(JsonError):
            read_json(damaged)


def test_what_cannot_be_written_is_replaced() -> None:
    odd = {
        "\ud800": "a\udfffb",
        "n": [float("nan"), float("inf"), 10**5000],
        "pair": "\ud83c\udfb5",
    }
    assert encodable(odd) == {"\ufffd": "a\ufffdb", "n": [None] * 3, "pair": "\U0001f3b5"}


@pytest.mark.parametrize("text", WRONG)
def test_no_field_of_a_body_takes_what_cannot_be_stored(served: Served, text: str) -> None:
    input_ = f'{{"prompt": "x", "input_audio": {text}}}'
    bodies = {
        "/v1/predictions": (
            f'{{"version": "{SEED_VERSION}", "input": {input_}}}',
            f'{{"version": "{SEED_VERSION}", "input": {{"prompt": "x"}}, "webhook": {text}}}',
            f'{{"version": {text}, "input": {{}}}}', f'{{"unknown": {text}}}', text,
        ),
        "/v1/models/meta/musicgen/predictions": (f'{{"input": {input_}}}',),
        "/predictions": (f'{{"input": {input_}}}', f'{{"context": {text}}}', text),
    }  # fmt: skip
    for path, each in bodies.items():
        for body in each:
            answer = served.client.post(path, content=body, headers=JSON)
            assert answer.status_code in (400, 422), (path, body, answer.text)
            assert "detail" in answer.json()
    put = served.client.put("/predictions/x", content=f'{{"input": {input_}}}', headers=JSON)
    assert put.status_code == 422
    upload = served.client.post(
        "/v1/files", files={"content": ("a.wav", b"1")}, data={"metadata": f'{{"a": {text}}}'}
    )
    assert upload.status_code == 400
    lists_answer(served)


def test_forms_and_addresses_hold_no_nul(served: Served) -> None:
    files = {"content": ("a\x00\ud800.wav".encode(errors="replace").decode(), b"1", "audio/wav")}
    nul = served.client.post("/v1/files", files=files, data={"metadata[a]": "x\0"})
    assert nul.status_code == 400
    for path in ("/v1/files/%00", "/v1/predictions?cursor=%00", "/outputs/x/%00",
                 "/v1/predictions?%00=1"):  # fmt: skip
        assert served.client.get(path).status_code == 400, path
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    for path in ("/v1/predictions", "/predictions", "/ui/gradio_api/queue/join"):
        assert served.client.post(path, content=b"{}", headers=form).status_code == 415, path
    lists_answer(served)


@pytest.mark.parametrize(
    "parameters",
    [
        "charset=utf-7", "charset=utf-8; charset=punycode", "charset=punycode; charset=punycode",
        'a="charset=utf-8"; charset=punycode', "xcharset=utf-8; charset=punycode",
        'charset="punycode"', "CHARSET = punycode", "charset=PunyCode;", 'a=\\"; charset=punycode',
        ";" * 60_000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/v1/files", "/ui/login", "/v1/predictions"])
def test_a_form_names_no_codec_but_utf8(served: Served, path: str, parameters: str) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="metadata"\r\n\r\nabc\r\n--x--\r\n'
    kind = {"Content-Type": f"multipart/form-data; boundary=x; {parameters}"}
    assert served.client.post(path, content=form, headers=kind).status_code == 415
    two = [("Content-Type", "multipart/form-data; boundary=x; charset=utf-8"), *kind.items()]
    assert served.client.post(path, content=form, headers=two).status_code == 415


def test_the_fields_of_a_form_are_short(served: Served) -> None:
    """They are held in memory, where 100 fields of 1 MB each were taken."""
    files = {"content": ("a.wav", b"1", "audio/wav")}
    for name in ("metadata", "other", "metadata[a]"):
        data = {name: "x" * (MAX_FIELD_BYTES + 1)}
        answer = served.client.post("/v1/files", files=files, data=data)
        assert (answer.status_code, "exceeded" in answer.text) == (400, True)


def test_forms_of_one_client_leave_room_for_others(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dependencies, "MAX_FORMS", 2)
    served = serve()
    address = (served.client.base_url.host, served.client.base_url.port)
    head = b"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n"
    kind = b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"

    def status() -> int:
        files = {"content": ("a.wav", b"1", "audio/wav")}
        return int(served.client.post("/v1/files", files=files).status_code)

    ends = time.monotonic() + TIMEOUT_S
    with socket.create_connection(address) as unfinished:
        unfinished.sendall(head + kind)
        while status() != 503:
            assert time.monotonic() < ends
    while status() != 201:
        assert time.monotonic() < ends


def test_a_form_may_name_utf8(served: Served) -> None:
    disposition = 'Content-Disposition: form-data; name="content"; filename="é.wav"'
    form = f"--x\r\n{disposition}\r\n\r\n1\r\n--x--\r\n".encode()
    for charset in ("utf-8", "UTF-8", '"utf8"'):
        kind = {"Content-Type": f"multipart/form-data; boundary=x; charset={charset}"}
        answer = served.client.post("/v1/files", content=form, headers=kind)
        assert (answer.status_code, answer.json()["name"]) == (201, "é.wav")


def test_headers_that_are_slow_to_parse_are_not_parsed() -> None:
    """Parsing any of them took ten seconds and more, of everybody's time."""
    quoted = b'"' + b"\\" * 30_000 + b'"'
    slow = [
        (b"cookie", b"plain=1; odd=" + quoted + b"; last=2"),
        (b"cookie", quoted),
        (b"range", b"bytes=" + b"0-0," * 15_000),
    ]
    scope = {"type": "http", "method": "GET", "path": "/healthz", "query_string": b""}
    seen: list[HTTPConnection] = []

    async def app(scope: Scope, *_: object) -> None:
        seen.append(HTTPConnection(scope))

    guard = RequestGuard(app, ServerSettings(tokens=("x",)))
    asyncio.run(guard({**scope, "headers": slow}, None, None))  # type: ignore[arg-type]
    kept = b"".join(value for _, value in seen[0].scope["headers"])
    assert b'"' not in kept
    assert seen[0].cookies == {"plain": "1", "last": "2"}
    assert "range" not in seen[0].headers


@pytest.mark.parametrize(
    "query",
    [
        "created_after=0001-01-01", "created_before=9999-12-31T23:59:59-23:59", "cursor=%ED%A0%80",
        "cursor=" + base64.urlsafe_b64encode(b"[1e999, 1]").decode(),
        "cursor=" + base64.urlsafe_b64encode(b"[" * 9999).decode(),
        "cursor=" + base64.urlsafe_b64encode(b'["nan", "\\ud800"]').decode(),
        "cursor=" + base64.urlsafe_b64encode(b"[" + b"9" * 999 + b", 1]").decode(),
    ],
)  # fmt: skip
def test_odd_queries_are_no_accident(served: Served, query: str) -> None:
    assert served.client.get(f"/v1/predictions?{query}").status_code in (200, 400)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Range", "bytes=" + "9" * 5000 + "-"), ("Range", "bytes=-" + "9" * 5000),
        ("Prefer", "wait=" + "9" * 5000), ("Cancel-After", "9" * 5000),
        ("x-stainless-retry-count", "abc"), ("x-stainless-retry-count", "9" * 5000),
        ("x-stainless-read-timeout", "9" * 5000), ("Last-Event-ID", "\xff" * 100),
        ("Authorization", "Bearer \xff\xfe"), ("Cookie", "a=\xff; ;;="),
        ("Cookie", "a=" + "\\" * 30_000), ("Cookie", '"' + '\\"' * 30_000 + '"'),
        ("Range", "bytes=" + " " * 60_000 + "x"),
    ],
)  # fmt: skip
def test_odd_headers_are_no_accident(served: Served, name: str, text: str) -> None:
    made = served.until(served.create()["id"])
    headers = {name.encode(): text.encode("latin-1")}
    body = {"version": SEED_VERSION, "input": {"prompt": "x", "duration": 1}}
    answer = served.client.post("/v1/predictions", json=body, headers=headers)
    assert answer.status_code in (201, 400)
    for url in (made["output"], made["urls"]["stream"], "/v1/account"):
        assert served.client.get(url, headers=headers).status_code < 500


def test_a_number_that_is_none_is_no_retry(served: Served) -> None:
    first = served.create(headers={"x-stainless-retry-count": "abc"})
    assert served.create(headers={"x-stainless-retry-count": "abc"})["id"] != first["id"]
    assert served.create(headers={"x-stainless-retry-count": "1"})["id"] not in ("", first["id"])


def test_rows_that_are_there_already_break_no_list(served: Served) -> None:
    made = served.until(served.create()["id"])
    with_rows = Repository(served.app.state.parts.settings.database_url)
    old = with_rows.get(made["id"])
    assert old is not None
    odd = {"prompt": "a\ud800", "deep": float("inf"), "input_audio": "https://a.b/\udfff"}
    with_rows.add(replace(old, id="odd", key="odd", input=odd, metrics={"n": float("nan")}))
    with_rows.add_file(
        StoredFile("odd", time.time(), 9e9, "a", "b", 1, "c", "d", {"a": float("nan")})
    )
    with_rows.close()
    lists_answer(served)
    assert served.get("odd")["input"]["prompt"] == "a\ufffd"
    assert served.client.get("/v1/files/odd").json()["metadata"] == {"a": None}
    assert served.client.get("/v1/files/odd/stream").status_code == 200


@pytest.mark.parametrize(
    "filter_", [[{}], [[]], [None], [1], {}, "completed", 1, [["start"]], [{"a": 1}], True]
)
def test_a_filter_of_the_wrong_type_is_named(served: Served, filter_: Any) -> None:
    body = {"version": SEED_VERSION, "input": {"prompt": "x"}, "webhook": "https://e.com/",
            "webhook_events_filter": filter_}  # fmt: skip
    answer = served.client.post("/v1/predictions", json=body)
    assert answer.status_code == 422
    assert answer.json()["invalid_fields"][0]["field"] == "webhook_events_filter"
    cog = served.client.post("/predictions", json={**body, "input": {}})
    assert cog.status_code == 422
    assert cog.json()["detail"][0]["loc"] == ["body", "webhook_events_filter"]


@pytest.mark.parametrize("odd", [1, 1.5, True, [], {}, [[]], {"a": {}}, ""])
def test_a_value_of_the_wrong_type_is_a_problem_anywhere(served: Served, odd: Any) -> None:
    whole = {"version": SEED_VERSION, "input": {"prompt": "x"}}
    for name in ("version", "input", "webhook", "webhook_completed"):
        answer = served.client.post("/v1/predictions", json={**whole, name: odd})
        if not (name == "input" and isinstance(odd, dict)):  # unknown inputs are dropped
            assert answer.status_code == 422, (name, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
    for name in ("id", "webhook", "output_file_prefix", "input", "context", "created_at"):
        answer = served.client.post("/predictions", json={name: odd})
        assert answer.status_code in (200, 409, 422, 503), (name, answer.text)
        assert answer.json()


def test_a_webhook_to_a_private_address_is_refused_at_once(served: Served) -> None:
    body: dict[str, Any] = {"version": SEED_VERSION, "input": {"prompt": "x"}}
    for host in ("127.0.0.1", "localhost", "a.localhost", "[::1]", "10.0.0.1", "2130706433",
                 "0x7f.1", "169.254.169.254", "[::ffff:127.0.0.1]", "0"):  # fmt: skip
        hook = {"webhook": f"http://{host}/hook"}
        answer = served.client.post("/v1/predictions", json=body | hook)
        assert answer.status_code == 422, host
        assert "not on the public internet" in answer.json()["detail"]
        assert served.client.post("/predictions", json=hook).status_code == 422, host


def test_a_host_that_cannot_be_decoded_is_refused_by_its_field(served: Served) -> None:
    odd, given = f"http://xn--{'z' * 300}/", {"input": {"prompt": "x"}}
    made = served.create(input_audio=odd)
    assert "not a valid address" in served.until(made["id"])["error"]
    for path, body in (
        ("/v1/models/toccata/musicgen/predictions", given | {"webhook": odd}),
        ("/predictions", given | {"webhook": odd}),
        ("/predictions", given | {"output_file_prefix": odd}),
    ):
        answer = served.client.post(path, json=body)
        assert answer.status_code == 422, (body, answer.text)
        assert "not a valid address" in answer.text


def test_an_accident_is_told_as_a_problem_with_an_id(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The line is written when all has been sent."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("of an inner secret")

    monkeypatch.setattr(model_routes, "page_json", broken)
    answer = served.client.get("/v1/models")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-should-retry"] == "false"
    assert "secret" not in answer.text
    request_id = answer.headers["x-request-id"]
    assert request_id in answer.json()["detail"]
    ends = time.monotonic() + TIMEOUT_S
    while not any(request_id in one.message and one.exc_info for one in caplog.records):
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_a_database_that_is_away_is_to_be_asked_again(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise RepositoryError("the database does not answer; try again later")

    monkeypatch.setattr(served.app.state.parts.store, "get", away)
    answer = served.client.get("/v1/predictions/x")
    assert answer.status_code == 503
    assert answer.headers["x-should-retry"] == "true"
    assert int(answer.headers["retry-after"]) > 0


def test_json_is_kept_by_no_cache(served: Served) -> None:
    made = served.create()
    for path in (*LISTS, f"/v1/predictions/{made['id']}", "/health-check", "/v1/nothing"):
        assert served.client.get(path).headers["cache-control"] == "no-store", path


@pytest.mark.parametrize(
    "host", ["evil.com", "evil.com:5000", "127.0.0.1.evil.com", "a.localhost.b"]
)
def test_another_host_is_not_served_on_loopback(served: Served, host: str) -> None:
    for path in ("/v1/predictions", "/", "/v1/files", "/docs", "/v1/openapi.json"):
        answer = served.client.get(path, headers={"Host": host})
        assert answer.status_code == 421, path
        assert "--public-url" in answer.json()["detail"]
    assert served.client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:80", "[::1]:5000"])
def test_this_machine_is_served_on_loopback(served: Served, host: str) -> None:
    assert served.client.get("/v1/predictions", headers={"Host": host}).status_code == 200


def test_names_that_the_operator_gives_are_served(serve: Serve) -> None:
    served = serve(public_url="https://music.example.org/there", allow_host=("other.example",))
    for host in ("music.example.org", "other.example:80", "localhost"):
        assert served.client.get("/v1/models", headers={"Host": host}).status_code == 200
    assert served.client.get("/v1/models", headers={"Host": "x.org"}).status_code == 421


def test_an_open_server_takes_names_that_nobody_can_register(serve: Serve) -> None:
    served = serve(host="0.0.0.0", no_auth=True)  # noqa: S104
    for host in ("10.1.2.3:5000", "[fe80::1]", "toccata", "nas.local", "toccata.default.internal"):
        assert served.client.get("/v1/models", headers={"Host": host}).status_code == 200, host
    assert served.client.get("/v1/models", headers={"Host": "evil.com"}).status_code == 421


def test_with_a_token_any_host_is_served(serve: Serve) -> None:
    served = serve(token=TOKEN)
    assert served.client.get("/v1/models", headers={"Host": "any.example"}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["..local", ".local", "a..local", "localhost:99999", "[::1", "[:::]", "[1.2]", "a" * 64, "..",
     "localhost:", ".".join(["a" * 60] * 5)],
)  # fmt: skip
def test_a_host_that_cannot_be_is_refused(served: Served, host: str) -> None:
    assert served.client.get("/v1/models", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("lines", ["", "Host: a\r\nHost: localhost\r\n", "Host: a b\r\n"])
def test_a_request_has_one_host(served: Served, lines: str) -> None:
    with socket.create_connection(("127.0.0.1", served.client.base_url.port or 0)) as connection:
        connection.sendall(f"GET /v1/models HTTP/1.1\r\n{lines}\r\n".encode())
        assert b" 400 " in connection.recv(100)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.com"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.com", "Sec-Fetch-Site": "cross-site"},
    ],
)  # fmt: skip
def test_another_website_changes_and_reads_nothing(served: Served, headers: dict[str, str]) -> None:
    made = served.create()
    body = {"version": SEED_VERSION, "input": {"prompt": "x"}}
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/v1/predictions", {"json": body}), ("POST", "/predictions", {"json": {}}),
        ("PUT", "/predictions/x", {"json": {}}), ("POST", "/shutdown", {}),
        ("POST", "/v1/files", {"files": {"content": ("a", b"1")}}), ("DELETE", "/v1/files/x", {}),
        ("POST", f"/v1/predictions/{made['id']}/cancel", {}), ("GET", "/v1/predictions", {}),
        ("GET", "/v1/files", {}),
    ]  # fmt: skip
    for method, path, content in calls:
        answer = served.client.request(method, path, headers=headers, **content)
        assert answer.status_code == 403, (method, path)
        assert "access-control-allow-origin" not in answer.headers
    newest = served.client.get("/v1/predictions").json()["results"][0]
    assert newest["id"] == made["id"]


def test_outputs_may_be_shown_anywhere(served: Served) -> None:
    made = served.until(served.create()["id"])
    there = {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}
    assert served.client.get(made["output"], headers=there).status_code == 200


def test_a_page_of_this_server_does_all_of_it(served: Served) -> None:
    body = {"version": SEED_VERSION, "input": {"prompt": "x"}}
    for headers in (
        {"Origin": served.url}, {"Origin": served.url, "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://through.a.proxy", "Sec-Fetch-Site": "same-origin"}, {},
    ):  # fmt: skip
        made = served.client.post("/v1/predictions", json=body, headers=headers)
        assert made.status_code == 201, headers
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert served.client.get("/", headers=link).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "a/b"])
def test_what_any_website_may_send_is_no_json(served: Served, kind: str) -> None:
    body = json.dumps({"version": SEED_VERSION, "input": {"prompt": "x"}})
    for path in ("/v1/predictions", "/predictions"):
        answer = served.client.post(path, content=body, headers={"Content-Type": kind})
        assert answer.status_code == 415
        assert "application/json" in answer.json()["detail"]
    plain = served.client.request(
        "QUERY", "/v1/models", content="gen", headers={"Content-Type": kind}
    )
    assert plain.json()["results"]


def test_shutdown_is_off(served: Served) -> None:
    answer = served.client.post("/shutdown")
    assert answer.status_code == 403
    assert "--shutdown-route" in answer.json()["detail"]
    assert served.client.get("/healthz").status_code == 200


def test_a_filter_keeps_each_word_once(served: Served) -> None:
    body = {"version": SEED_VERSION, "input": {"prompt": "slow 60"}, "webhook": "https://e.com/",
            "webhook_events_filter": ["logs", "output"] * 10_000}  # fmt: skip
    answer = served.client.post("/v1/predictions", json=body)
    assert answer.json()["webhook_events_filter"] == ["logs", "output"]
    served.client.post(f"/v1/predictions/{answer.json()['id']}/cancel")
    assert read_request(VERSION, body).webhook_events == ("logs", "output")
