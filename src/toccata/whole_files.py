"""Write files completely or not at all; errors name the file."""

from __future__ import annotations

import secrets
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


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path that takes the place of `path` once the block has written it.

    A reader of `path` meanwhile gets the old file or the new one, and a failure leaves the old one
    and nothing beside it.

    Args:
        path: The file, in a folder that exists; a link is kept, and what it points to replaced.

    Raises:
        OSError: The temporary file cannot be renamed.
    """
    target = path.resolve()
    temporary = target.with_name(f".toccata-{secrets.token_hex(8)}.partial")
    try:
        yield temporary
        temporary.replace(target)
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
