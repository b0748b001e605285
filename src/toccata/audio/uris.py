"""Read audio from http, https, file and data URIs, with limits of size and time.

The command line uses it, so that addresses of private networks are allowed. The server does not,
and has stricter rules.
"""

from __future__ import annotations

import base64
import binascii
import http.client
import io
import re
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

from toccata.errors import AudioError

SCHEMES = ("http", "https", "file", "data")
TIMEOUT_S = 120.0  # for a whole download
_WAIT_TIMEOUT_S = 20.0  # for each wait in it
_CHUNK_BYTES = 2**18
_MAX_SHOWN = 80
_DATA = re.compile(r"data:[^,]*?(;base64)?,", re.IGNORECASE | re.DOTALL)
# A scheme has two letters or more, because a drive letter of Windows is no scheme.
_URI = re.compile(r"([a-z][a-z0-9+.-]+):(//)?", re.IGNORECASE)


class NamedBytes(io.BytesIO):
    """Bytes with a name for error messages."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


def scheme_of(text: str) -> str:
    """Return the scheme of a URI in lower case; empty for a path."""
    found = _URI.match(text)
    if found is None:
        return ""
    scheme, rest = found[1].lower(), text[found.end() :]
    is_uri = found[2] or scheme == "data" or (scheme == "file" and rest.startswith("/"))
    return scheme if is_uri else ""


def open_uri(uri: str, max_bytes: int, timeout_s: float = TIMEOUT_S) -> NamedBytes:
    """Read the bytes at an http, https, file or data URI.

    Args:
        uri: The address.
        max_bytes: The largest size.
        timeout_s: The longest time of a download in seconds.

    Raises:
        AudioError: If the scheme is another one, or the bytes cannot be read within the limits; the
            message has the address without password and query.
    """
    name, scheme = shown(uri), scheme_of(uri)
    if scheme not in SCHEMES:
        raise AudioError(f"{name}: its scheme is not one of {', '.join(SCHEMES)}")
    if scheme == "data":
        data = _data(uri, name)
    elif scheme == "file":
        data = _file(uri, name, max_bytes)
    else:
        data = _download(uri, name, max_bytes, timeout_s)
    if len(data) > max_bytes:
        limit = f"{max_bytes / 2**20:.6g} MiB"
        raise AudioError(f"{name}: is larger than the limit of {limit}; cut it first")
    return NamedBytes(data, name)


def shown(uri: str) -> str:
    """Return the address for messages and tags, without user, password, query and data."""
    if scheme_of(uri) == "data":
        return "data URI"
    bare = re.split("[?#]", uri)[0]
    return re.sub(r"//[^/]*@", "//", bare)[:_MAX_SHOWN]


def _data(uri: str, name: str) -> bytes:
    head = _DATA.match(uri)
    if head is None:
        raise AudioError(f"{name}: it must be like data:audio/wav;base64,BYTES")
    rest = urllib.parse.unquote_to_bytes(uri[head.end() :])
    if head[1] is None:
        return rest
    try:  # programs break base64 into lines
        return base64.b64decode(b"".join(rest.split()), validate=True)
    except binascii.Error as error:
        raise AudioError(f"{name}: its base64 is damaged ({error}); encode it again") from error


def _file(uri: str, name: str, max_bytes: int) -> bytes:
    parts = urllib.parse.urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        raise AudioError(f"{name}: names another machine; write file:///PATH")
    path = urllib.request.url2pathname(parts.path)
    try:
        with Path(path).open("rb") as file:
            return file.read(max_bytes + 1)
    except OSError as error:
        raise AudioError(f"{name}: cannot be read ({error.strerror or error})") from error


class _HttpOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirects only to http and https; urllib would also follow them to ftp."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], *rest: Any
    ) -> urllib.request.Request | None:
        request = super().redirect_request(req, fp, *rest)
        if request is not None and request.type not in ("http", "https"):
            fp.close()
            raise urllib.error.URLError(f"it leads to {request.type}")
        return request


class _Deadline:
    """Shuts down the connections of a download after a timeout.

    Timeouts of single waits do not end a download whose server sends a byte from time to time.
    """

    def __init__(self, timeout_s: float) -> None:
        self._end_s = time.monotonic() + timeout_s
        self._timer = threading.Timer(timeout_s, self._shut_down)
        self._timer.daemon = True
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._end_s

    def watch(self, opened: socket.socket) -> None:
        self._sockets.append(opened)
        if self.is_over:
            raise TimeoutError("its time is over")

    def _shut_down(self) -> None:
        for opened in self._sockets:
            with suppress(OSError):  # it was closed by then
                # The shutdown method of a TLS socket must not be called from another thread.
                socket.socket.shutdown(opened, socket.SHUT_RDWR)


def _watched(kind: Any, deadline: _Deadline) -> Any:
    """Return a class of connections that `deadline` shuts down."""

    class Watched(kind):  # type: ignore[misc]
        def connect(self) -> None:
            super().connect()
            deadline.watch(self.sock)

    return Watched


def _opener(deadline: _Deadline) -> urllib.request.OpenerDirector:
    class Http(urllib.request.HTTPHandler):
        def do_open(self, http_class: Any, req: Any, **options: Any) -> Any:
            return super().do_open(_watched(http_class, deadline), req, **options)

    class Https(urllib.request.HTTPSHandler):
        def do_open(self, http_class: Any, req: Any, **options: Any) -> Any:
            return super().do_open(_watched(http_class, deadline), req, **options)

    return urllib.request.build_opener(_HttpOnly, Http, Https)


def _download(uri: str, name: str, max_bytes: int, timeout_s: float) -> bytes:
    with _Deadline(timeout_s) as deadline:
        try:
            data = _fetched(uri, name, max_bytes, deadline)
        except AudioError:
            if not deadline.is_over:
                raise
        if deadline.is_over:
            raise AudioError(f"{name}: was not fetched within {timeout_s:g} s; fetch it yourself")
    return data


def _fetched(uri: str, name: str, max_bytes: int, deadline: _Deadline) -> bytes:
    try:
        request = urllib.request.Request(uri, headers={"User-Agent": "toccata"})  # noqa: S310
        with _opener(deadline).open(request, timeout=_WAIT_TIMEOUT_S) as response:
            return _read(response, max_bytes, deadline)
    except urllib.error.HTTPError as error:
        error.close()
        raise AudioError(f"{name}: the server answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise AudioError(f"{name}: cannot be fetched ({reason})") from error


def _read(response: http.client.HTTPResponse, max_bytes: int, deadline: _Deadline) -> bytes:
    """Read at most one byte more than `max_bytes`."""
    data = bytearray()
    while chunk := response.read1(min(_CHUNK_BYTES, max_bytes + 1 - len(data))):
        data += chunk
        if len(data) > max_bytes or deadline.is_over:
            break
    return bytes(data)
