"""Read captions: a file beside each song, or one table of all."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from toccata.errors import InputError
from toccata.finetuning.dataset.caption_json import caption_of
from toccata.finetuning.dataset.caption_table import read_table, read_text
from toccata.finetuning.dataset.listing import Track, visible_files
from toccata.finetuning.dataset.problems import Problems
from toccata.generation.schema import MAX_PROMPT_CHARACTERS

_SUFFIXES = (".txt", ".json")
_MAX_BYTES = 2**16
_Captions = dict[str, str | None]  # by song name; None: there is one, but it is wrong

log = logging.getLogger(__name__)


def read_captions(
    songs: Sequence[Track], data: Path, table: Path | None, *, needed: bool
) -> dict[str, str]:
    """Read the captions of songs.

    Args:
        songs: All songs of the folder.
        data: The folder.
        table: A CSV; None: files beside the songs.
        needed: Whether every song must have a caption.

    Returns:
        Captions by the name of the song.

    Raises:
        InputErrors: All problems of captions.
    """
    problems = Problems()
    captions = _beside(songs, data, problems) if table is None else _tabled(songs, table, problems)
    place = "a .txt of the same name" if table is None else f"a row of {table.name}"
    for song in songs:
        if needed and song.name not in captions:
            cure = f"it has no caption: describe the music in {place}, or allow auto_tags"
            problems.add(song.name, None, cure)
    problems.raise_all()
    return {name: caption for name, caption in captions.items() if caption is not None}


def _beside(songs: Sequence[Track], data: Path, problems: Problems) -> _Captions:
    files = _caption_files(data)
    captions: _Captions = {}
    for song in songs:
        if paths := files.get(song.path.with_suffix("")):
            captions[song.name] = None
            with problems.noted():
                captions[song.name] = _checked(song.name, _read_one(song.name, paths))
    # A caption without a song may be a README, or misspelt.
    for stray in files.keys() - {song.path.with_suffix("") for song in songs}:
        log.warning("%s: there is no audio of that name; it is not used", files[stray][0])
    return captions


def _caption_files(data: Path) -> dict[Path, list[Path]]:
    """Caption files by their paths without suffixes."""
    files = defaultdict[Path, list[Path]](list)
    for path in visible_files(data):
        if path.suffix.lower() in _SUFFIXES:
            files[path.with_suffix("")].append(path)
    return files


def _tabled(songs: Sequence[Track], table: Path, problems: Problems) -> _Captions:
    rows: dict[str, str] = {}
    with problems.noted():
        rows = read_table(table, {song.name for song in songs})
    captions: _Captions = dict.fromkeys(rows)
    for name, caption in rows.items():
        with problems.noted():
            captions[name] = _checked(name, caption)
    return captions


def _read_one(name: str, paths: Sequence[Path]) -> str:
    if len(paths) > 1:
        both = " and ".join(path.name for path in paths)
        raise InputError(name, both, "keep one of the files", f"has two captions, {both}")
    text = read_text(paths[0], _MAX_BYTES)
    return caption_of(name, text) if paths[0].suffix.lower() == ".json" else text


def _checked(name: str, caption: str) -> str:
    """The caption on one line. Raises InputError for an empty or an endless one."""
    words = " ".join(caption.split())
    if not words:
        cure = "describe the music, or delete the caption"
        raise InputError(name, caption, cure, "has an empty caption")
    if len(words) > MAX_PROMPT_CHARACTERS:
        limit = f"its caption has {len(words)} characters: use at most {MAX_PROMPT_CHARACTERS}"
        raise InputError(name, f"{words[:40]}...", limit)
    return words
