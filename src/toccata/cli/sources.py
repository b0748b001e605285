"""Input audio on the command line: a file, a URI, or - for stdin."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from toccata.errors import AudioError, InputError

if TYPE_CHECKING:
    from toccata.audio.source import Source

STDIN = ("-", "/dev/stdin")
STDIN_NAME = "stdin"


def is_stdin(text: object) -> bool:
    """Whether `text` means the standard input."""
    return str(text) in STDIN


def read_text(field: str, max_characters: int) -> str:
    """A text from the standard input.

    Raises:
        InputError: For a terminal, for a closed stdin, and for what is no UTF-8.
    """
    _check_stdin(field)
    try:
        return sys.stdin.buffer.read(4 * max_characters + 4).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(field, "-", "stdin must be text in UTF-8") from error


def open_audio(text: str | Path, field: str) -> Source:
    """What `toccata.audio.files.read` takes, for a path, a URI or -.

    Raises:
        AudioError: For what is too large or cannot be fetched.
        InputError: For a terminal, and for a closed stdin.
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
    """What tags call a source: its last part alone, because folders and hosts are private."""
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
