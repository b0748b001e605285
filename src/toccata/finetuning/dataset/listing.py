"""Find the audio files of a folder."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from pathlib import Path

from toccata.audio.sniff import READABLE
from toccata.errors import InputError

_SOUND_SUFFIXES = frozenset({
    ".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".mp4", ".aac", ".webm",
    ".mka", ".mkv", ".mov", ".aif", ".aiff", ".aifc", ".caf", ".w64", ".rf64", ".au", ".snd", ".wv",
    ".wma", ".amr", ".ac3", ".eac3", ".mp2",
    # These cannot be read, which should be an error rather than ignored.
    ".ape", ".tta", ".mpc", ".dsf", ".mid", ".midi",
})  # fmt: skip


@dataclass(frozen=True)
class Track:
    """One audio file; `name` is its path within the folder, the same on every system."""

    name: str
    path: Path


def songs_of(data: Path) -> list[Track]:
    """Find all audio in a folder and its subfolders, by name, except hidden files.

    Raises:
        InputError: It is no folder, or has no audio.
    """
    if not data.is_dir():
        raise InputError("data", str(data), "name a folder with your music in it")
    found = [path for path in visible_files(data) if path.suffix.lower() in _SOUND_SUFFIXES]
    if not found:
        raise InputError("data", str(data), f"there is no audio in it; put {READABLE} files there")
    return [Track(plain_name(path.relative_to(data).as_posix()), path) for path in found]


def plain_name(name: str) -> str:
    """Normalize a path: slashes, and accents composed (NFC), which some systems decompose."""
    return unicodedata.normalize("NFC", name.replace("\\", "/")).removeprefix("./")


def visible_files(data: Path) -> list[Path]:
    """All files in a folder and its folders, sorted, without those whose names begin with a dot."""
    paths = (path for path in data.rglob("*") if path.is_file())
    return sorted(path for path in paths if not _is_hidden(path.relative_to(data)))


def _is_hidden(within: Path) -> bool:
    return any(part.startswith(".") for part in within.parts)
