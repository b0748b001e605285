"""A caption, and the facts it tells."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Told:
    """Facts in the words of `Facts`; "" and None where the text is silent.

    lead: facts.instruments[0], if its own name comes first among the instruments. mode: "major" or
    "minor", told by a named key alone. drums: whether the text asks for them or rules them out.
    """

    genre: str = ""
    lead: str = ""
    mode: str = ""
    key: str = ""
    bpm: int | None = None
    drums: bool | None = None
    mood: str = ""


@dataclass(frozen=True)
class Worded:
    """One description of a song."""

    text: str
    told: Told
