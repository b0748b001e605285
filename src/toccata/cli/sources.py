"""Input audio of the command line: a file, a URI, or - for stdin."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from toccata.errors import AudioError, InputError

if TYPE_CHECKING:
    from toccata.audio.uris import NamedBytes

STDIN = ("-", "/dev/stdin")
STDIN_NAME = "stdin"


def is_stdin(text: object) -> bool:
    """Return whether `text` is the standard input."""
    return str(text) in STDIN


def read_text(field: str, max_characters: int) -> str:
    """Read a text from the standard input.

    Raises:
        InputError: If stdin is a terminal, closed, or not UTF-8.
    """
    _check_stdin(field)
    try:
        return sys.stdin.buffer.read(4 * max_characters + 4).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(field, "-", "stdin must be text in UTF-8") from error


def open_audio(text: str | Path, field: str) -> Path | str | NamedBytes:
    """Open a path, a URI or stdin for `toccata.audio.files.read`.

    Raises:
        AudioError: If it is too large or cannot be downloaded.
        InputError: If stdin is a terminal or closed.
    """
    from toccata.audio.files import MAX_BYTES
    from toccata.audio.uris import NamedBytes, open_uri, scheme_of

    if is_stdin(text):
        _check_stdin(field)
        data = sys.stdin.buffer.read(MAX_BYTES + 1)
        if not data:
            raise AudioError(f"{STDIN_NAME}: is empty; pipe a file into it")
        return NamedBytes(data, STDIN_NAME)
    if isinstance(text, str) and scheme_of(text):
        return open_uri(text, MAX_BYTES)
    return text


def short_name(text: str | Path) -> str:
    """Return the name of a source for tags, without folders and hosts, which are private."""
    from toccata.audio.uris import scheme_of, shown

    if is_stdin(text):
        return STDIN_NAME
    plain = shown(str(text)) if scheme_of(str(text)) else str(text)
    return Path(plain).name or plain


def _check_stdin(field: str) -> None:
    if sys.stdin is None:
        raise InputError(field, "-", "stdin is closed: pipe something into it, as in < FILE")
    if sys.stdin.isatty():
        raise InputError(field, "-", "stdin is a terminal: pipe something into it, as in < FILE")
