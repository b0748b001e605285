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
    """Turns what writing tensors to a full or broken disk raises into a CheckpointError."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:  # torch.save raises the last
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise CheckpointError(f"{path}: cannot be written ({reason}); {CURE}") from error


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary path that takes the place of `path` once the block has written it.

    Whoever reads `path` meanwhile gets the old file or the new one, and a failure leaves the old
    one and nothing beside it.

    Raises:
        CheckpointError: The file cannot be written; the message has its path and the reason.
    """
    target = path.resolve()
    aside = target.with_name(f".toccata-{secrets.token_hex(8)}.partial")
    with write_errors(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield aside
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
