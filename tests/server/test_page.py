"""The page in a real browser."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.clients.live import starting

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--no-first-run", "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
PATIENCE_MS = 60_000

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: make test")


@dataclass(frozen=True)
class Served:
    url: str
    client: httpx2.Client


@contextmanager
def process(folder: Path, *more: str) -> Iterator[Served]:
    """A server with the page, in a process of its own: gradio leaves event loops open."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = [sys.executable, "-m", "tests.server.programs.fake_server"]
    running = subprocess.Popen([*program, str(port), str(folder), "4", "page", *more])  # noqa: S603
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            ends = time.monotonic() + PATIENCE_MS / 1000
            while not _answers(client):
                assert time.monotonic() < ends, "the server does not start"
                time.sleep(0.2)
            yield Served(str(client.base_url).rstrip("/"), client)
    finally:
        running.terminate()
        running.wait(20)


def _answers(client: httpx2.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx2.ConnectError:
        return False


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with process(tmp_path / "data") as one:
        yield one


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


def opened(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.locator("#make")).to_be_visible()


def asked(page: Page, prompt: str) -> None:
    page.locator("#input-prompt textarea").fill(prompt)
    page.locator("#make").click()


def status(page: Page, text: str) -> None:
    expect(page.locator("#status")).to_contain_text(text)


def log_in(page: Page, token: str) -> None:
    page.get_by_label("username").fill("me")
    page.locator("input[type=password]").fill(token)
    page.get_by_role("button", name="Login").click()


def song(folder: Path) -> Path:
    """Two seconds of a tone."""
    path = folder / "song.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes((8000 * np.sin(np.arange(16000) / 5)).astype("<i2").tobytes())
    return path


def sweep(folder: Path) -> Path:
    """Four seconds of a rising tone."""
    path, time_s = folder / "sweep.wav", np.arange(32000) / 8000
    tone = np.sin(2 * np.pi * (200 + 100 * time_s) * time_s)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes((8000 * tone).astype("<i2").tobytes())
    return path


def fits(page: Page) -> bool:
    """Nothing has to be scrolled for from left to right."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def brightness(page: Page, what: str) -> float:
    """0 to 255, of the `color` or the `backgroundColor` of the page."""
    colour = page.evaluate(f"getComputedStyle(document.querySelector('.gradio-container')).{what}")
    return float(np.mean([float(part) for part in re.findall(r"[\d.]+", colour)[:3]]))


def test_a_browser_at_the_root_is_sent_to_the_page(served: Served, page: Page) -> None:
    opened(page, served.url)
    assert page.url.startswith(f"{served.url}/ui")
    assert served.client.get("/").json()["docs_url"] == "/docs"


def test_music_is_made_drawn_and_found_again(served: Served, page: Page) -> None:
    opened(page, served.url)
    asked(page, "slow 0.5 <b>piano</b>")
    status(page, "Done")
    expect(page.locator("#picture img")).to_be_visible()
    made = served.client.get("/v1/predictions").json()["results"][0]
    assert made["input"] == {"prompt": "slow 0.5 <b>piano</b>"}
    page.reload()
    expect(page.locator("#history details")).to_contain_text("slow 0.5 <b>piano</b>")


def test_it_plays_before_it_is_made(served: Served, page: Page) -> None:
    opened(page, served.url)
    asked(page, "slow 8 piano")
    status(page, "Processing")
    page.wait_for_function("document.querySelector('#players audio').currentTime > 0.2")
    made = served.client.get("/v1/predictions").json()["results"][0]
    assert made["status"] == "processing"


def test_the_model_that_ships_is_heard_before_its_piece_is_whole(
    page: Page, tmp_path: Path
) -> None:
    with starting(tmp_path, "secret-1") as live:
        live.until_ready(PATIENCE_MS / 1000)
        page.goto(f"{live.url}/ui")
        log_in(page, "secret-1")
        page.locator("#input-duration input").fill("20")
        asked(page, "lo-fi beat, 80 bpm, mellow piano")
        page.wait_for_function("document.querySelector('#players audio')?.currentTime > 0.2")
        expect(page.locator("#status")).to_contain_text("Processing", timeout=1)
        status(page, "by mini")
        expect(page.locator("#picture img")).to_be_visible()


def test_a_seed_is_used_again(served: Served, page: Page) -> None:
    opened(page, served.url)
    page.locator("#input-seed input, #input-seed textarea").fill("77")
    asked(page, "slow 0.1 piano")
    status(page, "with seed 77")
    page.locator("#input-seed input, #input-seed textarea").fill("")
    page.locator("#again").click()
    expect(page.locator("#input-seed input, #input-seed textarea")).to_have_value("77")


def test_what_is_under_way_is_stopped(served: Served, page: Page) -> None:
    opened(page, served.url)
    asked(page, "slow 30 piano")
    status(page, "Processing")
    page.locator("#stop").click()
    status(page, "Canceled")


def test_variations_are_side_by_side(served: Served, page: Page) -> None:
    opened(page, served.url)
    page.locator("#input-count input").fill("3")
    asked(page, "slow 0.3 piano")
    status(page, "Done")
    expect(page.locator("#players audio")).to_have_count(3)


def test_an_upload_is_carried_on(served: Served, page: Page, tmp_path: Path) -> None:
    opened(page, served.url)
    given = song(tmp_path)
    page.locator("#input-input_audio input[type=file]").set_input_files(given)
    expect(page.locator("#input-input_audio")).to_contain_text("0:02")
    page.locator("#input-continuation input").check()
    asked(page, "slow 0.3 piano")
    status(page, "Done")
    made = served.client.get("/v1/predictions").json()["results"][0]
    assert made["input"]["continuation"] is True
    kept = served.client.get(made["input"]["input_audio"] + "/download")
    assert kept.content == given.read_bytes()


def test_a_trimmed_upload_is_sent_whole_with_its_part(
    served: Served, page: Page, tmp_path: Path
) -> None:
    opened(page, served.url)
    given, audio = sweep(tmp_path), page.locator("#input-input_audio")
    audio.locator("input[type=file]").set_input_files(given)
    expect(audio).to_contain_text("0:04")
    audio.get_by_label("Trim audio to selection").click()
    audio.get_by_role("button", name="Trim", exact=True).click()  # from a quarter to the half
    expect(page.locator("#input-continuation_start input")).to_have_value("1")
    expect(page.get_by_label("Continuation end")).to_have_value("2")
    asked(page, "slow 0.1 piano")
    status(page, "Done")
    made = served.client.get("/v1/predictions").json()["results"][0]["input"]
    assert (made["continuation_start"], made["continuation_end"]) == (1, 2)
    assert served.client.get(made["input_audio"] + "/download").content == given.read_bytes()
    audio.get_by_label("Clear").click()
    expect(page.locator("#input-continuation_start input")).to_have_value("0")
    expect(page.get_by_label("Continuation end")).to_have_value("")


def test_music_is_made_with_the_keyboard_alone(served: Served, page: Page) -> None:
    opened(page, served.url)
    prompt = page.locator("#input-prompt textarea")
    for _ in range(10):
        page.keyboard.press("Tab")
        if prompt.evaluate("one => one === document.activeElement"):
            break
    page.keyboard.type("slow 30 piano")
    page.keyboard.press("Enter")
    status(page, "Processing")
    stop = page.locator("#stop")
    for _ in range(10):
        page.keyboard.press("Tab")
        if stop.evaluate("one => one === document.activeElement"):
            break
    assert stop.evaluate("one => getComputedStyle(one).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_have_text("Canceled")


def test_a_dark_browser_gets_a_dark_page(served: Served, browser: Browser) -> None:
    with browser.new_context(color_scheme="dark") as context:
        page = context.new_page()
        opened(page, served.url)
        assert brightness(page, "backgroundColor") < 50
        assert brightness(page, "color") > 200


def test_a_narrow_screen_shows_players_above_the_options(served: Served, browser: Browser) -> None:
    with browser.new_context(viewport={"width": 390, "height": 844}) as context:
        page = context.new_page()
        opened(page, served.url)
        assert fits(page)
        asked(page, f"slow 0.1 {'piano' * 40}")
        status(page, "Done")
        page.locator("#history summary").click()
        page.get_by_text("The same with curl").click()
        assert fits(page)
        tops = [page.locator(name).bounding_box() for name in ("#players", "#input-duration")]
        assert tops[0] is not None
        assert tops[1] is not None
        assert tops[0]["y"] < tops[1]["y"]


def test_a_wrong_input_is_explained(served: Served, page: Page) -> None:
    opened(page, served.url)
    page.locator("#input-duration input").fill("-3")
    asked(page, "piano")
    status(page, "Not made. - input.duration: Must be greater than or equal to 0.1")
    expect(page.get_by_role("status").first).to_contain_text("input.duration")
    assert served.client.get("/v1/predictions").json()["results"] == []


def test_the_same_call_is_shown(served: Served, page: Page) -> None:
    opened(page, served.url)
    asked(page, "slow 0.1 it's a piano")
    status(page, "Done")
    page.get_by_text("The same with curl").click()
    expect(page.locator("#call-curl")).to_contain_text("/v1/models/toccata/musicgen/predictions")


def test_the_page_wants_a_token_where_the_api_does(page: Page, tmp_path: Path) -> None:
    with process(tmp_path / "data", "secret-1") as served:
        page.goto(f"{served.url}/ui")
        log_in(page, "wrong")
        expect(page.locator("body")).to_contain_text("Incorrect")
        log_in(page, "secret-1")
        expect(page.locator("#make")).to_be_visible()


def test_the_address_of_a_prediction_shows_it(served: Served, page: Page) -> None:
    body = {"version": "toccata/musicgen", "input": {"prompt": "slow 0.1 harp", "seed": 5}}
    made = served.client.post("/v1/predictions", json=body).json()
    opened(page, made["urls"]["web"])
    status(page, "with seed 5")
    expect(page.locator("#players audio")).to_have_count(1)
    expect(page.locator("#picture img")).to_be_visible()


def test_a_melody_is_drawn_under_what_was_made(served: Served, page: Page, tmp_path: Path) -> None:
    opened(page, served.url)
    page.locator("#input-input_audio input[type=file]").set_input_files(song(tmp_path))
    expect(page.locator("#input-input_audio")).to_contain_text("0:02")
    asked(page, "slow 0.3 piano")
    status(page, "Done")
    expect(page.locator("#picture img")).to_be_visible()


def test_the_page_needs_no_other_host(served: Served, page: Page) -> None:
    elsewhere: list[str] = []
    page.on(
        "request",
        lambda r: (
            elsewhere.append(r.url)
            if not r.url.startswith((served.url, "data:", "blob:"))
            else None
        ),
    )
    opened(page, served.url)
    assert elsewhere == []
