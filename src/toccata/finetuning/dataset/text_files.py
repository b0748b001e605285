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
            raise InputError(str(path), None, "shorten it", f"is too long, over {most_bytes} bytes")
        return data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        problem = f"cannot be read as text ({error})"
        raise InputError(str(path), None, "save it in UTF-8", problem) from error
