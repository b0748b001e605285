"""Read requests from the rows of a CSV or JSONL file, for `--prompts FILE`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from toccata.cli.inputs import COLUMNS, INPUTS, field_of
from toccata.cli.sources import is_stdin, read_text
from toccata.errors import InputError, InputErrors, ToccataError
from toccata.generation.values import from_text
from toccata.settings import read_boolean

MAX_CHARACTERS = 64 * 2**20
SUFFIXES = (".csv", ".jsonl")

Row = dict[str, object]
T = TypeVar("T")


class RowError(InputError):
    """A value of a row is invalid; its message has the names of columns, not of flags."""

    def sentence(self, rename: Callable[[str], str]) -> str:  # noqa: ARG002
        return str(self)


class PlacedError(RowError):
    """A problem of a request, with the line of its row."""

    def __init__(self, where: str, problem: InputError) -> None:
        super().__init__(where, problem.value, problem.allowed, problem.problem)
        self._sentence = f"{where}: {problem}"

    def __str__(self) -> str:
        return self._sentence


def read_rows(name: str) -> list[tuple[str, Row]]:
    """Read the requests of a file.

    The columns of a CSV and the keys of JSON are fields of a request; an empty cell and null are
    ignored.

    Args:
        name: A path, or - for stdin.

    Returns:
        For each request its line ("songs.csv line 2") and its fields.

    Raises:
        InputErrors: With every line that has unknown columns, damaged JSON or wrong types.
    """
    text, kind, shown = _content(name)
    problems: list[InputError] = []
    rows: list[tuple[str, Row]] = []
    for number, read in _lines(text, kind, shown):
        where = f"{shown} line {number}"
        try:
            rows.append((where, {key: value for key, value in read(where).items() if value != ""}))
        except InputErrors as found:
            problems += found.problems
        except InputError as problem:
            problems.append(problem)
    if problems:
        raise InputErrors(problems)
    if not rows:
        raise InputError("prompts", name, "there are no requests in it: write one a line")
    return rows


def checked_rows(rows: list[tuple[str, Row]], check: Callable[[int, Row], T]) -> list[T]:
    """Call `check` with the index and the fields of every row.

    Raises:
        InputErrors: With the problems of all rows.
    """
    problems: list[InputError] = []
    checked = []
    for index, (where, row) in enumerate(rows):
        try:
            checked.append(check(index, row))
        except InputError as error:
            found = error.problems if isinstance(error, InputErrors) else (error,)
            problems += [PlacedError(where, problem) for problem in found]
    if problems:
        raise InputErrors(problems)
    return checked


@contextmanager
def of_line(where: str) -> Iterator[None]:
    """Add the line `where` to the errors of the block, unless it is empty.

    Raises:
        ToccataError: The error of the block, with its line.
    """
    try:
        yield
    except ToccataError as error:
        named = placed(error, where)
        if named is error:
            raise
        raise named from error


def placed(error: ToccataError, where: str) -> ToccataError:
    """Return an error with the line `where`, or unchanged if it is empty."""
    if not where:
        return error
    if isinstance(error, InputError):
        return PlacedError(where, error)
    error.args = (f"{where}: {error}",)
    return error


def _content(name: str) -> tuple[str, str, str]:
    """Read the text of a file, its suffix, and its name in messages."""
    if is_stdin(name):
        text = read_text("prompts", MAX_CHARACTERS)
        return text, ".jsonl" if text.lstrip().startswith("{") else ".csv", "stdin"
    path = Path(name)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError("prompts", name, "its suffix must be " + " or ".join(SUFFIXES))
    try:
        return path.read_text(encoding="utf-8-sig"), path.suffix.lower(), path.name
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise InputError("prompts", name, f"it cannot be read: {reason}") from error


def _lines(text: str, kind: str, shown: str) -> Iterator[tuple[int, Callable[[str], Row]]]:
    """Yield the number of each line with a request, and a function that parses it."""
    if kind == ".jsonl":
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                yield number, partial(_from_json, line=line)
        return
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(f"{shown} line 1", header)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, partial(_from_cells, header=header, cells=cells)
    except csv.Error as error:
        where = f"{shown} line {reader.line_num}"
        raise RowError(
            where, None, "put cells with commas or quotes in quotes", str(error)
        ) from error


def _check_header(where: str, header: list[str]) -> None:
    if len(header) == 1 and ";" in header[0]:
        cure = "put commas between the columns, not semicolons"
        raise RowError(where, None, cure, f"is {header[0]!r}")
    problems = _unknown(where, header)
    if problems:
        raise InputErrors(problems)
    if len(set(header)) < len(header):
        raise RowError(where, None, "name each column once", "has a column twice")


def _from_json(where: str, line: str) -> Row:
    try:
        row = json.loads(line, object_pairs_hook=partial(_once, where))
    except RecursionError as error:
        cure = 'write {"prompt": "..."}'
        raise RowError(where, None, cure, "is nested too deeply") from error
    except ValueError as error:
        raise RowError(where, None, f"write one object a line ({error})", "is no JSON") from error
    if not isinstance(row, dict):
        raise RowError(where, None, 'write {"prompt": "..."}', "is no JSON object")
    problems = _unknown(where, row)
    if problems:
        raise InputErrors(problems)
    return {name: value for name, value in row.items() if value is not None}


def _once(where: str, pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise RowError(where, None, "name each key once", "has a key twice")
    return values


def _from_cells(where: str, header: list[str], cells: list[str]) -> Row:
    if len(cells) != len(header):
        cure = "put cells with commas in quotes"
        raise RowError(where, None, cure, f"has {len(cells)} cells and not {len(header)}")
    pairs = zip(header, cells, strict=True)
    return {name: _value(where, name, cell) for name, cell in pairs if cell.strip()}


def _value(where: str, name: str, cell: str) -> object:
    field = field_of(name)
    if field.kind == "boolean":
        return read_boolean(f"{where}: {name}", cell.strip())
    return from_text(field, cell if name == "prompt" else cell.strip())


def _unknown(where: str, names: Iterable[str]) -> list[InputError]:
    known = ", ".join(INPUTS.names)
    return [
        RowError(f"{where}: {name!r}", None, f"the columns may be {known}", "is no column")
        for name in names
        if name not in COLUMNS
    ]
