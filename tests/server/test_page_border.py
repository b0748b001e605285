"""What the page lets nobody do: read files of this machine, call gradio's other functions."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import stat
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.datastructures import Headers

from tests.server.conftest import Serve
from tests.server.test_page import Served, process
from toccata.errors import InputError
from toccata.server.ui.login_limit import (
    MAX_DELAY_S,
    MAX_FAILURES,
    MAX_FAILURES_PER_ADDRESS,
    WINDOW_S,
    LoginLimit,
)
from toccata.server.ui.page_files import BLOCK_BYTES, MAX_FILES_PER_UPLOAD, Held, PageFiles
from toccata.server.ui.page_uploads import UploadRefused, Uploads

TOKEN = "secret-1"
API = "/ui/gradio_api"
SECRET = b"root of all secrets"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("border")


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    """A server without a token, beside a file that is nobody's business."""
    (folder / "secret.wav").write_bytes(SECRET)
    with process(folder / "data") as served:
        yield served


@pytest.fixture(scope="module")
def locked(folder: Path) -> Iterator[Served]:
    with process(folder / "locked", TOKEN) as served:
        yield served


def upload(served: Served, content: bytes = b"RIFF") -> str:
    answer = served.client.post(f"{API}/upload", files={"files": ("a.wav", content, "audio/wav")})
    assert answer.status_code == 200, answer.text
    path: str = answer.json()[0]
    return path


def make(served: Served, audio: Any) -> httpx2.Response:
    """Press the button with `audio` in the audio field; what the queue answers."""
    config = served.client.get("/ui/config").json()
    make = next(one for one in config["dependencies"] if one["api_name"] == "make")
    values = [None if i != _audio_at(config, make) else audio for i in range(len(make["inputs"]))]
    body = {"data": values, "fn_index": make["id"], "session_hash": "s", "trigger_id": None}
    return served.client.post(f"{API}/queue/join", json=body)


def _audio_at(config: dict[str, Any], call: dict[str, Any]) -> int:
    kinds = {one["id"]: one["type"] for one in config["components"]}
    return [kinds[one] for one in call["inputs"]].index("audio")


def said(served: Served) -> str:
    """All that the session's queue says until it has nothing more."""
    with served.client.stream("GET", f"{API}/queue/data?session_hash=s") as events:
        return "".join(events.iter_text())


def foreign(folder: Path) -> list[Any]:
    secret = str(folder / "secret.wav")
    paths = [
        secret, "/etc/passwd", "/proc/self/environ", f"file://{secret}", "http://127.0.0.1:1/a",
        "https://example.org/a.wav", str(folder / "data" / "server.db"), "server.db", "..",
        f"{folder}/data/page-uploads/../server.db", "/etc/passwd\0.wav", "a" * 5000,
    ]  # fmt: skip
    return [{"path": path, "meta": {"_type": "gradio.FileData"}} for path in paths]


def test_no_file_of_this_machine_is_taken_for_an_upload(served: Served, folder: Path) -> None:
    for audio in foreign(folder):
        answer = make(served, audio)
        assert answer.status_code in (400, 403), (audio, answer.text)
        nested = make(served, {"a": [audio]})
        assert nested.status_code in (400, 403), audio
    assert served.client.get("/v1/files").json()["results"] == []


def test_a_path_as_plain_text_is_no_file_either(served: Served, folder: Path) -> None:
    make(served, str(folder / "secret.wav"))
    said(served)
    assert served.client.get("/v1/files").json()["results"] == []


def test_an_address_beside_an_upload_is_not_fetched(served: Served) -> None:
    path = upload(served)
    audio = {"path": path, "url": "file:///etc/passwd", "meta": {"_type": "gradio.FileData"}}
    assert make(served, audio).status_code == 200
    assert "process_completed" in said(served)
    file = served.client.get("/v1/files").json()["results"][0]
    assert served.client.get(f"/v1/files/{file['id']}/download").content == b"RIFF"


def test_a_link_in_the_upload_folder_leads_nowhere(tmp_path: Path) -> None:
    files = PageFiles(tmp_path / "page")
    files.clear()
    (tmp_path / "secret").write_bytes(SECRET)
    (files.folder / "link").symlink_to(tmp_path / "secret")
    (files.folder / "own").write_bytes(b"mine")
    assert files.own(files.folder / "own").read_bytes() == b"mine"
    for path in ("link", ".", "../secret", "x\0", "y" * 5000):
        with pytest.raises(InputError, match="upload it again"):
            files.own(files.folder / path)


