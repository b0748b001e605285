"""Genres for dancing, led by their beat."""

from __future__ import annotations

from recipes.mini.composer.genres import Genre

_FOUR = "X...X...X...X..."
_BACKBEAT = "....x.......x..."
_OFFBEAT = "..x...x...x...x."

HOUSE = Genre(
    name="house",
    words=("house", "deep house", "house music", "piano house", "club house"),
    bpm=(118, 126),
    minor_share=0.6,
    major_moods=("uplifting", "sunny", "happy"),
    minor_moods=("groovy", "cool", "hypnotic"),
    major_chords=("1 4 1 5", "1 6 4 5", "1 2 5 1"),
    minor_chords=("1 4 5! 1", "1 6 4 5!", "1 1 4 5!"),
    chord_instruments=("piano", "organ"),
    chord_patterns=("x-.x-.x- ..x-.x-.", "..x-..x- ..x-..x-", "x--x--x- --x--x--"),
    lead_instruments=("organ", "vibraphone", "saxophone", "saw lead"),
    lead_patterns=("x-.x-.x-....x-x-", "..x-x-..x-x-x---", "x-x-x---x-x-x---", "x--x--x-........"),
    bass_instruments=("synth bass",),
    bass_patterns=("1-1-..1- ..1-..1-", "1-.1-.1- ..8-..1-", "1-..1-8- 1-..1-8-"),
    pad_instruments=("warm pad", "strings"),
    kits=("808",),
    drum_patterns=(
        {"kick": _FOUR, "clap": _BACKBEAT, "open": _OFFBEAT},
        {"kick": _FOUR, "clap": _BACKBEAT, "open": _OFFBEAT, "shaker": "oooooooooooooooo"},
        {
            "kick": "X...X...X...X..x",
            "clap": _BACKBEAT,
            "open": _OFFBEAT,
            "hat": "x..xx..xx..xx..x",
        },
    ),
    fills=({"kick": "x.x.", "clap": "x.xx"}, {"clap": "x.xx"}),
    drum_share=0.96,
    pad_share=0.3,
    lead_share=0.75,
    sevenths=True,
)

TECHNO = Genre(
    name="techno",
    words=("techno", "electronic", "minimal techno", "club techno", "warehouse techno"),
    bpm=(126, 136),
    minor_share=0.95,
    major_moods=("energetic", "bright"),
    minor_moods=("dark", "hypnotic", "driving", "tense"),
    major_chords=("1 1 1 1", "1 1 4 1"),
    minor_chords=("1 1 1 1", "1 1 4 1", "1 1 6 1"),
    chord_instruments=("square lead", "saw lead"),
    chord_patterns=("0.2.1.0.2.1.0.2.", "..x...x...x..x..", "0.0.2.0.1.0.2.1.", "...x..x....x..x."),
    lead_instruments=("square lead", "marimba"),
    lead_patterns=("x..x..x.x..x..x.", "..x...x...x...xx", "x.x.....x.x.....", "x.....x.....x..."),
    bass_instruments=("synth bass",),
    bass_patterns=("1.11..11..11..11", "1111.111.111.111", "1.1.1.1.1.1.1.8."),
    pad_instruments=("warm pad",),
    kits=("808",),
    drum_patterns=(
        {"kick": _FOUR, "hat": _OFFBEAT, "rim": "...x..x....x..x."},
        {"kick": _FOUR, "hat": "x.xxx.xxx.xxx.xx", "clap": _BACKBEAT},
        {"kick": "X...X...X...X.x.", "low_tom": "...x..x....x..x.", "hat": "xxxxxxxxxxxxxxxx"},
    ),
    fills=({"snare": "xxxX"}, {"low_tom": "x.xx"}),
    drum_share=0.97,
    pad_share=0.25,
    lead_share=0.65,
)

