"""Where results are written: file names from a pattern, checked before any music is made."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from string import Formatter

from toccata.errors import InputError
from toccata.schema import EXTENDED

KEYS = ("seed", "n", "model", "format")
FORMATS = EXTENDED["output_format"].choices
DEFAULT_PATTERN = "{model}-{seed}.{format}"


@dataclass(frozen=True)
class Names:
    """The file names of one command's results."""

    pattern: str
    model: str
    format: str

    def path(self, seed: int, n: int) -> Path:
        """The path of result `n`, counted from 1."""
        model = Path(self.model).name
        return Path(self.pattern.format(seed=seed, n=n, model=model, format=self.format))


def suffix_format(pattern: str | None, output_format: str | None) -> str | None:
    """The format that a file name's suffix asks for, if it may be asked for.

    Raises InputError where suffix and `output_format` say different things.
    """
    suffix = Path(pattern or "").suffix.removeprefix(".").lower()
    if suffix in ("", "{format}"):
        return output_format
    if suffix not in FORMATS:
        raise InputError("output", pattern, "its suffix must be one of ." + ", .".join(FORMATS))
    if output_format not in (None, suffix):
        detail = f"its suffix does not fit --output-format {output_format}: give one of the two"
        raise InputError("output", pattern, detail)
    return suffix


def names(pattern: str | None, model: str, output_format: str, count: int) -> Names:
    """The names for `count` results. A name without a suffix gets that of the format.

    Raises InputError for a placeholder that does not exist, for several results of one name, and
    for a folder that is not there: before any music is made.
    """
    pattern = DEFAULT_PATTERN if pattern is None else pattern
    chosen = Names(
        pattern if Path(pattern).suffix else f"{pattern}.{{format}}", model, output_format
    )
    used = _placeholders(pattern)
    if count > 1 and not used & {"seed", "n"}:
        raise InputError(
            "output", pattern, f"{count} files need different names: add {{n}} or {{seed}}"
        )
    folder = chosen.path(seed=0, n=1).parent
    if not folder.is_dir():
        raise InputError("output", pattern, f"there is no folder {folder}: make it first")
    if not os.access(folder, os.W_OK):
        raise InputError("output", pattern, f"the folder {folder} cannot be written to")
    return chosen


def _placeholders(pattern: str) -> set[str]:
    allowed = "its placeholders may be " + ", ".join(f"{{{key}}}" for key in KEYS)
    try:
        used = {name for _, name, _, _ in Formatter().parse(pattern) if name is not None}
        if used <= set(KEYS):
            pattern.format(seed=0, n=1, model="", format="")
            return used
    except ValueError:
        pass
    raise InputError("output", pattern, allowed)
