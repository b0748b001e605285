"""The lock that keeps two servers from one data folder."""

from __future__ import annotations

import fcntl
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toccata.errors import InputError


@contextmanager
def only_server(data_dir: Path) -> Iterator[str]:
    """Nobody else has the folder while the block runs; it is made if it is not there.

    The kernel keeps the lock, and lets go of it however this process ends.

    Yields:
        The name of the folder, by which a database knows whose servers it serves.

    Raises:
        InputError: Another server has it, or it cannot be used.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        file = (data_dir / "server.lock").open("a+")
    except OSError as error:
        raise InputError("data-dir", str(data_dir), f"it cannot be used: {error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            why = "another server uses it; stop that one, or give another folder"
            raise InputError("data-dir", str(data_dir), why) from error
        file.seek(0)
        name = file.read().strip()
        if not name:
            name = secrets.token_hex(16)
            file.write(name)
            file.flush()
        yield name
