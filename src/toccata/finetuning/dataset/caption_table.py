"""Captions of a whole folder in one CSV: a row for each song, with the columns file and caption."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping
from pathlib import Path

from toccata.errors import InputError
from toccata.finetuning.dataset.listing import plain_name
from toccata.finetuning.dataset.problems import Problems

COLUMNS = ("file", "caption")
_HEADER = ",".join(COLUMNS)
_MAX_BYTES = 64 * 2**20


def read_table(table: Path, names: Collection[str]) -> dict[str, str]:
    """Read captions by song name from a CSV; songs need no row.

    Raises:
        InputErrors: All wrong rows.
    """
    if not table.is_file():
        raise InputError("captions", str(table), f"name a CSV with the columns {_HEADER}")
    reader = csv.reader(io.StringIO(read_text(table, _MAX_BYTES), newline=""), strict=True)
    problems, captions = Problems(), dict[str, str]()
    try:
        header = _header(table, next(reader, []))
        for row in filter(None, reader):
            with problems.noted():
                name, caption = _row(f"{table.name} line {reader.line_num}", header, row)
                captions[_new(name, names, captions, table)] = caption
    except csv.Error as error:
        problems.add(table.name, f"line {reader.line_num}", f"it is no CSV ({error})")
    problems.raise_all()
    return captions


def _header(table: Path, header: list[str]) -> list[str]:
    names = [name.strip().lower() for name in header]
    if sorted(names) != sorted(COLUMNS):
        raise InputError(table.name, ",".join(header), f"its first line must be {_HEADER}")
    return names


def _row(where: str, header: list[str], row: list[str]) -> tuple[str, str]:
    """The song's name and its caption."""
    if len(row) != len(header):
        cure = f"it has {len(row)} cells and not 2: put captions with commas in quotes"
        raise InputError(where, ",".join(row)[:40], cure)
    values = dict(zip(header, row, strict=True))
    return plain_name(values["file"].strip()), values["caption"]


def _new(name: str, names: Collection[str], captions: Mapping[str, str], table: Path) -> str:
    if name in captions:
        raise InputError(name, table.name, "keep one", f"has two rows in {table.name}")
    if name not in names:
        problem = f"has a row in {table.name}"
        raise InputError(name, None, "there is no audio of that name in the folder", problem)
    return name


def read_text(path: Path, max_bytes: int) -> str:
    """Read a text file. Raises InputError if it is too large, unreadable or not UTF-8."""
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise InputError(str(path), None, "shorten it", f"is too long, over {max_bytes} bytes")
        return data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        problem = f"cannot be read as text ({error})"
        raise InputError(str(path), None, "save it in UTF-8", problem) from error