@pytest.mark.parametrize("form", ["file={}", "file/{}", "proxy={}", "stream/{}"])
def test_files_are_given_out_only_if_they_were_uploaded(
    served: Served, folder: Path, form: str
) -> None:
    for audio in foreign(folder):
        path = str(audio["path"]).replace("\0", "%00")
        answer = served.client.get(f"{API}/{form.format(path)}")
        assert answer.status_code in (400, 403, 404, 414, 431), path
        assert SECRET not in answer.content
    path = upload(served, b"given back")
    assert served.client.get(f"{API}/file={path}").content == b"given back"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", f"{API}/{name}") for name in (
            "info", "openapi.json", "call/make/x", "startup-events", "token", "user", "app_id",
            "dev/reload", "vibe-code", "runs", "queue/status", "deep_link?session_hash=s",
            "proxy=https://x.hf.space/", "custom_component/1/client/component/a.js",
        )),
        *(("POST", f"{API}/{name}") for name in (
            "call/make", "call/v2/make", "run/make", "api/make", "component_server", "vibe-edit",
            "process_recording", "stream/x", "vibe-code", "run-history/connect",
        )),
        ("GET", "/ui/monitoring"), ("GET", "/ui/monitoring/summary"), ("GET", "/ui/pwa_icon"),
        ("PUT", "/ui/config"), ("DELETE", f"{API}/upload"),
    ],
)  # fmt: skip
def test_what_the_page_does_not_need_is_closed(served: Served, method: str, path: str) -> None:
    assert served.client.request(method, path).status_code == 404


def test_everything_behind_the_login_wants_it(locked: Served) -> None:
    for path in ("/ui/config", f"{API}/heartbeat/x", f"{API}/queue/data?session_hash=s",
                 f"{API}/upload_progress?upload_id=x", f"{API}/file=/etc/passwd"):  # fmt: skip
        assert locked.client.get(path).status_code == 401, path
    for path in ("upload", "queue/join", "cancel", "reset"):
        assert locked.client.post(f"{API}/{path}", json={}).status_code == 401, path
    assert locked.client.get("/ui/").status_code == 200


def test_a_login_gives_one_narrow_cookie(locked: Served) -> None:
    with httpx2.Client(base_url=locked.url) as client:
        form = {"username": "me", "password": TOKEN}
        answer = client.post("/ui/login", files={name: (None, form[name]) for name in form})
        assert answer.status_code == 200
        (cookie,) = answer.headers.get_list("set-cookie")
        assert "; HttpOnly; Path=/ui; SameSite=Lax" in cookie
        assert client.get("/ui/config").status_code == 200


def test_no_other_site_is_let_in(served: Served) -> None:
    there = {"Origin": "https://evil.example"}
    answer = served.client.get("/ui/config", headers=there)
    assert "access-control-allow-origin" not in answer.headers


def test_no_other_site_shows_it_in_a_frame(served: Served) -> None:
    rule = served.client.get("/ui/").headers["content-security-policy"]
    assert rule == "frame-ancestors 'self'"


def test_wrong_logins_have_to_wait() -> None:
    clock = [0.0]
    limit = LoginLimit(lambda: clock[0])
    limit.succeeded("a", limit.begin("a"))
    for _ in range(MAX_FAILURES_PER_ADDRESS):
        assert limit.wait_s("a") == 0
        limit.begin("a")
    assert limit.wait_s("a") == WINDOW_S
    assert limit.wait_s("b") == 0
    clock[0] = WINDOW_S
    assert limit.wait_s("a") == limit.wait_s("b") == 0


def test_wrong_logins_of_others_only_slow_a_login() -> None:
    clock = [0.0]
    limit = LoginLimit(lambda: clock[0])
    for number in range(MAX_FAILURES):
        limit.begin(str(number))
    assert limit.delay_s() == 0
    limit.begin("x")
    assert 0 < limit.delay_s() < 1
    for number in range(3 * MAX_FAILURES):
        limit.begin(str(number))
    assert limit.delay_s() == MAX_DELAY_S
    assert limit.wait_s("the right user") == 0
    clock[0] = WINDOW_S
    assert limit.delay_s() == 0


def test_a_login_is_small(locked: Served) -> None:
    large = {"username": "me", "password": "a" * 70_000}
    answer = locked.client.post("/ui/login", data=large)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_login_is_limited(locked: Served) -> None:
    """Also for those at once. The last of the tests that log in."""
    wrong, right = {"username": "me", "password": "no"}, {"username": "me", "password": TOKEN}
    with ThreadPoolExecutor(3 * MAX_FAILURES_PER_ADDRESS) as pool:
        tries = [
            pool.submit(httpx2.post, f"{locked.url}/ui/login", data=wrong, timeout=20)
            for _ in range(3 * MAX_FAILURES_PER_ADDRESS)
        ]
        statuses = Counter(one.result().status_code for one in tries)
    assert statuses == {400: MAX_FAILURES_PER_ADDRESS, 429: 2 * MAX_FAILURES_PER_ADDRESS}
    refused = locked.client.post("/ui/login", data=right)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= WINDOW_S


def test_uploads_of_the_page_are_private(served: Served, folder: Path) -> None:
    kept = folder / "data" / "page-uploads"
    assert Path(upload(served)).is_relative_to(kept)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700


def test_uploads_of_the_page_are_gone_after_a_start(serve: Serve, tmp_path: Path) -> None:
    old = tmp_path / "data" / "page-uploads" / "a.wav"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"RIFF")
    serve()
    assert not old.exists()


