"""Genres of the Caribbean and Latin America."""

from __future__ import annotations

from recipes.mini.composer.genres import Genre

REGGAE = Genre(
    name="reggae",
    words=("reggae", "roots reggae", "dub reggae", "island reggae", "jamaican reggae"),
    bpm=(68, 84),
    minor_share=0.4,
    major_moods=("sunny", "relaxed", "carefree", "warm"),
    minor_moods=("laid-back", "rolling", "earthy"),
    major_chords=("1 4 1 5", "1 4 5 1", "1 6 4 5"),
    minor_chords=("1 4 1 5!", "1 1 4 5!", "1 4 5! 1"),
    chord_instruments=("organ", "clean guitar"),
    chord_patterns=("..x...x...x...x.", "..xx..xx..xx..xx"),
    lead_instruments=("steel pan", "trumpet", "saxophone"),
    lead_patterns=("x---x-x-x---....", "..x-x-x-x---....", "x-..x-..x-x-x---", "x-x-x-..x-x-x-.."),
    bass_instruments=("bass guitar",),
    bass_patterns=("1-..1-3-5---....", "1---..1-3-..5-..", "1-..5-..8-5-3-.."),
    solo_instruments=("organ",),
    kits=("acoustic",),
    drum_patterns=(
        {"kick": "........X.......", "rim": "........x.......", "hat": "x.o.x.o.x.o.x.o."},
        {"kick": "X.......X.......", "rim": "........x.....o.", "hat": "..x...x...x...x."},
        {"kick": "X...X...X...X...", "rim": "........x.......", "hat": "x.o.x.o.x.o.x.o."},
    ),
    fills=({"rim": "x.xx"}, {"high_tom": "x.xx....", "low_tom": "....x.x."}),
    drum_share=0.88,
    late=("rim", "hat"),
)

SALSA = Genre(
    name="salsa",
    words=("salsa", "salsa dura", "mambo", "cuban son", "latin dance"),
    bpm=(90, 106),
    minor_share=0.5,
    major_moods=("festive", "sunny", "lively"),
    minor_moods=("fiery", "passionate", "lively"),
    major_chords=("1 4 5 1", "1 4 5 4 1 4 5 1", "1 4 2 5"),
    minor_chords=("1 4 5! 1", "1 4 4 5!", "1 4 1 5!"),
    chord_instruments=("piano",),
    chord_patterns=("x.0x.20x.20x.2x.", "0.xx.0.x.0.x.0x.", "x.02x.02.x0.x.02"),
    lead_instruments=("brass section", "trumpet", "flute"),
    lead_patterns=("x..x..x-..x-x---", "..x-x-xx-.x-....", "x-..x..x..x-x---", "x-x..x-x..x.x-.."),
    bass_instruments=("upright bass", "bass guitar"),
    bass_patterns=("1-----5---..8---", "1-....5-....8-5-"),
    kits=("acoustic",),
    drum_patterns=(
        {
            "clave": "x..x..x...x.x...",
            "cowbell": "x.xxx.xxx.xxx.xx",
            "high_conga": "......xx......xx",
            "low_conga": "x...........x...",
        },
        {
            "clave": "..x.x...x..x..x.",
            "high_conga": "x.x.x.xxx.x.x.xx",
            "low_conga": "............x.x.",
            "shaker": "x.o.x.o.x.o.x.o.",
        },
    ),
    fills=(
        {"high_conga": "xx.x", "low_conga": "..x."},
        {"high_conga": "x.xxx.xx", "cowbell": "x...x..."},
    ),
    drum_share=0.95,
)

BOSSA = Genre(
    name="bossa nova",
    words=("bossa nova", "bossa", "latin jazz", "brazilian bossa nova", "brazilian jazz"),
    bpm=(112, 136),
    minor_share=0.45,
    major_moods=("sunny", "relaxed", "romantic"),
    minor_moods=("romantic", "wistful", "gentle"),
    major_chords=("1 6 2 5", "1 1 2 5 1 2 5 1", "1 2 5 1"),
    minor_chords=("1 4 5! 1", "1 1 4 5!", "1 6 4 5! 1 4 5! 1"),
    chord_instruments=("acoustic guitar",),
    chord_patterns=("x-..x-..x-.x-.x-", "x-.x-.x-..x-.x-.", "x--x--x---x--x--"),
    lead_instruments=("flute", "saxophone", "piano", "clarinet"),
    lead_patterns=("x-----x-x---x---", "..x-x-x---x-x---", "x---x---..x-x-x-", "x-------..x-x---"),
    bass_instruments=("upright bass",),
    bass_patterns=("1-----1-5-----5-", "1-----5-8-----5-", "1-----1-5----->-"),
    solo_instruments=("acoustic guitar",),
    kits=("brushes",),
    drum_patterns=(
        {"kick": "x.....x.x.....x.", "rim": "x..x..x...x..x..", "shaker": "xoxoxoxoxoxoxoxo"},
        {"kick": "x.....x.x.....x.", "rim": "x..x..x...x..x..", "hat": "x.x.x.x.x.x.x.x."},
    ),
    fills=({"rim": "x.xx"},),
    drum_share=0.7,
    solo_share=0.2,
    sevenths=True,
    late=("rim",),
)

WORLD = (REGGAE, SALSA, BOSSA)
