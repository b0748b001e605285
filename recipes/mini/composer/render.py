"""Songs to sound, through a General MIDI soundfont and the effects of their genre."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recipes.mini.composer.composition import (
    BASS,
    CHORDS,
    DRUMS,
    HOP,
    LEAD,
    PAD,
    SAMPLE_RATE_HZ,
    Composition,
    Note,
)
from recipes.mini.composer.instruments import INSTRUMENT_OF_PROGRAM, KIT_OF_PROGRAM, STROKES
from recipes.mini.effects.studio import Studio
from toccata.errors import InputError
from toccata.extras import missing_synthesizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

SOUNDFONT_PLACES = (
    Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"),
    Path("/usr/share/soundfonts/FluidR3_GM.sf2"),
    Path("/usr/share/sounds/sf2/default-GM.sf2"),
    Path("/usr/local/share/sounds/sf2/FluidR3_GM.sf2"),
)
_DRUM_BANK = 128
# Each drum has a synthesizer channel of its own, because each needs a gain of its own.
_FIRST_DRUM_CHANNEL = 16
_PART_DB = {LEAD: 5.0, CHORDS: -3.0, BASS: -1.0, PAD: -5.0, DRUMS: -3.0}
_VOICES = 256
_FLUSH_FRAMES = 4  # cut voices fade for some milliseconds


def find_soundfont(soundfont: Path | None = None) -> Path:
    """Find a soundfont, by default the first of SOUNDFONT_PLACES. Raises InputError for none."""
    for place in SOUNDFONT_PLACES if soundfont is None else (soundfont,):
        if place.is_file():
            return place
    cure = "install the Debian package fluid-soundfont-gm or give the path of a GM .sf2 file"
    raise InputError("soundfont", str(soundfont or SOUNDFONT_PLACES[0]), f"no such file; {cure}")


class Renderer:
    """One synthesizer; not safe for use by two threads at once.

    Raises InputError without a soundfont, MissingExtraError without tinysoundfont.
    """

    def __init__(self, soundfont: Path | None = None) -> None:
        place = find_soundfont(soundfont)
        self._studio = Studio()
        self._synth = _load_synth()(samplerate=SAMPLE_RATE_HZ)
        self._font = self._synth.soundfonts[self._synth.sfload(str(place), max_voices=_VOICES)]

    def render(self, song: Composition) -> NDArray[np.float32]:
        """The whole song [N], mono at 32 kHz, N = song.frames * 640, peak below 0.9."""
        self._reset(song.programs)
        audio = np.empty((song.frames * HOP, 2), np.float32)
        buffer = audio.reshape(-1).view(np.uint8).data
        position = 0
        for frame, switches in _schedule(song.notes, song.frames):
            self._generate(buffer, position, frame)
            position = frame
            for switch_on, note in switches:
                self._switch(switch_on, note)
        self._generate(buffer, position, song.frames)
        return self._studio.master(audio.mean(axis=1), song.facts)

    def _reset(self, programs: Mapping[int, int]) -> None:
        self._font.reset()
        self._synth.generate_simple(_FLUSH_FRAMES * HOP)
        for channel, program in programs.items():
            if channel == DRUMS:
                self._set_drums(program)
            else:
                gain_db = INSTRUMENT_OF_PROGRAM[program].gain_db + _PART_DB[channel]
                self._set_channel(channel, 0, program, gain_db)

    def _set_drums(self, program: int) -> None:
        gains_db = KIT_OF_PROGRAM[program].gains_db
        for name, pitch in STROKES.items():
            channel = _FIRST_DRUM_CHANNEL + pitch
            self._set_channel(
                channel, _DRUM_BANK, program, gains_db.get(name, 0.0) + _PART_DB[DRUMS]
            )

    def _set_channel(self, channel: int, bank: int, program: int, gain_db: float) -> None:
        self._font.channel_set_bank(channel, bank)
        self._font.channel_set_preset_number(channel, program, bank == _DRUM_BANK)
        self._font.channel_set_volume(channel, 10 ** (gain_db / 20))

    def _switch(self, switch_on: bool, note: Note) -> None:
        channel = _FIRST_DRUM_CHANNEL + note.pitch if note.channel == DRUMS else note.channel
        if switch_on:
            self._font.channel_note_on(channel, note.pitch, note.velocity / 127)
        else:
            self._font.channel_note_off(channel, note.pitch)

    def _generate(self, buffer: memoryview, start: int, end: int) -> None:
        if end > start:
            frame_bytes = HOP * 2 * 4
            part = buffer[start * frame_bytes : end * frame_bytes]
            self._synth.generate_simple((end - start) * HOP, part)


def _load_synth() -> Any:
    try:
        from tinysoundfont import Synth
    except ImportError as error:
        raise missing_synthesizer() from error
    return Synth


def _schedule(notes: Iterable[Note], frames: int) -> list[tuple[int, list[tuple[bool, Note]]]]:
    """Switches by frame; at the same frame old notes end before new ones begin."""
    switches = [(note.start_frame, True, note) for note in notes]
    switches += [(n.start_frame + n.frames, False, n) for _, _, n in switches]
    by_frame: dict[int, list[tuple[bool, Note]]] = {}
    for frame, switch_on, note in sorted(switches, key=lambda switch: switch[:2]):
        if frame < frames:
            by_frame.setdefault(frame, []).append((switch_on, note))
    return list(by_frame.items())
