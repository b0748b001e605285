"""The palette: few enough timbres for a small model to learn each of them well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Instrument:
    """A General MIDI program; `centre` is the middle of its chords, `lead` of its melodies."""

    name: str
    program: int
    family: str  # one of FAMILIES
    words: tuple[str, ...]
    gain_db: float = 0.0
    centre: int = 60
    lead: int = 74


@dataclass(frozen=True)
class Kit:
    """A General MIDI drum kit (bank 128), with a gain for every stroke that needs one."""

    name: str
    program: int
    words: tuple[str, ...]
    gains_db: Mapping[str, float]


FAMILIES = (
    "piano", "mallet", "organ", "guitar", "strings", "voice", "brass", "wind", "synth", "bass",
)  # fmt: skip

# The gains even out FluidR3 as tinysoundfont plays it: a lead at -20 dB (K-weighted RMS), a
# bass at -18, kick and snare at -10 and hats at -22 within their first 50 ms.
_INSTRUMENTS = (
    Instrument("piano", 0, "piano", ("piano", "acoustic piano", "grand piano"), 13),
    Instrument("electric piano", 4, "piano", ("electric piano", "rhodes", "e-piano"), 3),
    Instrument("music box", 10, "mallet", ("music box",), -2, centre=67, lead=79),
    Instrument("vibraphone", 11, "mallet", ("vibraphone", "vibes"), 8),
    Instrument("marimba", 12, "mallet", ("marimba",), 6, lead=72),
    Instrument("steel pan", 114, "mallet", ("steel pan", "steelpan", "steel pans"), -5, lead=72),
    Instrument("organ", 16, "organ", ("organ", "hammond organ"), -1),
    Instrument("accordion", 21, "organ", ("accordion", "squeezebox"), 4, lead=72),
    Instrument(
        "acoustic guitar", 24, "guitar", ("acoustic guitar", "nylon guitar", "guitar"), -1, lead=69
    ),
    Instrument(
        "clean guitar", 27, "guitar", ("clean guitar", "clean electric guitar"), -3, lead=69
    ),
    Instrument("overdriven guitar", 29, "guitar", ("overdriven guitar", "rock guitar"), -6, 48, 67),
    Instrument(
        "distortion guitar", 30, "guitar", ("distorted guitar", "heavy guitar"), -13, 45, 67
    ),
    Instrument("banjo", 105, "guitar", ("banjo", "five-string banjo"), 0, lead=69),
    Instrument("upright bass", 32, "bass", ("upright bass", "double bass", "acoustic bass"), -1),
    Instrument("bass guitar", 33, "bass", ("bass guitar", "electric bass", "bass"), -1),
    Instrument("synth bass", 38, "bass", ("synth bass",), 12),
    Instrument("slap bass", 36, "bass", ("slap bass", "slapped bass"), 3),
    Instrument("sub bass", 39, "bass", ("sub bass", "deep sub bass"), -1),
    Instrument("strings", 48, "strings", ("strings", "string section", "orchestral strings"), 1),
    Instrument("violin", 40, "strings", ("violin", "fiddle", "solo violin"), 4, lead=76),
    Instrument("harp", 46, "strings", ("harp", "concert harp"), 7),
    Instrument("choir", 52, "voice", ("choir", "voices", "choral pad"), 2),
    Instrument("trumpet", 56, "brass", ("trumpet",), -5, lead=70),
    Instrument(
        "brass section", 61, "brass", ("brass section", "horn section", "horns"), -3, lead=68
    ),
    Instrument("saxophone", 65, "wind", ("saxophone", "sax", "alto sax"), -4, lead=67),
    Instrument("flute", 73, "wind", ("flute",), 0, lead=77),
    Instrument("clarinet", 71, "wind", ("clarinet",), -5, lead=70),
    Instrument("harmonica", 22, "wind", ("harmonica", "mouth organ"), 2),
    Instrument("square lead", 80, "synth", ("square lead", "chiptune lead", "square synth"), 6),
    Instrument("saw lead", 81, "synth", ("saw lead", "synth lead", "saw synth"), 2),
    Instrument("warm pad", 89, "synth", ("warm pad", "synth pad", "pad"), 8),
)
_KITS = (
    Kit(
        "acoustic", 16, ("drums", "drum kit", "acoustic drums"),
        {"kick": 3, "snare": -1, "rim": 5, "clap": -1, "hat": 18, "pedal": 17, "open": 14,
         "ride": 5, "crash": 5, "shaker": -6, "tambourine": -8, "cowbell": 1, "high_conga": 5,
         "low_conga": 2, "clave": -6},
    ),
    Kit(
        "808", 25, ("808 drums", "electronic drums", "drum machine"),
        {"kick": -2, "snare": -4, "rim": 5, "clap": -6, "hat": -12, "pedal": -16, "open": -15,
         "ride": -15, "low_tom": -6, "high_tom": -8, "crash": 5, "shaker": -6, "tambourine": 7,
         "cowbell": -12, "high_conga": -9, "low_conga": -11, "clave": -13},
    ),
    Kit(
        "brushes", 40, ("brushed drums", "brushes", "soft drums"),
        {"kick": 4, "snare": 13, "rim": 7, "clap": 13, "hat": 16, "pedal": 15, "open": 12,
         "ride": 9, "low_tom": 8, "high_tom": 7, "crash": 2, "shaker": -4, "tambourine": 9,
         "cowbell": 0, "high_conga": 4, "low_conga": 1, "clave": -6},
    ),
)  # fmt: skip

INSTRUMENTS: Mapping[str, Instrument] = {item.name: item for item in _INSTRUMENTS}
KITS: Mapping[str, Kit] = {kit.name: kit for kit in _KITS}
INSTRUMENT_OF_PROGRAM: Mapping[int, Instrument] = {item.program: item for item in _INSTRUMENTS}
KIT_OF_PROGRAM: Mapping[int, Kit] = {kit.program: kit for kit in _KITS}

# What a drum line may strike, by the names used in the patterns.
STROKES: Mapping[str, int] = {
    "kick": 36, "snare": 38, "rim": 37, "clap": 39, "hat": 42, "pedal": 44, "open": 46,
    "ride": 51, "low_tom": 45, "high_tom": 48, "shaker": 70, "tambourine": 54,
    "crash": 49, "cowbell": 56, "high_conga": 63, "low_conga": 64, "clave": 75,
}  # fmt: skip
