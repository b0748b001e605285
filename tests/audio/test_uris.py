"""Audio by its address: what may be fetched, and what the limits are."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.audio.sounds import file_bytes, sine
from toccata.audio.files import read
from toccata.audio.uris import open_uri, scheme_of, shown
from toccata.errors import AudioError

MOST = 2**20
TONE = file_bytes(sine(), "flac")


class _Handler(BaseHTTPRequestHandler):
    """tone.flac, addresses that lead elsewhere, and one that never ends."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path in ("/to-tone", "/to-ftp", "/round"):
            targets = {"/to-tone": "/tone.flac", "/to-ftp": "ftp://127.0.0.1/x", "/round": "/round"}
            self.send_response(302)
            self.send_header("Location", targets[path])
            self.end_headers()
        elif path == "/endless":
            self.send_response(200)
            self.end_headers()
            while True:
                try:
                    self.wfile.write(bytes(2**16))
                except OSError:
                    return
        elif path in ("/drip", "/continue"):
            part = b"x" if path == "/drip" else b"HTTP/1.1 100 Continue\r\n\r\n"
            self.wfile.write(b"HTTP/1.1 200 OK\r\nName: " if path == "/drip" else b"")
            while True:
                try:
                    self.wfile.write(part)
                except OSError:
                    return
                time.sleep(0.05)
        elif path == "/tone.flac":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(TONE)
        else:
            self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("path", ["/tone.flac", "/to-tone"])
def test_audio_is_fetched(base: str, path: str) -> None:
    fetched = open_uri(base + path, MOST)
    assert fetched.name == base + path
    assert read(fetched).duration_s == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("path", "said"),
    [("/none", "404"), ("/endless", "larger than the limit of 1 MiB"), ("/to-ftp", "ftp"),
     ("/round", "302")],
)  # fmt: skip
def test_what_cannot_be_had_is_said(base: str, path: str, said: str) -> None:
    with pytest.raises(AudioError, match=said) as caught:
        open_uri(f"{base}{path}?token=secret", MOST)
    assert "secret" not in str(caught.value)


def test_a_download_has_to_end(base: str) -> None:
    with pytest.raises(AudioError, match="was not fetched within 0 s"):
        open_uri(base + "/endless", 2**40, timeout_s=0.0)


@pytest.mark.parametrize("path", ["/drip", "/continue"])
def test_a_download_ends_whose_server_says_a_little_now_and_then(base: str, path: str) -> None:
    began_s = time.monotonic()
    with pytest.raises(AudioError, match="was not fetched within 1 s"):
        open_uri(base + path, MOST, timeout_s=1.0)
    assert time.monotonic() - began_s < 15


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(AudioError, match=r"http://127\.0\.0\.1:9/x: cannot be fetched"):
        open_uri("http://someone:secret@127.0.0.1:9/x", MOST)


@pytest.mark.parametrize("encode", [base64.b64encode, base64.encodebytes])
def test_data_uris_with_and_without_line_breaks(encode: object) -> None:
    text = encode(TONE).decode()  # type: ignore[operator]
    assert read(open_uri(f"data:audio/flac;base64,{text}", MOST)).duration_s == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("uri", "said"),
    [("data:audio/wav;base64,AAA", "base64 is damaged"), ("data:audio/wav", "must be like"),
     ("ftp://host/x.wav", "not one of http"), ("file://host/x.wav", "another machine"),
     ("file:///none/x.wav", "No such file")],
)  # fmt: skip
def test_wrong_addresses_are_explained(uri: str, said: str) -> None:
    with pytest.raises(AudioError, match=said):
        open_uri(uri, MOST)


def test_files_by_their_address(tmp_path: Path) -> None:
    path = tmp_path / "a tone.flac"
    path.write_bytes(TONE)
    assert read(open_uri(path.as_uri(), MOST)).duration_s == pytest.approx(0.5)


def test_what_is_an_address() -> None:
    assert scheme_of("HTTPS://host/x") == "https"
    assert scheme_of("data:;base64,") == "data"
    assert [scheme_of(path) for path in ("a.wav", "C:\\a.wav", "take: two.wav", "/a:b/c")] == [
        ""
    ] * 4
    assert shown("https://me:pass@host/a.wav?key=1#x") == "https://host/a.wav"
