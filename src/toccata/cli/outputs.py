"""The names of output files, which are formatted by a pattern and checked before generation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from string import Formatter

from toccata.errors import InputError, check_path
from toccata.generation.schema import FORMAT

KEYS = ("seed", "n", "model", "format")
FORMATS = FORMAT.choices
DEFAULT_PATTERN = "{model}-{seed}.{format}"
STDOUT = ("-", "/dev/stdout")


@dataclass(frozen=True)
class Names:
    """The file names of a command's results.

    Attributes:
        pattern: A path with placeholders and its suffix.
        is_automatic: Whether the name is a default, which is numbered if the file exists.
    """

    pattern: str
    is_automatic: bool

    def path(self, seed: int, n: int, model: str, output_format: str) -> Path:
        """Return the path of result `n`, counted from 1."""
        name = Path(model).name
        return Path(self.pattern.format(seed=seed, n=n, model=name, format=output_format))


def is_stdout(pattern: str | None) -> bool:
    """Return whether `pattern` is the standard output."""
    return pattern in STDOUT


def is_special(path: Path) -> bool:
    """Return whether `path` is a device or a pipe, which is not replaced."""
    return path.exists() and not path.is_file() and not path.is_dir()


def suffix_format(pattern: str | None, output_format: str | None) -> str | None:
    """Return the format of an output file, by its suffix or by the option.

    Args:
        pattern: The pattern of the output file; None for the default.
        output_format: The value of the option --output-format.

    Returns:
        The format; None if neither sets it.

    Raises:
        InputError: If the suffix is not that of a format, or contradicts the option.
    """
    if pattern:
        check_path("output", pattern)
    if pattern is None or is_stdout(pattern) or _is_folder(pattern) or is_special(Path(pattern)):
        return output_format
    suffix = Path(pattern).suffix.removeprefix(".").lower()
    if suffix in ("", "{format}"):
        return output_format
    if suffix not in FORMATS:
        raise InputError("output", pattern, "its suffix must be one of ." + ", .".join(FORMATS))
    if output_format not in (None, suffix):
        detail = f"its suffix does not fit --format {output_format}: give one of the two"
        raise InputError("output", pattern, detail)
    return suffix


def names(pattern: str | None, count: int, default: str = DEFAULT_PATTERN) -> Names:
    """Return the names of results.

    A name without a suffix gets that of the format, and a single name for several results is
    numbered: x.wav becomes x-1.wav, x-2.wav and so on.

    Args:
        pattern: The pattern of the output file; None for the default.
        count: The number of results.
        default: The pattern without one, or in a folder.

    Raises:
        InputError: If a placeholder does not exist.
    """
    if pattern is None or _is_folder(pattern):
        return Names(str(_literal(pattern) / default) if pattern else default, is_automatic=True)
    used = _placeholders(pattern)
    if is_special(Path(pattern)):
        return Names(str(_literal(pattern)), is_automatic=False)
    path = Path(pattern)
    stem, suffix = str(path.with_suffix("")), path.suffix or ".{format}"
    number = "-{n}" if count > 1 and not used & {"seed", "n"} else ""
    return Names(stem + number + suffix, is_automatic=False)


def _is_folder(pattern: str) -> bool:
    return pattern.endswith("/") or Path(pattern).is_dir()


def _literal(pattern: str) -> Path:
    """Escape the braces of a path."""
    return Path(pattern.replace("{", "{{").replace("}", "}}"))


# Format specifications such as 03, without nested placeholders or huge widths.
_SPEC = re.compile(r"[^{}\d]*\d{0,2}[^{}\d]*")


def _placeholders(pattern: str) -> set[str]:
    allowed = "its placeholders may be " + ", ".join(f"{{{key}}}" for key in KEYS)
    try:
        parts = [part for part in Formatter().parse(pattern) if part[1] is not None]
        used = {str(name) for _, name, _, _ in parts}
        if used <= set(KEYS) and all(_SPEC.fullmatch(spec or "") for _, _, spec, _ in parts):
            pattern.format(seed=0, n=1, model="", format="")
            return used
    except ValueError:
        pass
    raise InputError("output", pattern, allowed)
