"""A caption, and the facts it names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NamedFacts:
    """The facts that a caption names, in the words of `Facts`; "" and None for the others.

    lead: facts.instruments[0], if its own name comes first among the instruments. mode: "major" or
    "minor", only with a named key. drums: whether the text requests or excludes them.
    """

    genre: str = ""
    lead: str = ""
    mode: str = ""
    key: str = ""
    bpm: int | None = None
    drums: bool | None = None
    mood: str = ""


@dataclass(frozen=True)
class Caption:
    """One caption of a song: its `text`, and the facts that it names."""

    text: str
    named: NamedFacts
