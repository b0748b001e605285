"""Genres of bands: guitars, a bass, a kit."""

from __future__ import annotations

from recipes.mini.composer.genres import Genre

_SNARE_FILL = {"kick": "x...", "snare": "x.xX"}
_TOM_FILL = {"kick": "x...", "high_tom": "xx..", "low_tom": "..xX"}
_LONG_TOM_FILL = {"snare": "xxxx....", "high_tom": "....xx..", "low_tom": "......xX"}
_BACKBEAT = "....X.......X..."
_EIGHTHS = "x.x.x.x.x.x.x.x."

ROCK = Genre(
    name="rock",
    words=("rock", "rock and roll", "alternative rock", "indie rock", "garage rock"),
    bpm=(104, 144),
    minor_share=0.4,
    major_moods=("energetic", "upbeat", "bold"),
    minor_moods=("driving", "gritty", "bold"),
    major_chords=("1 5 4 1", "1 4 5 4 1 4 5 1", "1 1 4 5"),
    minor_chords=("1 7 6 5!", "1 4 5! 1", "1 1 7 1"),
    chord_instruments=("overdriven guitar",),
    chord_patterns=("x-x-x-x-x-x-x-x-", "x------- x-----x-", "x---x-x- --x-x---"),
    lead_instruments=("overdriven guitar", "organ"),
    lead_patterns=("x---x-x-x---x---", "x-x-x-----x-x---", "x-----x-x-------", "x-x-x-x-x---x-x-"),
    bass_instruments=("bass guitar",),
    bass_patterns=("1-1-1-1-1-1-1-1-", "1---1-1-1---1-5-", "1-1-1-1-1-1-5->-"),
    kits=("acoustic",),
    drum_patterns=(
        {"kick": "X.......X.x.....", "snare": _BACKBEAT, "hat": _EIGHTHS},
        {"kick": "X.....x.X.......", "snare": _BACKBEAT, "ride": "x...x...x...x..."},
        {"kick": "X.x.....x.x.....", "snare": _BACKBEAT, "open": _EIGHTHS},
    ),
    fills=(_SNARE_FILL, _TOM_FILL, _LONG_TOM_FILL),
    drum_share=0.96,
    lead_share=0.8,
    pentatonic=True,
    voicing="power",
    crash=True,
)

METAL = Genre(
    name="metal",
    words=("metal", "heavy metal", "thrash metal", "metal riff", "hard metal"),
    bpm=(132, 168),
    minor_share=0.95,
    major_moods=("powerful", "triumphant"),
    minor_moods=("aggressive", "angry", "dark", "powerful"),
    major_chords=("1 5 4 1", "1 1 4 1"),
    minor_chords=("1 1 6 4", "1 6 4 1", "1 3 4 1", "1 1 4 5!"),
    chord_instruments=("distortion guitar",),
    chord_patterns=("x.xxx.xxx.xxx.xx", "xxxxxxxxxxxxxxxx", "x---..x.x.x.x---", "x.xxxxx.x.xxx---"),
    lead_instruments=("distortion guitar",),
    lead_patterns=("x-x-x-x-x-x-x-x-", "x---x-x-x-x-x---", "x-xxx-xxx-x-x---", "x-------x-------"),
    bass_instruments=("bass guitar",),
    bass_patterns=("1.111.111.111.11", "1111111111111111", "1-1-1-1-1-1-1-1-"),
    kits=("acoustic",),
    drum_patterns=(
        {"kick": "XxXxXxXxXxXxXxXx", "snare": _BACKBEAT, "open": "x...x...x...x..."},
        {"kick": "X.xxX.xxX.xxX.xx", "snare": _BACKBEAT, "ride": "x...x...x...x..."},
        {"kick": "X.X.X.X.X.X.X.X.", "snare": ".X.X.X.X.X.X.X.X", "open": "x...x...x...x..."},
    ),
    fills=(_LONG_TOM_FILL, {"kick": "xxxx", "low_tom": "xxxX"}),
    drum_share=0.97,
    lead_share=0.78,
    voicing="power",
    crash=True,
)

