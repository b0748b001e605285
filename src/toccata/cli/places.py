"""Write results to files, which are checked before generation, or to stdout.

A result is never lost: if it cannot be written to its place, it is saved in the folder for
temporary files, and the error names that file.
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toccata.audio.sink import write_all
from toccata.cli.outputs import is_special
from toccata.errors import AudioError, InputError
from toccata.whole_files import replace_file

STDOUT = Path("-")


@dataclass(frozen=True)
class Written:
    """The path of a written result; `problem` is the reason if it is not the requested one."""

    path: Path
    problem: str = ""


@dataclass(frozen=True)
class Place:
    """The place of a result.

    Attributes:
        path: The file; STDOUT is the standard output.
        overwrite: Whether an existing file is replaced.
        is_automatic: Whether the name is numbered if the file exists: x-2.wav.
    """

    path: Path
    overwrite: bool = False
    is_automatic: bool = False

    def write(self, data: bytes, output_format: str) -> Written:
        """Write a result completely or not at all; if that fails, save it in another folder.

        Args:
            data: The bytes of the file.
            output_format: The suffix of the file in another folder.

        Raises:
            AudioError: If it cannot be saved anywhere.
        """
        try:
            return Written(self._write(data))
        except (OSError, RuntimeError, ValueError) as error:  # pathlib may raise any of them
            name = "stdout" if self.path == STDOUT else str(self.path)
            problem = f"{name}: cannot be written ({getattr(error, 'strerror', None) or error})"
            return rescued(problem, f"{rescue_stem(self.path)}.{output_format}", data)

    def _write(self, data: bytes) -> Path:
        if self.path == STDOUT:
            write_out(data)
        elif is_special(self.path):
            self.path.write_bytes(data)
        else:
            return self._write_file(data)
        return self.path

    def _write_file(self, data: bytes) -> Path:
        """Write to a temporary file in the same folder, which then replaces the target."""
        target = _target(self.path)
        temporary = target.with_name(f".toccata-{secrets.token_hex(8)}.tmp")
        try:
            temporary.write_bytes(data)
            return self._renamed(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)

    def _renamed(self, temporary: Path, target: Path) -> Path:
        if not self.overwrite:
            target = _claimed(target, self.is_automatic)
        replace_file(temporary, target)
        return target if self.is_automatic else self.path


def write_out(data: bytes) -> None:
    """Write all of `data` to stdout, and flush it.

    Raises:
        OSError: If stdout cannot be written.
    """
    write_all(sys.stdout.buffer, data)
    sys.stdout.buffer.flush()


def reserve(places: Sequence[Place], field: str = "output") -> None:
    """Check before generation that all places can be written.

    Raises:
        InputError: If two results have one name, a file exists that may not be replaced, a folder
            does not exist or cannot be written, or stdout is a terminal.
    """
    seen: set[Path] = set()
    for place in places:
        path = place.path
        if path == STDOUT:
            _check_stdout(field)
        elif not is_special(path):
            if path in seen and not place.is_automatic:
                problem = f"gives two results the name {path}"
                raise InputError(field, str(path), "add {n} to it", problem)
            _check_file(place, field)
        seen.add(path)
    for path in seen:
        if path != STDOUT and not is_special(path):
            _check_link(path, field)
    for folder in {_target(one).parent for one in seen if one != STDOUT and not is_special(one)}:
        check_folder(folder, field)


def _target(path: Path) -> Path:
    """Return the target of a link, or another path unchanged; circular links raise RuntimeError."""
    return path.resolve() if path.is_symlink() else path


def _check_link(path: Path, field: str) -> None:
    """Raise InputError for a circular link."""
    try:
        is_circle = _target(path).is_symlink()
    except (OSError, RuntimeError):
        is_circle = True
    if is_circle:
        raise InputError(field, str(path), "it is a link that leads to itself: give another name")


def check_new(path: Path, field: str, *, overwrite: bool) -> None:
    """Raise InputError for a file that exists, unless it may be replaced."""
    if path.is_dir():
        raise InputError(field, str(path), "it is a folder: name a file in it")
    if not overwrite and path.exists():
        cure = "add --overwrite to replace it, or give another name"
        raise InputError(field, str(path), cure, f"names {path}, which exists already")


def check_folder(folder: Path, field: str) -> None:
    """Raise InputError unless a file can be created in `folder`.

    One is created, because permissions, quotas and mounts all matter.
    """
    if not folder.is_dir():
        raise InputError(field, str(folder), f"there is no folder {folder}: make it first")
    try:
        with tempfile.TemporaryFile(prefix=".toccata-", dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or error
        cure = f"the folder {folder} cannot be written to ({reason})"
        raise InputError(field, str(folder), cure) from error


def check_new_folder(folder: Path, field: str) -> None:
    """Raise InputError unless `folder` is empty or can be created."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(field, str(folder), "it is not empty: name a new folder")
    check_can_be_made(folder, field)


def check_can_be_made(path: Path, field: str) -> None:
    """Raise InputError unless files can be created in a folder or its nearest existing parent."""
    places = (path.absolute(), *path.absolute().parents)
    check_folder(next(one for one in places if one.exists()), field)


def save_elsewhere(name: str, data: bytes) -> Path:
    """Save a file in the folder for temporary files, or else in the user's home.

    Raises:
        OSError: If neither can be written.
    """
    try:
        return _saved(name, data, None)
    except OSError:  # no such folder can be written, or it is full
        return _saved(name, data, Path.home())


def rescued(problem: str, name: str, data: bytes, what: str = "the result") -> Written:
    """Save a result in another folder.

    Args:
        problem: The reason, as the beginning of a sentence.
        name: A file name.
        data: The bytes of the file.
        what: The subject of the message.

    Raises:
        AudioError: If it cannot be saved anywhere.
    """
    try:
        saved = save_elsewhere(name, data)
    except OSError as error:
        reason = error.strerror or error
        lost = f"{problem}, nor can the folder for temporary files and your home ({reason})"
        raise AudioError(lost) from error
    return Written(saved, f"{problem}; {what} is saved in {saved}")


def _saved(name: str, data: bytes, folder: Path | None) -> Path:
    """Create a file in `folder`, or for None in the folder for temporary files."""
    stem, suffix = Path(name).stem or "result", Path(name).suffix
    handle, path = tempfile.mkstemp(prefix=f"{stem}-", suffix=suffix, dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
    except OSError:
        Path(path).unlink(missing_ok=True)
        raise
    return Path(path)


def _check_stdout(field: str) -> None:
    if sys.stdout is None:
        raise InputError(field, str(STDOUT), "stdout is closed: send it to a file or a pipe")
    if sys.stdout.isatty():
        cure = "stdout is a terminal: send it to a file or a pipe, as in | ffplay -"
        raise InputError(field, str(STDOUT), cure)


def _check_file(place: Place, field: str) -> None:
    if place.path.is_dir() or not place.is_automatic:
        check_new(place.path, field, overwrite=place.overwrite)


def _claimed(path: Path, is_automatic: bool) -> Path:
    """Create an empty file at `path`, or at the first free number of it if it is automatic.

    Raises:
        FileExistsError: If the file was created meanwhile.
    """
    number = 1
    while True:
        free = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        try:
            free.touch(exist_ok=False)
        except FileExistsError:
            if not is_automatic:
                raise
            number += 1
        else:
            return free


def rescue_stem(path: Path) -> str:
    """Return the name, without suffix, of a file that is saved in another folder."""
    return "toccata" if path == STDOUT else path.stem
