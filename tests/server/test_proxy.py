"""Behind nginx, under a path: all that is served there works there."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import expect, sync_playwright

from tests.clients.live import free_port
from tests.server.conftest import SEED_VERSION, TIMEOUT_S
from tests.server.test_page import (
    CHROMIUM,
    FLAGS,
    PATIENCE_MS,
    asked,
    log_in,
    process,
    song,
    status,
)

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
TOKEN = "secret-1"
# How operators write it: the prefix taken away or left, the Host header passed on or not.
STRIPPED, KEPT = "http://127.0.0.1:{port}/", "http://127.0.0.1:{port}"
HOST = "proxy_set_header Host $http_host;"
FORWARDED = f"{HOST} proxy_set_header X-Forwarded-Prefix /music;"
CONFIG = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/errors;
events {{}}
http {{
  access_log off; client_max_body_size 200m; proxy_buffering off; server_tokens off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{listen}; location /music/ {{ proxy_pass {target}; {more} }} }}
}}
"""

pytestmark = pytest.mark.skipif(NGINX is None, reason="there is no nginx: make test")


@contextmanager
def nginx(folder: Path, listen: int, target: str, more: str) -> Iterator[str]:
    """The address under which it serves `target`."""
    folder.mkdir()
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, listen=listen, target=target, more=more))
    errors = str(folder / "errors")
    running = subprocess.Popen([str(NGINX), "-p", str(folder), "-c", str(config), "-e", errors])  # noqa: S603
    url = f"http://127.0.0.1:{listen}/music"
    try:
        ends = time.monotonic() + TIMEOUT_S
        while not _answers(f"{url}/healthz"):
            assert time.monotonic() < ends, (folder / "errors").read_text()
            time.sleep(0.05)
        yield url
    finally:
        running.terminate()
        running.wait(20)


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url).status_code == 200
    except httpx2.TransportError:
        return False


@pytest.fixture(scope="module")
def listen() -> int:
    return free_port()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, listen: int) -> Iterator[str]:
    """The port of a server that knows its public address."""
    folder = tmp_path_factory.mktemp("proxied")
    with process(folder / "data", TOKEN, f"http://127.0.0.1:{listen}/music") as served:
        yield served.url.rpartition(":")[2]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The port of one that has to be told by the proxy, and has no token."""
    with process(tmp_path_factory.mktemp("plain") / "data") as served:
        yield served.url.rpartition(":")[2]


@pytest.mark.parametrize(
    ("form", "more"), [(STRIPPED, ""), (STRIPPED, HOST), (KEPT, ""), (KEPT, HOST)]
)
def test_every_address_has_the_prefix(
    served: str, listen: int, tmp_path: Path, form: str, more: str
) -> None:
    with nginx(tmp_path / "nginx", listen, form.format(port=served), more) as url:
        everything_works(url, TOKEN)


@pytest.mark.parametrize("form", [STRIPPED, KEPT])
def test_a_proxy_on_this_machine_may_name_the_prefix(
    plain: str, listen: int, tmp_path: Path, form: str
) -> None:
    with nginx(tmp_path / "nginx", listen, form.format(port=plain), FORWARDED) as url:
        everything_works(url, "any")


def everything_works(url: str, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    with httpx2.Client(headers=headers, timeout=TIMEOUT_S) as client:
        body = {"version": SEED_VERSION, "input": {"prompt": "piano", "duration": 1}}
        asked = {"Prefer": "wait"}
        made = client.post(f"{url}/v1/predictions", json=body, headers=asked).json()
        assert made["status"] == "succeeded"
        for address in made["urls"].values():
            assert address.startswith(f"{url}/"), address
        urls = made["urls"]
        for address in (urls["get"], urls["stream"], urls["audio"], f"{url}/docs"):
            assert client.get(address).status_code == 200, address
        assert client.get(urls["web"], follow_redirects=True).status_code == 200
        asks_for_html = {"Accept": "text/html"}
        moved = client.get(f"{url}/", headers=asks_for_html, follow_redirects=True)
        assert str(moved.url) == f"{url}/ui/"
        document = client.get(f"{url}/v1/openapi.json").json()
        assert document["servers"] == [{"url": "/music"}]
        assert client.get(f"{url}/v1/predictions").headers["ratelimit-reset"] == "1"
        file = client.post(f"{url}/v1/files", files={"content": ("a.wav", b"1")}).json()
        assert client.get(file["urls"]["get"] + "/download").content == b"1"


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: make test")
def test_the_page_works_there(served: str, listen: int, tmp_path: Path) -> None:
    target = STRIPPED.format(port=served)
    with nginx(tmp_path / "nginx", listen, target, "") as url, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        expect.set_options(timeout=PATIENCE_MS)
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"{url}/ui")
        log_in(page, TOKEN)
        page.locator("#input-input_audio input[type=file]").set_input_files(song(tmp_path))
        asked(page, "slow 0.1 piano")
        status(page, "Done")
        cookies = page.context.cookies()
        assert {cookie.get("path") for cookie in cookies} == {"/music/ui"}
        page.goto(page.locator("#history a").first.get_attribute("href") or "")
        status(page, "Done")
        browser.close()