FUNK = Genre(
    name="funk",
    words=("funk", "funk groove", "funky soul", "seventies funk", "street funk"),
    bpm=(96, 112),
    minor_share=0.45,
    major_moods=("playful", "happy", "upbeat"),
    minor_moods=("groovy", "funky", "cool"),
    major_chords=("1 1 4 5~", "1 4 1 5~", "1 4 5~ 1"),
    minor_chords=("1 1 4 5!", "1 4 1 5!", "1 4 5! 1"),
    chord_instruments=("clean guitar", "organ"),
    chord_patterns=("x..x..x...x.x...", "..x...xx..x...x.", "x.x..x....xx..x."),
    lead_instruments=("brass section", "saxophone", "trumpet"),
    lead_patterns=("x.x...x.xx......", "..x.x.xx....x...", "x..x..x.........", "....x.x.x..x..x."),
    bass_instruments=("bass guitar", "slap bass"),
    bass_patterns=("1..1..8.1..1..5.", "1.....1.8..5..1.", "1.1...8...5.1.>."),
    kits=("acoustic",),
    drum_patterns=(
        {"kick": "X..x......x..x..", "snare": "....X..o.o..X..o", "hat": "xoxoxoxoxoxoxoxo"},
        {"kick": "X.x.......xx....", "snare": "....X..o....X...", "hat": "x.x.x.x.x.x.x.x."},
        {"kick": "X.....x...x.....", "snare": "....X..o.o..X..o", "cowbell": "x...x...x...x..."},
    ),
    fills=(_SNARE_FILL, {"snare": "xoxX"}),
    drum_share=0.96,
    lead_share=0.8,
    pentatonic=True,
    late=("snare",),
)

BLUES = Genre(
    name="blues",
    words=("blues", "electric blues", "slow blues", "blues shuffle", "delta blues"),
    bpm=(72, 116),
    minor_share=0.3,
    major_moods=("laid-back", "gritty", "soulful", "lively"),
    minor_moods=("soulful", "smoky", "heartbroken"),
    major_chords=("1 4~ 1 1 4~ 4~ 1 1 5~ 4~ 1 5~", "1 1 1 1 4~ 4~ 1 1 5~ 4~ 1 5~"),
    minor_chords=("1 4 1 1 4 4 1 1 6 5! 1 5!", "1 1 1 1 4 4 1 1 5! 4 1 5!"),
    chord_instruments=("organ", "clean guitar", "piano"),
    chord_patterns=("..x-..x-..x-..x-", "x-..x-x-x-..x-x-", "x-------......x-", "....x.......x..."),
    lead_instruments=("harmonica", "overdriven guitar"),
    lead_patterns=("x-x-x-----......", "..x-x-x-x---....", "x---x-x-x-------", "x-x-x-x-x-x-x---"),
    bass_instruments=("bass guitar", "upright bass"),
    bass_patterns=("1-1-3-3-5-5-6-5-", "1---3---5---6---", "1-..1-..5-..6-5-"),
    solo_instruments=("piano", "acoustic guitar"),
    kits=("acoustic",),
    drum_patterns=(
        {"kick": "x.......x.......", "snare": "....X.......X...", "ride": "x.x.x.x.x.x.x.x."},
        {"kick": "x.....x.x.......", "snare": "....X.......X.o.", "hat": "x.x.x.x.x.x.x.x."},
    ),
    fills=({"snare": "x.xx"}, {"high_tom": "x.x.", "low_tom": "..x."}),
    drum_share=0.75,
    lead_share=0.9,
    solo_share=0.4,
    swing="eighths",
    pentatonic=True,
    late=("snare",),
)

COUNTRY = Genre(
    name="country",
    words=("country", "country music", "bluegrass", "western", "country ballad", "honky-tonk"),
    bpm=(92, 132),
    minor_share=0.15,
    major_moods=("happy", "warm", "carefree", "hopeful"),
    minor_moods=("lonely", "wistful"),
    major_chords=("1 4 5 1", "1 1 4 5 1 4 5 1", "1 4 1 5", "1 5 4 1"),
    minor_chords=("1 4 5! 1", "1 7 5! 1"),
    chord_instruments=("banjo", "acoustic guitar"),
    chord_patterns=("..x...x...x...x.", "0.2.1.3.0.2.1.3.", "0213021302130213"),
    lead_instruments=("violin", "harmonica", "banjo"),
    lead_patterns=("x---x-x-x---x---", "x-x-x-x-x---x---", "x-x-x---x-x-x---", "x---x---x-------"),
    bass_instruments=("upright bass", "bass guitar"),
    bass_patterns=("1---....5---....", "1---5---1---5---", "1---..1-5---..>-"),
    solo_instruments=("acoustic guitar", "banjo"),
    kits=("acoustic", "brushes"),
    drum_patterns=(
        {"kick": "x.......x.......", "snare": "ooxooooxooxoooxo"},
        {"kick": "x...x...x...x...", "snare": "..x...x...x...x."},
        {"kick": "x.......x.......", "rim": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."},
    ),
    fills=({"snare": "xxxx"}, {"snare": "x.xx"}),
    drum_share=0.65,
    lead_share=0.85,
    solo_share=0.2,
    pentatonic=True,
)

BAND = (ROCK, METAL, FUNK, BLUES, COUNTRY)
