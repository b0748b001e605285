"""Text files of strangers."""

from __future__ import annotations

from pathlib import Path

from toccata.errors import InputError


def read_text(path: Path, most_bytes: int) -> str:
    """Raises InputError for a file that is too large, cannot be read or is not UTF-8."""
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
        if len(data) > most_bytes:
            raise InputError(str(path), f"over {most_bytes} bytes", "it is too long: shorten it")
        return data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(str(path), str(error), "save it as text in UTF-8") from error
