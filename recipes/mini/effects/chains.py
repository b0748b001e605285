"""The chains, and which genre goes through which of them."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from recipes.mini.composer.composition import Facts


@dataclass(frozen=True)
class Chain:
    """Settings of the effects; the defaults change nothing."""

    drive_db: float = 0.0
    ratio: float = 1.0
    chorus_share: float = 0.0
    low_db: float = 0.0  # of the shelf below 200 Hz
    high_db: float = 0.0  # of the shelf above 3 kHz
    low_pass_hz: float = 0.0
    room: str = ""
    wet_db: float = -15.0  # energy of the room's answer, relative to the direct sound's


CHAINS: Mapping[str, Chain] = MappingProxyType(
    {
        "dry": Chain(ratio=1.5, high_db=1.0),
        "room": Chain(ratio=1.5, low_db=1.0, high_db=1.0, room="room", wet_db=-14.0),
        "plate": Chain(ratio=1.5, high_db=2.0, room="plate", wet_db=-14.0),
        "hall": Chain(low_db=1.0, room="hall", wet_db=-12.0),
        "space": Chain(chorus_share=0.3, low_db=1.0, room="hall", wet_db=-12.0),
        "tape": Chain(
            drive_db=4.0, ratio=2.0, low_db=2.0, low_pass_hz=7000.0, room="room", wet_db=-16.0
        ),
        "club": Chain(drive_db=2.0, ratio=2.5, low_db=2.0, high_db=3.0, room="room", wet_db=-18.0),
        "neon": Chain(
            ratio=2.0, chorus_share=0.3, low_db=1.0, high_db=2.0, room="plate", wet_db=-14.0
        ),
        "amp": Chain(drive_db=5.0, ratio=2.0, high_db=1.0, room="room", wet_db=-15.0),
        "chip": Chain(drive_db=3.0, low_pass_hz=10000.0),
    }
)
# One of the list is drawn by song, so that a genre does not tell the whole sound.
CHAINS_OF_GENRE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "lo-fi": ("tape", "tape", "room"),
        "house": ("club", "club", "plate"),
        "techno": ("club", "club", "dry"),
        "rock": ("amp", "room"),
        "funk": ("room", "dry"),
        "hip hop": ("club", "tape", "dry"),
        "synthwave": ("neon", "neon", "club"),
        "jazz": ("room", "room", "plate"),
        "bossa nova": ("room", "dry"),
        "ambient": ("space", "hall"),
        "classical": ("hall", "hall", "room"),
        "folk": ("room", "dry"),
        "cinematic": ("hall", "space"),
        "waltz": ("hall", "room"),
        "reggae": ("plate", "room"),
        "disco": ("club", "plate"),
        "drum and bass": ("club", "dry"),
        "blues": ("amp", "room"),
        "country": ("room", "plate"),
        "metal": ("amp", "club"),
        "salsa": ("room", "plate"),
        "trap": ("club", "dry"),
        "trance": ("neon", "club"),
        "chiptune": ("chip", "dry"),
    }
)
_OTHER_GENRES = ("room",)
# Long rooms blur strokes: music with drums has a shorter one.
_WITH_DRUMS: Mapping[str, str] = MappingProxyType({"hall": "plate", "space": "neon"})


def chain_name(facts: Facts) -> str:
    """The chain of a song, a key of CHAINS; a genre without chains of its own is in a room.

    The draw rests on what is true of the song at any length: a longer cut sounds the same.
    """
    names = CHAINS_OF_GENRE.get(facts.genre, _OTHER_GENRES)
    draw = zlib.crc32(f"{facts.genre}/{facts.bpm}/{facts.mood}".encode())
    name = names[draw % len(names)]
    return _WITH_DRUMS.get(name, name) if facts.drums else name
