"""Where results are written: files that are reserved before generation, or stdout.

A result is never lost: what cannot be written where it was to go is saved in the folder for
temporary files, and the error says so.
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

STDOUT = Path("-")


@dataclass(frozen=True)
class Written:
    """Where a result was written; `problem` says why, if that is not the requested place."""

    path: Path
    problem: str = ""


@dataclass(frozen=True)
class Place:
    """Where one result goes.

    Attributes:
        path: The file; STDOUT is the standard output.
        overwrite: Whether a file of that name is replaced.
        is_automatic: Whether a name that exists already is numbered instead: x-2.wav.
    """

    path: Path
    overwrite: bool = False
    is_automatic: bool = False

    def write(self, data: bytes, output_format: str) -> Written:
        """Write `data` whole or not at all; if that fails, save it elsewhere.

        Args:
            data: The bytes of the file.
            output_format: The suffix of what is saved elsewhere.

        Raises:
            AudioError: If it can be saved nowhere.
        """
        try:
            return Written(self._write(data))
        except (OSError, RuntimeError, ValueError) as error:  # pathlib raises all three
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
        """Into a temporary file in the same folder, which then takes its place at once."""
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
        temporary.replace(target)
        return target if self.is_automatic else self.path


def write_out(data: bytes) -> None:
    """Write `data` to stdout, now and to the last byte.

    Raises:
        OSError: If stdout takes no more.
    """
    write_all(sys.stdout.buffer, data)
    sys.stdout.buffer.flush()


def reserve(places: Sequence[Place], field: str = "output") -> None:
    """Check that all `places` can be written to, before the work whose results they are to hold.

    Raises:
        InputError: For two results of one name, a file that exists and is not to be replaced, a
            folder that does not exist or cannot be written to, and a terminal.
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
    """What a link leads to; any other path as it is. A circle of links is a RuntimeError."""
    return path.resolve() if path.is_symlink() else path


def _check_link(path: Path, field: str) -> None:
    """Raises InputError for a link that leads in a circle."""
    try:
        is_circle = _target(path).is_symlink()
    except (OSError, RuntimeError):
        is_circle = True
    if is_circle:
        raise InputError(field, str(path), "it is a link that leads to itself: give another name")


def check_new(path: Path, field: str, *, overwrite: bool) -> None:
    """Raises InputError for a file that exists, unless it is to be replaced."""
    if path.is_dir():
        raise InputError(field, str(path), "it is a folder: name a file in it")
    if not overwrite and path.exists():
        cure = "add --overwrite to replace it, or give another name"
        raise InputError(field, str(path), cure, f"names {path}, which exists already")


def check_folder(folder: Path, field: str) -> None:
    """Raises InputError unless a file can be made in `folder`; tried out, because permissions,
    quotas and mounts each have a say."""
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
    """Raises InputError unless `folder` is empty, or can be made."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(field, str(folder), "it is not empty: name a new folder")
    check_can_be_made(folder, field)


def check_can_be_made(path: Path, field: str) -> None:
    """Raises InputError unless files can be made in the folder `path`, or in the nearest folder
    above it that exists."""
    places = (path.absolute(), *path.absolute().parents)
    check_folder(next(one for one in places if one.exists()), field)


def save_elsewhere(name: str, data: bytes) -> Path:
    """Save `data` in the folder for temporary files, or else in the user's home.

    Raises:
        OSError: If neither takes it; nothing is left of it then.
    """
    try:
        return _saved(name, data, None)
    except OSError:  # there is none that can be written to, or it is full
        return _saved(name, data, Path.home())


def rescued(problem: str, name: str, data: bytes, what: str = "the result") -> Written:
    """Save `data` elsewhere, because of `problem`.

    Args:
        problem: Why, as the beginning of a sentence.
        name: A file name for it.
        data: The bytes of the file.
        what: What messages call it.

    Raises:
        AudioError: If it can be saved nowhere.
    """
    try:
        saved = save_elsewhere(name, data)
    except OSError as error:
        reason = error.strerror or error
        lost = f"{problem}, nor can the folder for temporary files and your home ({reason})"
        raise AudioError(lost) from error
    return Written(saved, f"{problem}; {what} is saved in {saved}")


def _saved(name: str, data: bytes, folder: Path | None) -> Path:
    """A new file in `folder`, whole or not at all. None: the folder for temporary files."""
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
    """`path`, or the first number of it that is free, as an empty file of ours.

    Raises FileExistsError if somebody made it meanwhile.
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
    """The name, without its suffix, of what is saved elsewhere in place of `path`."""
    return "toccata" if path == STDOUT else path.stem
