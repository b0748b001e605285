"""The instance lock: it ensures one server per data folder."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from toccata.errors import InputError


@contextmanager
def only_server(data_dir: Path) -> Iterator[str]:
    """Hold the lock of a data folder while the block runs.

    The operating system holds the lock, and releases it however this process ends.

    Args:
        data_dir: The folder, which is created if it is missing.

    Yields:
        The id of the folder, which is the identity of its servers in a lease.

    Raises:
        InputError: Another server uses the folder, or it cannot be used.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = FileLock(data_dir / "server.lock", thread_local=False)
        lock.acquire(timeout=0)
    except Timeout as error:
        cure = "another server uses it; stop that one, or give another folder"
        raise InputError("data-dir", str(data_dir), cure) from error
    except (OSError, NotImplementedError) as error:
        raise InputError("data-dir", str(data_dir), f"it cannot be used: {error}") from error
    try:
        yield _folder_id(data_dir)
    finally:
        lock.release()


def _folder_id(data_dir: Path) -> str:
    file = data_dir / "server.id"
    known = file.read_text(encoding="utf-8") if file.exists() else ""
    if not known:
        known = secrets.token_hex(16)
        file.write_text(known, encoding="utf-8")
    return known
