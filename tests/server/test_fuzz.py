"""Whatever is sent to whichever route, in whichever part of a request: no accident follows.

The requests are the same in each run. After those to each route all lists answer.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import quote_from_bytes

import httpx2
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.server.cog_client import ready
from tests.server.conftest import SEED_VERSION, Served, serving
from tests.server.test_openapi import OPERATIONS, NoOutside
from toccata.server import app
from toccata.server.config import ServerSettings
from toccata.settings import Settings

EXAMPLES, EXAMPLES_OF_BODIES = 20, 80
LISTS = ("/v1/predictions", "/v1/files", "/v1/models", "/v1/trainings")
bounded = settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
    phases=[Phase.explicit, Phase.generate], suppress_health_check=[*HealthCheck],
)  # fmt: skip

# JSON values as they are written, half of which cannot be stored.
ATOMS = st.sampled_from(
    ['"\\ud800"', '"a\\udfff"', '"\\u0000"', "NaN", "-Infinity", "1e400", "-1e400", "9" * 400,
     "9" * 5000, "[" * 70 + "]" * 70, "[" * 3000, "null", "true", "0", "-1", "1e308", "8.0", '""',
     '"wav"', '"x"', '"' + "é" * 300 + '"', '"http://[::1"', '"https://a.b/\\ud83c\\udfb5"',
     '"data:audio/wav;base64,AAAA"', '"file:///etc/passwd"', '"127.0.0.1"'],
)  # fmt: skip
KEYS = st.sampled_from(['"a"', '"prompt"', '"\\ud800"', '"\\u0000"', '""', '"__proto__"'])
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda each: f"[{','.join(each)}]"),
        st.lists(st.tuples(KEYS, inner), max_size=3).map(
            lambda each: "{" + ",".join(f"{key}:{value}" for key, value in each) + "}"
        ),
    ),
    max_leaves=5,
)
INPUTS = ("prompt", "input_audio", "duration", "seed", "top_p", "continuation", "count",
          "output_format", "model_version", "unknown")  # fmt: skip
FIELDS = ("version", "input", "webhook", "webhook_events_filter", "webhook_completed", "stream",
          "id", "created_at", "context", "output_file_prefix", "unknown")  # fmt: skip
GOOD = {"version": f'"{SEED_VERSION}"', "input": '{"prompt": "x", "duration": 1}'}

TEXTS = st.one_of(
    st.sampled_from(["\0", "a\0b", "..", "../../etc/passwd", "%", "\ud800", "\udfff", "9" * 5000,
                     "-1", "NaN", "é\u2028", "[" * 500, "wait=" + "9" * 400, "bytes=9-" + "9" * 40,
                     "W/\"x\"", "Bearer \xff", "multipart/form-data; charset=utf-16; boundary=x"]),
    st.text(max_size=20),
)  # fmt: skip
HEADERS = ("Prefer", "Cancel-After", "Range", "If-Range", "If-None-Match", "If-Modified-Since",
           "Authorization", "Last-Event-ID", "Idempotency-Key", "x-stainless-retry-count",
           "x-stainless-read-timeout", "Accept", "Cookie", "Content-Type", "X-Forwarded-For",
           "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "traceparent", "X-Odd",
           "Origin", "Sec-Fetch-Site", "User-Agent")  # fmt: skip
QUERIES = ("cursor", "created_after", "created_before", "source", "form", "variation", "odd")


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A good request with one field changed, or bytes that are none."""
    kind = draw(st.sampled_from(["field", "field", "input", "input", "value", "bytes"]))
    if kind == "bytes":
        return draw(st.binary(max_size=50))
    value = draw(VALUES)
    if kind == "value":
        return value.encode()
    if kind == "input":
        name = draw(st.sampled_from(INPUTS))
        return _object({**GOOD, "input": f'{{"duration": 1, "{name}": {value}}}'})
    return _object({**GOOD, draw(st.sampled_from(FIELDS)): value})


def _object(fields: dict[str, str]) -> bytes:
    return ("{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}").encode()


MULTIPART = b"multipart/form-data; boundary=x"
FORM_FIELDS = st.sampled_from(
    ["metadata", "metadata[a][b]", "metadata[" + "[a]" * 50, "filename", "type", "content", "a\0"]
)


