"""Outputs and uploads as browsers, players and caches want them."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest

from tests.server.conftest import SEED_VERSION, Serve, Served
from toccata.server.api.byte_ranges import disposition, saved_name, span_of


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-1", (0, 2)), ("Bytes=0-1", (0, 2)), ("BYTES = 2 - 3", (2, 4)),
        ("bytes=5-", (5, 10)), ("bytes=-3", (7, 10)), ("bytes=-99", (0, 10)),
        ("bytes=0-99", (0, 10)), ("bytes=10-", (10, 10)), ("bytes=-0", (10, 10)),
        ("bytes=3-2", None), ("bytes=-", None), ("bytes=0-1,3-4", None), ("items=0-1", None),
        ("bytes=a-b", None), ("bytes=" + "9" * 30 + "-", None),
        ("bytes=" + " " * 60_000 + "x", None), ("", None), (None, None),
    ],
)  # fmt: skip
def test_the_span_that_is_asked_for(header: str | None, span: tuple[int, int] | None) -> None:
    assert span_of(header, 10) == span


@pytest.fixture
def served(serve: Serve) -> Served:
    return serve()


@pytest.fixture
def made(served: Served) -> dict[str, Any]:
    return served.until(served.create(prompt="Lo-fi Beat, 80 bpm: é!", seed=5)["id"])


def test_head_tells_what_get_would(served: Served, made: dict[str, Any]) -> None:
    file = served.client.post("/v1/files", files={"content": ("a.wav", b"12345")}).json()
    for url in (made["output"], made["urls"]["audio"], file["urls"]["get"] + "/download"):
        head, whole = served.client.head(url), served.client.get(url)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-length", "content-type", "etag", "last-modified", "accept-ranges"):
            assert head.headers[name] == whole.headers[name], name


def test_who_has_it_is_not_sent_it_again(served: Served, made: dict[str, Any]) -> None:
    url = made["output"]
    whole = served.client.get(url)
    etag, modified = whole.headers["etag"], whole.headers["last-modified"]
    for known in (
        {"If-None-Match": etag}, {"If-None-Match": f'"x", W/{etag}'}, {"If-None-Match": "*"},
        {"If-Modified-Since": modified}, {"If-Modified-Since": formatdate(4e9, usegmt=True)},
    ):  # fmt: skip
        answer = served.client.get(url, headers=known)
        assert (answer.status_code, answer.content) == (304, b""), known
        assert answer.headers["etag"] == etag
    for unknown in (
        {"If-None-Match": '"x"'}, {"If-Modified-Since": formatdate(0, usegmt=True)},
        {"If-None-Match": '"x"', "If-Modified-Since": modified}, {"If-Modified-Since": "soon"},
    ):  # fmt: skip
        assert served.client.get(url, headers=unknown).content == whole.content, unknown


def test_a_range_of_another_version_is_the_whole(served: Served, made: dict[str, Any]) -> None:
    url, part = made["output"], {"Range": "bytes=0-1"}
    whole = served.client.get(url)
    for same in (whole.headers["etag"], whole.headers["last-modified"]):
        assert served.client.get(url, headers=part | {"If-Range": same}).status_code == 206
    for other in ('"x"', f"W/{whole.headers['etag']}", formatdate(0, usegmt=True), "soon"):
        answer = served.client.get(url, headers=part | {"If-Range": other})
        assert (answer.status_code, answer.content) == (200, whole.content)


def test_music_is_saved_under_a_name_that_says_what_it_is(
    served: Served, made: dict[str, Any]
) -> None:
    name = served.client.get(made["output"]).headers["content-disposition"]
    assert name == 'inline; filename="lo-fi-beat-80-bpm-e-5.wav"'
    assert served.client.get(made["urls"]["audio"]).headers["content-disposition"] == name
    file = served.client.post("/v1/files", files={"content": ("né \u266a.wav", b"1")}).json()
    given = served.client.get(file["urls"]["get"] + "/download").headers["content-disposition"]
    assert given.startswith("attachment; ")
    assert given.endswith("filename*=UTF-8''n%C3%A9%20%E2%99%AA.wav")


def test_names_of_files_hold_nothing_that_breaks_a_header() -> None:
    assert saved_name(None, "meta/musicgen", 7, "mp3") == "musicgen-7.mp3"
    assert saved_name("\u266a " * 99, "mini", 7, "mp3") == "mini-7.mp3"
    assert len(saved_name("a b " * 99, "mini", 7, "mp3")) < 60
    assert disposition("inline", 'a"\r\nb;c.wav').split(";")[1] == ' filename="a___b_c.wav"'


def test_a_player_may_probe_music_that_is_being_made(served: Served) -> None:
    body = {"version": SEED_VERSION, "input": {"prompt": "slow 20 piano", "duration": 20}}
    made = served.client.post("/v1/predictions", json=body).json()
    served.until(made["id"], "processing")
    probe = served.client.get(made["urls"]["audio"], headers={"Range": "bytes=0-1"})
    assert (probe.status_code, len(probe.content)) == (206, 2)
    assert probe.headers["content-range"] == "bytes 0-1/*"
    assert served.client.head(made["urls"]["audio"]).status_code == 200
    with served.client.stream("GET", made["urls"]["audio"], headers={"Range": "bytes=0-"}) as live:
        assert live.status_code == 200
        assert next(live.iter_bytes())[:2] == probe.content
    served.client.post(f"/v1/predictions/{made['id']}/cancel")
