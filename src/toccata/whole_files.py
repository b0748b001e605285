"""Write files completely or not at all; errors name the file."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toccata.errors import CheckpointError

CURE = "free some space there, or name another folder"


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Convert the errors of writing tensors to a full or broken disk to a CheckpointError."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:  # torch.save raises the last
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise CheckpointError(f"{path}: cannot be written ({reason}); {CURE}") from error


def replace_file(temporary: Path, target: Path) -> None:
    """Let a finished file take the place of `target`, whose permissions it keeps.

    Raises:
        PermissionError: The target is write-protected.
        OSError: The file cannot be renamed.
    """
    if target.exists():
        if not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, "the file is write-protected", str(target))
        temporary.chmod(stat.S_IMODE(target.stat().st_mode))
    temporary.replace(target)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path that takes the place of `path` once the block has written it.

    A reader of `path` meanwhile gets the old file or the new one, and a failure leaves the old one
    and nothing beside it.

    Args:
        path: The file, in a folder that exists; a link is kept, and what it points to replaced.
            Its permissions are kept.

    Raises:
        PermissionError: The file is write-protected.
        OSError: The temporary file cannot be renamed.
    """
    target = path.resolve()
    temporary = target.with_name(f".toccata-{secrets.token_hex(8)}.partial")
    try:
        yield temporary
        replace_file(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """As `replacing`, for tensors; the folder is made.

    Raises:
        CheckpointError: If the file cannot be written; the message has its path and the reason.
    """
    with write_errors(path):
        path.resolve().parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            yield temporary