@st.composite
def forms(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """An upload with an odd name, kind, and further field; and its content type.

    It is written by hand: no client would send some of it.
    """
    name, kind, text = draw(TEXTS), draw(TEXTS), draw(st.one_of(VALUES, TEXTS))
    file = (
        b'form-data; name="content"; filename="' + _raw(name) + b'"\r\nContent-Type: ' + _raw(kind)
    )
    field = b'form-data; name="' + _raw(draw(FORM_FIELDS)) + b'"'
    parts = [(file, b"RIFF"), (field, _raw(text))]
    whole = b"".join(
        b"--x\r\nContent-Disposition: " + head + b"\r\n\r\n" + body + b"\r\n"
        for head, body in (parts if draw(st.booleans()) else reversed(parts))
    )
    return whole + b"--x--\r\n", MULTIPART


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Without a token: all of it is reached. Nothing outside of it is."""
    fields = ServerSettings(
        machine=Settings(slots=4), data_dir=tmp_path_factory.mktemp("fuzz"), drain_s=0.0,
        page=False, queue=10_000,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(app, "OutboundClient", NoOutside)
        with serving(fields) as served:
            yield ready(served)


@pytest.fixture(scope="module")
def known(served: Served) -> dict[str, str]:
    """A good value for each part of a path."""
    made = served.until(served.create()["id"])
    file = served.client.post("/v1/files", files={"content": ("a.wav", b"1")}).json()
    key, name = made["output"].split("/")[-2:]
    return {"prediction_id": made["id"], "key": key, "name": name, "owner": "meta",
            "file_id": file["id"], "version_id": SEED_VERSION}  # fmt: skip


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_no_request_is_an_accident(
    served: Served, known: dict[str, str], method: str, path: str
) -> None:
    parts = re.findall(r"{(\w+)}", path)
    takes_body = "requestBody" in OPERATIONS[method, path]

    @settings(bounded, max_examples=EXAMPLES_OF_BODIES if takes_body else EXAMPLES)
    @given(
        odd=st.lists(TEXTS, min_size=3, max_size=3),
        headers=st.dictionaries(st.sampled_from(HEADERS), TEXTS, max_size=2),
        query=st.dictionaries(st.sampled_from(QUERIES), TEXTS, max_size=2),
        body=st.one_of(st.tuples(bodies(), st.just(b"application/json")), forms()),
        is_odd=st.booleans(),
    )
    def ask(
        odd: list[str],
        headers: dict[str, str],
        query: dict[str, str],
        body: tuple[bytes, bytes],
        is_odd: bool,
    ) -> None:
        names = dict(zip(parts, odd, strict=False)) if is_odd else known
        filled = path.format(**{part: _escaped(names.get(part, "")) or "x" for part in parts})
        asked = "&".join(f"{name}={_escaped(value)}" for name, value in query.items())
        answer = _ask(served, method, f"{filled}?{asked}", headers, body)
        assert answer is None or answer.status_code < 500 or _may_be(answer), answer.read()
        if answer is not None and answer.is_stream_consumed:
            assert "json" not in answer.headers.get("content-type", "") or answer.json() is not None

    ask()
    for each in LISTS:
        assert served.client.get(each).status_code == 200, each


def _may_be(answer: httpx2.Response) -> bool:
    """Whether a 503 is one that is meant: a container that is busy, or a full queue."""
    return answer.status_code == 503 and answer.json()["status"] in ("failed", 503)


def _escaped(text: str) -> str:
    return quote_from_bytes(text.encode("utf-8", "surrogatepass"), safe="")


def _ask(
    served: Served, method: str, url: str, headers: dict[str, str], body: tuple[bytes, bytes]
) -> httpx2.Response | None:
    """The head of the answer, and all of it if it ends soon; None if no client can send this."""
    sent = {name.encode(): _header(value) for name, value in headers.items()}
    content, kind = (None, b"") if method == "get" else body
    if content is not None:
        sent.setdefault(b"Content-Type", kind)
    with suppress(httpx2.LocalProtocolError, httpx2.InvalidURL):
        request = served.client.build_request(method.upper(), url, headers=sent, content=content)
        answer = served.client.send(request, stream=True)
        if not url.startswith(("/v1/files/", "/outputs/")) or answer.status_code >= 400:
            answer.read()
        answer.close()
        return answer
    return None


def _header(text: str) -> bytes:
    return re.sub(r"[^\x20-\x7e\x80-\xff]", "", text).strip().encode("latin-1")[:8000]


@bounded
@given(noise=st.binary(min_size=1, max_size=300), head=st.booleans())
def test_noise_on_a_connection_harms_nobody(served: Served, noise: bytes, head: bool) -> None:
    begin = b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\n" if head else b""
    with socket.create_connection(("127.0.0.1", served.client.base_url.port or 0)) as connection:
        connection.sendall(begin + noise + b"\r\n\r\n")
    assert served.client.get("/healthz").status_code == 200


def test_the_strategies_reach_what_they_should() -> None:
    """A good body among them would be made: the fuzzer is not all refused at the first check."""
    assert json.loads(_object(GOOD))["input"]["duration"] == 1
    assert _escaped("\0") == "%00"
