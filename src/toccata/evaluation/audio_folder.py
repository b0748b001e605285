"""A folder of audio files, with references and captions of the same names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toccata.audio.tags import read_tags
from toccata.errors import InputError

SUFFIXES = (
    ".wav", ".flac", ".ogg", ".mp3", ".m4a", ".aac", ".webm", ".opus", ".aif", ".aiff"
)  # fmt: skip
# Keys that a JSON file may have a caption under, toccata's own first.
CAPTION_KEYS = ("caption", "description", "prompt", "text")


@dataclass(frozen=True)
class Folder:
    """A folder's audio files by their path in it without the suffix, sorted."""

    path: Path
    files: Mapping[str, Path]


def find(field: str, path: Path) -> Folder:
    """Find the audio files in a folder and its subfolders.

    Args:
        field: The name of the folder's option in errors.
        path: The folder.

    Raises:
        InputError: There are none, or two that differ in the suffix alone.
    """
    if not path.is_dir():
        raise InputError(field, str(path), "give a folder with audio files")
    files: dict[str, Path] = {}
    for file in sorted(path.rglob("*")):
        inside = file.relative_to(path)
        if file.suffix.lower() not in SUFFIXES or any(part[0] == "." for part in inside.parts):
            continue
        name = inside.with_suffix("").as_posix()
        if name in files:
            raise InputError(field, str(file), f"{files[name]} has the same name: keep one of them")
        files[name] = file
    if not files:
        raise InputError(field, str(path), f"it holds no audio: {', '.join(SUFFIXES)}")
    return Folder(path, files)


def pairs(made: Folder, against: Folder) -> list[tuple[Path, Path]]:
    """Pair the files of the same name as (clip, reference). Raises InputError for no pair."""
    names = [name for name in made.files if name in against.files]
    if not names:
        raise InputError(
            "against", str(against.path), f"no file has the name of one in {made.path}: clips are "
            "compared with the reference of the same name"
        )  # fmt: skip
    return [(made.files[name], against.files[name]) for name in names]


def captions(made: Folder, path: Path | None = None) -> list[str]:
    """Find the caption of each file: NAME.txt or NAME.json, or else the prompt in its tags.

    Args:
        made: The audio files.
        path: The folder of captions; None: beside the audio.

    Raises:
        InputError: A file has no caption.
    """
    folder = path or made.path
    return [_caption(name, file, folder) for name, file in made.files.items()]


def _caption(name: str, file: Path, folder: Path) -> str:
    text = _text(folder / f"{name}.txt") or _described(folder / f"{name}.json")
    text = text or read_tags(file).get("prompt", "")
    if not text:
        raise InputError("captions", str(file), f"it has no caption: write {name}.txt in {folder}")
    return text


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8").strip() if file.exists() else ""


def _described(file: Path) -> str:
    if not file.exists():
        return ""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError("captions", str(file), f"it must be JSON ({error})") from error
    fields = content if isinstance(content, dict) else {"caption": content}
    texts = (fields.get(key) for key in CAPTION_KEYS)
    return next((text.strip() for text in texts if isinstance(text, str)), "")
