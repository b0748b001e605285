"""A cache of encoded files: an .npz for each, named by a digest of what its codes depend on."""

from __future__ import annotations

import hashlib
import logging
import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO
from zipfile import BadZipFile

import numpy as np

from toccata.errors import InputError
from toccata.finetuning.dataset.encoding import Encoded
from toccata.finetuning.dataset.items import Tags
from toccata.whole_files import replacing

_NAMED_BY = 24  # hexadecimal digits of each digest
_BROKEN = (OSError, EOFError, ValueError, TypeError, LookupError, BadZipFile, zlib.error)

log = logging.getLogger(__name__)


class CodeCache:
    """A folder of encoded files.

    Any change of a file, the codec or the options is another name, so nothing gets stale. Files
    are written whole, so that a stopped preparation can be continued.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        """Raises InputError if `folder` cannot be made."""
        self._folder, self._identity = folder, identity[:_NAMED_BY]
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = f"name a folder that can be written ({error.strerror})"
            raise InputError("cache", str(folder), reason) from error

    def load(self, content: str) -> list[Encoded] | None:
        """The chunks of the file with this digest; None if they are missing or damaged."""
        path = self._path(content)
        if not path.exists():
            return None
        try:
            return _read(path)
        except _BROKEN as error:
            log.warning("%s: is damaged (%s); it is encoded again", path, error)
            return None

    def __contains__(self, content: str) -> bool:
        """Whether there is an entry, damaged or not."""
        return self._path(content).exists()

    def store(self, content: str, chunks: Sequence[Encoded]) -> None:
        with replacing(self._path(content)) as temporary, temporary.open("wb") as file:
            _write(file, chunks)

    def _path(self, content: str) -> Path:
        return self._folder / f"{content[:_NAMED_BY]}-{self._identity}.npz"


def content_digest(path: Path) -> str:
    """The digest of a file's bytes. Raises InputError for one that cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError("data", str(path), f"it cannot be read ({error.strerror})") from error


def _write(file: BinaryIO, chunks: Sequence[Encoded]) -> None:
    """Write chunks as arrays. An unknown tempo is nan, an unknown key "", no melody no rows."""
    tags = [chunk.tags for chunk in chunks]
    nothing, no_rows = [np.zeros((0, 0), np.uint16)], np.zeros(0, np.uint8)
    np.savez(
        file,
        start_s=np.array([chunk.start_s for chunk in chunks], np.float64),
        frames=np.array([chunk.codes.shape[1] for chunk in chunks], np.int64),
        codes=np.concatenate([chunk.codes for chunk in chunks] or nothing, axis=1),
        bpm=np.array([tag.bpm or math.nan for tag in tags], np.float64),
        key=np.array([tag.key or "" for tag in tags], np.str_),
        loudness_lufs=np.array([tag.loudness_lufs for tag in tags], np.float64),
        pitch=np.array([no_rows if c.pitch is None else c.pitch for c in chunks], np.uint8),
    )


def _read(path: Path) -> list[Encoded]:
    """Read chunks; a file that is not of `_write` raises one of `_BROKEN`."""
    # Opened here: numpy leaves what it cannot read open.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        arrays = dict(stored)
    ends = arrays["frames"].cumsum()
    return [
        Encoded(
            start_s=float(arrays["start_s"][i]),
            tags=Tags(
                bpm=None if math.isnan(arrays["bpm"][i]) else float(arrays["bpm"][i]),
                key=str(arrays["key"][i]) or None,
                loudness_lufs=float(arrays["loudness_lufs"][i]),
            ),
            codes=arrays["codes"][:, end - arrays["frames"][i] : end],
            pitch=arrays["pitch"][i] if arrays["pitch"].shape[1] else None,
        )
        for i, end in enumerate(ends)
    ]
