"""What is heard in a chunk: its tempo, its key, how loud it is."""

from __future__ import annotations

from toccata.analysis.key import estimate_key, key_name
from toccata.analysis.tempo import estimate_bpm
from toccata.audio.loudness import loudness_lufs
from toccata.audio.transforms import Samples
from toccata.audio.waveform import Waveform
from toccata.finetuning.dataset.items import Tags

_TEMPO_NEEDS_S = 8.0  # in less there are too few bars to tell
_SAME_TEMPO = 0.03


def listen(waveform: Waveform, *, tempo_and_key: bool) -> Tags:
    """Without `tempo_and_key`, the loudness alone.

    A wrong tag teaches what is not so: one counts where both branches agree with the whole. In 100
    songs of the corpus of 10 and 15 s that is so of 58 tempi, of which 50 are right and the rest
    twice or half as fast, and of 67 keys, of which 63 are right; of all 100, 62 and 84 are. The
    key counts anyway where there is no tempo: a chunk without words is to have some tag.
    """
    loudness = loudness_lufs(waveform)
    if not tempo_and_key:
        return Tags(None, None, loudness)
    middle = waveform.samples.shape[1] // 2
    branches = (waveform.samples[:, :middle], waveform.samples[:, middle:])
    bpm = _bpm(waveform, branches)
    return Tags(bpm, _key(waveform, branches, surely=bpm is not None), loudness)


def _bpm(whole: Waveform, branches: tuple[Samples, Samples]) -> float | None:
    if whole.duration_s < _TEMPO_NEEDS_S:
        return None
    rate = whole.sample_rate_hz
    bpm = estimate_bpm(whole.samples, rate)
    told = [estimate_bpm(half, rate) for half in branches]
    agreed = all(abs(other - bpm) <= _SAME_TEMPO * bpm for other in told)
    return bpm if bpm > 0 and agreed else None


def _key(whole: Waveform, branches: tuple[Samples, Samples], *, surely: bool) -> str | None:
    rate = whole.sample_rate_hz
    key = estimate_key(whole.samples, rate)
    if surely and any(estimate_key(half, rate) != key for half in branches):
        return None
    return key_name(key)
