"""The folder of uploads to the page: private, bounded, emptied at each start.

No other path of this machine is ever opened for the page, whatever a request names.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from toccata.errors import InputError
from toccata.server.concurrency import FairThreads

log = logging.getLogger(__name__)

FOLDER = "page-uploads"
MAX_BYTES = 2 * 2**30
MAX_FILES = 1000
MAX_FILES_PER_UPLOAD = 10
# What a file takes of a disk, however small it is.
BLOCK_BYTES = 4096
MAX_AGE_S = 24 * 3600.0
TIDY_INTERVAL_S = 600.0


@dataclass(frozen=True)
class Held:
    """How much there is in how many files."""

    size_bytes: int
    files: int

    def __add__(self, other: Held) -> Held:
        return Held(self.size_bytes + other.size_bytes, self.files + other.files)


@dataclass(frozen=True)
class PageFiles:
    """What the page holds until it is used. max_age_s: after that an upload is removed."""

    folder: Path
    max_bytes: int = MAX_BYTES
    max_age_s: float = MAX_AGE_S
    max_files: int = MAX_FILES

    @classmethod
    def of(cls, data_dir: Path, retention_s: float | None) -> PageFiles:
        """Those of a server: they live no longer than its predictions."""
        age_s = MAX_AGE_S if retention_s is None else min(MAX_AGE_S, max(retention_s, 60.0))
        return cls((data_dir / FOLDER).resolve(), max_age_s=age_s)

    def clear(self) -> None:
        """Start with an empty folder that only this user may open."""
        if self.folder.is_symlink():
            self.folder.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)

    def own(self, path: str | Path) -> Path:
        """The file that `path` names, if it was uploaded here. Raises InputError otherwise."""
        with suppress(OSError, ValueError):  # too long a name, or a NUL in it
            found = Path(path).resolve()
            if found.is_relative_to(self.folder) and found.is_file():
                return found
        raise InputError("input_audio", Path(path).name[:80], "upload it again: it is not here")

    def held(self) -> Held:
        """What is here; it looks at every file, so not for the event loop."""
        sizes = [max(size, BLOCK_BYTES) for _, _, size in self._files()]
        return Held(sum(sizes), len(sizes))

    def fits(self, held: Held) -> bool:
        return held.size_bytes <= self.max_bytes and held.files <= self.max_files

    def remove_old(self, now: float) -> None:
        """Remove what is older than max_age_s, and folders that are empty then."""
        for path, changed_at, _ in list(self._files()):
            if changed_at < now - self.max_age_s:
                path.unlink(missing_ok=True)
                with suppress(OSError):  # another file is in it
                    path.parent.rmdir()

    def _files(self) -> Iterator[tuple[Path, float, int]]:
        """Path, time of the last change, size."""
        for path in self.folder.glob("**/*"):
            with suppress(FileNotFoundError):
                status = path.lstat()
                if not path.is_dir():
                    yield path, status.st_mtime, status.st_size


def named_paths(value: object) -> Iterator[str]:
    """Every path or address of a file that the JSON of a call to the page names, however deep."""
    level = [value]
    while level:
        for one in level:
            if isinstance(one, Mapping) and one.get("path") is not None:
                yield str(one["path"])
        level = [each for one in level for each in _inside(one)]


def _inside(value: object) -> list[object]:
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, list) else []


async def keep_tidy(files: PageFiles) -> None:
    """Remove old uploads from time to time, without end."""
    threads = FairThreads("page-tidying", 1, 1)
    while True:
        await asyncio.sleep(min(TIDY_INTERVAL_S, files.max_age_s))
        try:
            await threads.run("", partial(files.remove_old, time.time()))
        except OSError as error:
            log.warning("old uploads of the page are still there, to be removed later: %s", error)
