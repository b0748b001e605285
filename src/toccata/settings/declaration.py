"""The declaration of a setting: one field of a dataclass, with all that users are told of it.

Flags, TOCCATA_ variables, the reference and the checks come from it, see `setting`. Declarations
are read whenever the command line starts, so nothing here imports pydantic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

T = TypeVar("T")

PREFIX = "TOCCATA_"
KINDS = {int: "a whole number", float: "a number", Path: "a path", bool: "1, true, 0 or false"}
_KEY = "setting"


@dataclass(frozen=True)
class _Description:
    """What `setting` was called with, but for the default; see there."""

    text: str
    default_text: str
    ge: float | None
    le: float | None
    choices: tuple[str, ...]
    check: Callable[[Any], Any] | None
    name: str
    flags: tuple[str, ...]
    metavar: str
    is_repeatable: bool
    has_variable: bool
    is_of_server: bool


def setting(
    default: T,
    description: str,
    default_text: str = "",
    *,
    ge: float | None = None,
    le: float | None = None,
    choices: tuple[str, ...] = (),
    check: Callable[[Any], T] | None = None,
    name: str = "",
    flags: tuple[str, ...] = (),
    metavar: str = "",
    is_secret: bool = False,
    is_repeatable: bool = False,
    has_variable: bool = True,
    is_of_server: bool = False,
) -> T:
    """Declare a setting, as the default of a dataclass's field.

    Args:
        default: Its value if neither flag nor variable is given.
        description: A sentence for help texts and the reference.
        default_text: The default in words, where the value does not say it.
        ge: The smallest number allowed.
        le: The largest number allowed.
        choices: All texts allowed; empty: any.
        check: Takes the value that was read, and returns it or another in its place. It raises
            ValueError with the cure.
        name: The name of flag and variable; empty: that of the field.
        flags: The flags as typer takes them; empty: made from the name.
        metavar: What help texts call the value; empty: made from its type.
        is_secret: Whether `repr` and errors leave it out.
        is_repeatable: Whether the flag may be repeated; otherwise tuples are lists with commas.
        has_variable: Whether there is a TOCCATA_ variable.
        is_of_server: Whether `toccata serve` alone reads it, although other commands have it.
    """
    about = _Description(
        description, default_text, ge, le, choices, check, name, flags, metavar, is_repeatable,
        has_variable, is_of_server,
    )  # fmt: skip
    made: T = field(default=default, repr=not is_secret, metadata={_KEY: about})
    return made


@dataclass(frozen=True)
class Setting:
    """A declared setting.

    Attributes:
        field: The name of the field that holds it.
        kind: The type of its values, without None.
        default: Its value if it is not given.
        is_secret: Whether nobody may be shown its value.
        about: What was declared of it.
    """

    field: str
    kind: Any
    default: Any
    is_secret: bool
    about: _Description

    @property
    def name(self) -> str:
        """The name that users know it by."""
        return self.about.name or self.field

    @property
    def variable(self) -> str:
        """Its variable; empty if it has none."""
        return PREFIX + self.name.upper() if self.about.has_variable else ""

    @property
    def flags(self) -> tuple[str, ...]:
        """Its flags as typer takes them, the longest first."""
        flag = f"--{self.name.replace('_', '-')}"
        if self.kind is bool and self.default:
            flag = f"{flag}/--no-{flag[2:]}"
        return self.about.flags or (flag,)

    @property
    def flag(self) -> str:
        """The flag that turns it on or sets it."""
        return self.flags[0].partition("/")[0]

    @property
    def default_in_words(self) -> str:
        """The default as users read it; empty: there is none, or its flag shows it."""
        if self.about.default_text:
            return self.about.default_text
        if self.default in (None, ()) or self.kind is bool:
            return ""
        return f"{self.default:g}" if self.kind is float else str(self.default)

    @property
    def is_list(self) -> bool:
        """Whether it holds several values."""
        return bool(self.kind == tuple[str, ...])

    @property
    def limits(self) -> str:
        """The numbers allowed, such as "from 1 to 1024"; empty if there is no limit."""
        if self.about.ge is None:
            return ""
        if self.about.le is None:
            return f"from {self.about.ge:g} on"
        return f"from {self.about.ge:g} to {self.about.le:.0f}"

    @property
    def allowed(self) -> str:
        """The values allowed, in words; empty: any text."""
        if self.about.choices:
            return ", ".join(self.about.choices)
        if self.is_list and not self.about.is_repeatable:
            return "names with commas between them"
        return f"{KINDS.get(self.kind, '')} {self.limits}".strip()


@cache
def settings_of(owner: type) -> tuple[Setting, ...]:
    """All settings that a dataclass declares, in their order."""
    kinds = get_type_hints(owner)
    declared = [one for one in fields(owner) if _KEY in one.metadata]
    return tuple(_setting(one, kinds[one.name]) for one in declared)


def _setting(declared: Field[Any], kind: Any) -> Setting:
    assert declared.default is not MISSING  # noqa: S101 - see `setting`
    given = [one for one in get_args(kind) if one is not NoneType]
    whole = given[0] if NoneType in get_args(kind) else kind
    about = declared.metadata[_KEY]
    return Setting(declared.name, whole, declared.default, not declared.repr, about)