TRANCE = Genre(
    name="trance",
    words=("trance", "uplifting trance", "trance anthem", "euphoric trance", "rave trance"),
    bpm=(132, 142),
    minor_share=0.65,
    major_moods=("euphoric", "uplifting", "energetic"),
    minor_moods=("euphoric", "dreamy", "driving", "futuristic"),
    major_chords=("1 6 4 5", "1 4 5 1", "1 5 4 5"),
    minor_chords=("1 6 4 5!", "1 6 7 1", "1 4 5! 1"),
    chord_instruments=("saw lead",),
    chord_patterns=("0123210123210123", "0.12.3.10.12.3.1", "0123012301230123"),
    lead_instruments=("saw lead",),
    lead_patterns=("x--x--x-x--x--x-", "x-----x-----x---", "x-x-x--x--x-x---", "x-------x---x---"),
    bass_instruments=("synth bass",),
    bass_patterns=("1.1.1.1.1.1.1.1.", "1.111.111.111.11"),
    pad_instruments=("warm pad", "strings", "choir"),
    kits=("808",),
    drum_patterns=(
        {"kick": _FOUR, "clap": _BACKBEAT, "open": _OFFBEAT, "hat": "x.xxx.xxx.xxx.xx"},
        {"kick": _FOUR, "open": _OFFBEAT, "ride": "x.x.x.x.x.x.x.x."},
    ),
    fills=({"snare": "xxxxxxrr"}, {"snare": "x.x.xxxx", "kick": "x...x..."}),
    drum_share=0.88,
    pad_share=0.8,
    lead_share=0.85,
    crash=True,
)

DISCO = Genre(
    name="disco",
    words=("disco", "seventies disco", "disco dance", "nu disco", "boogie"),
    bpm=(112, 124),
    minor_share=0.45,
    major_moods=("festive", "happy", "glamorous", "sunny"),
    minor_moods=("groovy", "glamorous", "passionate"),
    major_chords=("1 4 2 5", "1 4 5 1", "1 4 1 5 1 4 5 1"),
    minor_chords=("1 4 5! 1", "1 6 4 5!", "1 4 7 5!"),
    chord_instruments=("clean guitar", "strings"),
    chord_patterns=("x.xxx.xxx.xxx.xx", "..x...x...x..xx.", "x-....x-..x-...."),
    lead_instruments=("strings", "brass section"),
    lead_patterns=("x---x-x-x---x---", "x-x-x-..x-x-x-..", "..x-x-x-x-------", "x-------..x-x-x-"),
    bass_instruments=("bass guitar",),
    bass_patterns=("1.8.1.8.1.8.1.8.", "1-8-1-8-5-8-5-8-"),
    pad_instruments=("strings",),
    kits=("acoustic",),
    drum_patterns=(
        {"kick": _FOUR, "snare": _BACKBEAT, "open": _OFFBEAT, "tambourine": "x.xxx.xxx.xxx.xx"},
        {"kick": _FOUR, "snare": _BACKBEAT, "open": _OFFBEAT, "high_conga": "x..x..x.x..x.xx."},
    ),
    fills=({"snare": "xxxx"}, {"high_tom": "xx..xx..", "low_tom": "..xx..xx"}),
    drum_share=0.96,
    pad_share=0.4,
    crash=True,
)

DRUM_AND_BASS = Genre(
    name="drum and bass",
    words=("drum and bass", "drum & bass", "dnb", "jungle", "liquid drum and bass", "breakbeat"),
    bpm=(166, 176),
    minor_share=0.85,
    major_moods=("uplifting", "energetic"),
    minor_moods=("dark", "urgent", "futuristic", "rolling"),
    major_chords=("1 1 4 5", "1 4 5 1"),
    minor_chords=("1 1 6 5!", "1 4 5! 1", "1 6 7 1"),
    chord_instruments=("warm pad", "electric piano", "strings"),
    chord_patterns=("x---------------", "x-----x-----x---", "x-----------..x-"),
    lead_instruments=("saw lead", "electric piano", "flute"),
    lead_patterns=("x-------x---x---", "x-----x-----x---", "x---x---x-------", "..x---x---x-x---"),
    bass_instruments=("sub bass",),
    bass_patterns=("1-----1-..1-....", "1---..1---..1-8-", "1-........1---5-"),
    kits=("acoustic",),
    drum_patterns=(
        {"kick": "X.........X.....", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
        {
            "kick": "X.X.......XX.... X.X.......X.....",
            "snare": "....X..o.o..X..o ....X..o.o....X.",
            "ride": "x.x.x.x.x.x.x.x.",
        },
        {"kick": "X..x......X.....", "snare": "....X..o.o..X...", "hat": "xoxoxoxoxoxoxoxo"},
    ),
    fills=({"snare": "X.oXo.X."}, {"snare": "xxrr", "kick": "x..."}),
    drum_share=1.0,
    lead_share=0.8,
    sevenths=True,
    crash=True,
)

DANCE = (HOUSE, TECHNO, TRANCE, DISCO, DRUM_AND_BASS)
