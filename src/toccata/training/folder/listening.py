"""What is heard in a chunk: its tempo, its key, how loud it is."""

from __future__ import annotations

from toccata.audio.loudness import loudness_lufs
from toccata.hearing.key import estimate_key
from toccata.hearing.tempo import estimate_bpm
from toccata.training.corpus.harmony import Key
from toccata.training.folder.items import Tags
from toccata.types import Waveform

_TEMPO_NEEDS_S = 5.0  # in less there are too few bars to tell


def listen(waveform: Waveform, *, tempo_and_key: bool) -> Tags:
    """Without `tempo_and_key`, the loudness alone."""
    loudness = loudness_lufs(waveform)
    if not tempo_and_key:
        return Tags(None, None, loudness)
    heard = (waveform.samples, waveform.sample_rate_hz)
    bpm = estimate_bpm(*heard) if waveform.duration_s >= _TEMPO_NEEDS_S else 0.0
    tonic, mode = estimate_key(*heard)
    return Tags(bpm or None, Key(tonic, minor=mode == "minor").name, loudness)