def test_uploads_of_the_page_are_bounded_and_grow_old(tmp_path: Path) -> None:
    files = PageFiles(tmp_path / "page", max_bytes=3 * BLOCK_BYTES, max_age_s=60, max_files=2)
    files.clear()
    old = files.folder / "hash" / "a.wav"
    old.parent.mkdir()
    old.write_bytes(b"12345678")
    assert files.held() == Held(BLOCK_BYTES, 1)
    assert files.fits(files.held() + Held(2 * BLOCK_BYTES, 1))
    assert not files.fits(files.held() + Held(2 * BLOCK_BYTES + 1, 1))
    assert not files.fits(files.held() + Held(1, 2))
    os.utime(old, (1000, 1000))
    files.remove_old(1050)
    assert old.exists()
    files.remove_old(1061)
    assert not old.parent.exists()
    assert files.held() == Held(0, 0)


def test_they_live_no_longer_than_predictions(tmp_path: Path) -> None:
    assert PageFiles.of(tmp_path, 600.0).max_age_s == 600.0
    assert PageFiles.of(tmp_path, None).max_age_s == 24 * 3600


def test_a_broken_call_is_refused(served: Served) -> None:
    for text in (b"{", b'{"data": [NaN]}', b'["\\ud800"]', b"[" * 5000, b"\xff"):
        headers = {"Content-Type": "application/json"}
        answer = served.client.post(f"{API}/queue/join", content=text, headers=headers)
        assert answer.status_code == 400, text
        assert json.loads(answer.text)["status"] == 400


@pytest.mark.parametrize("fn_index", [-1, 9999])
def test_an_accident_of_the_page_is_a_problem_with_an_id(served: Served, fn_index: int) -> None:
    body = {"data": [], "fn_index": fn_index, "session_hash": "s"}
    answer = served.client.post(f"{API}/queue/join", json=body)
    assert answer.status_code >= 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.status_code < 500 or answer.headers["x-request-id"] in answer.json()["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "queue/data?session_hash=%ff", "queue/data?session_hash=%0a", "queue/data?session_hash=",
        "heartbeat/a%20b", "upload_progress?upload_id=%ff", f"heartbeat/{'a' * 200}",
    ],
)  # fmt: skip
def test_odd_names_of_sessions_are_refused(served: Served, path: str) -> None:
    answer = served.client.get(f"{API}/{path}")
    assert answer.status_code == 400
    assert "ASCII letters" in answer.json()["detail"]
    body = {"data": [], "fn_index": 0, "session_hash": "\xff"}
    assert served.client.post(f"{API}/queue/join", json=body).status_code == 400


def test_an_upload_has_few_files(served: Served, folder: Path) -> None:
    def sent(number: int) -> httpx2.Response:
        files = [("files", (f"{one}.wav", b"RIFF", "audio/wav")) for one in range(number)]
        return served.client.post(f"{API}/upload", files=files)

    assert len(sent(MAX_FILES_PER_UPLOAD).json()) == MAX_FILES_PER_UPLOAD
    refused = sent(MAX_FILES_PER_UPLOAD + 1)
    assert refused.status_code == 413
    assert f"{MAX_FILES_PER_UPLOAD} files at most" in refused.json()["detail"]


def test_uploads_that_come_count_and_those_announced_do_not(tmp_path: Path) -> None:
    asyncio.run(_uploads(PageFiles(tmp_path / "page", max_bytes=1800)))


async def _uploads(files: PageFiles) -> None:
    files.clear()
    uploads = Uploads(files)
    head = Headers({"content-length": "900", "content-type": "multipart/form-data; boundary=xyz"})

    async def receive() -> Any:
        return {"type": "http.request", "body": bytes(400), "more_body": True}

    first, second, third = (uploads.admitted(one, head, receive) for one in "abc")
    async with first as one, second as two, third as three:
        for coming in (one, one, two, two):
            await coming()
        with pytest.raises(UploadRefused, match="no room"):
            await three()
    with pytest.raises(UploadRefused, match="no room") as refused:
        async with uploads.admitted("d", head, receive):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert refused.value.status == 507


def test_one_visitor_uploads_half_of_what_the_page_may_hold(tmp_path: Path) -> None:
    """Files may be tiny: they are counted too."""
    asyncio.run(_many_uploads(PageFiles(tmp_path / "page", max_files=40)))


async def _many_uploads(files: PageFiles) -> None:
    files.clear()
    uploads, part = Uploads(files), b"--xyz\r\n\r\n1\r\n"
    head = Headers({"content-length": "9", "content-type": "multipart/form-data; boundary=xyz"})

    async def receive() -> Any:
        return {"type": "http.request", "body": 8 * part + b"--xyz--", "more_body": False}

    async def upload(client: str) -> None:
        async with uploads.admitted(client, head, receive) as counted:
            await counted()

    await upload("a")
    await upload("a")
    with pytest.raises(UploadRefused, match="as one visitor may"):
        await upload("a")
    await upload("b")
