"""Generate the clips of an evaluation; clip i of a set has seed i."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recipes.mini.composer.examples import Example
from recipes.mini.evaluation.guidance import TRIED
from recipes.mini.evaluation.reference_songs import CLIP_S, INPUT_S, LONG_S, NEW_S, Material
from toccata.analysis.spectrum import RATE_HZ, Samples, analysis_audio
from toccata.audio.waveform import Waveform
from toccata.generation.handle import Toccata

GUIDANCE = 3.0
_AT_ONCE = 64

OnStage = Callable[[str], None]


class Maker:
    """Generates with one model, and reports progress. All samples are [N] at RATE_HZ."""

    def __init__(self, model: Toccata, on_stage: OnStage) -> None:
        self._model, self._say = model, on_stage

    def captioned(
        self, songs: Sequence[Example], cfg: float = GUIDANCE, duration_s: float = CLIP_S
    ) -> list[Samples]:
        """Generate a clip for the caption of each song."""
        what = f"{len(songs)} clips of {duration_s:g} s at guidance {cfg:g}"
        return self._generate(
            what,
            [{"prompt": song.caption, "duration_s": duration_s, "cfg": cfg} for song in songs],
        )

    def long(self, songs: Sequence[Example]) -> list[Samples]:
        """Generate a minute for the caption of each song."""
        return self.captioned(songs, duration_s=LONG_S)

    def melodic(self, songs: Sequence[Example]) -> list[Samples]:
        """Generate a clip for the caption and the melody of each song."""
        requests = [
            {
                "prompt": song.caption,
                "duration_s": CLIP_S,
                "melody": Waveform(song.audio[None], RATE_HZ),
                "cfg": GUIDANCE,
            }
            for song in songs
        ]
        return self._generate(f"{len(songs)} clips with a melody", requests)

    def continued(self, songs: Sequence[Example]) -> list[Samples]:
        """Continue the beginning of each song, without a caption."""
        known = round(INPUT_S * RATE_HZ)
        requests = [
            {
                "continue_from": Waveform(song.audio[None, :known], RATE_HZ),
                "duration_s": NEW_S,
                "cfg": GUIDANCE,
            }
            for song in songs
        ]
        return self._generate(f"{len(songs)} continuations", requests)

    def _generate(self, what: str, requests: Sequence[Mapping[str, Any]]) -> list[Samples]:
        numbered = [{**one, "seed": seed} for seed, one in enumerate(requests)]
        generated: list[Samples] = []
        for start in range(0, len(numbered), _AT_ONCE):
            self._say(f"generating {what}: {start} done")
            clips = self._model.generate_batch(numbered[start : start + _AT_ONCE])
            generated += [
                analysis_audio(clip.samples, clip.sample_rate_hz).numpy() for clip in clips
            ]
        return generated


@dataclass(frozen=True)
class GeneratedClips:
    """All clips, in the order of their songs; `guided` by guidance."""

    captioned: Sequence[Samples]
    melodic: Sequence[Samples]
    continued: Sequence[Samples]
    long: Sequence[Samples]
    guided: Mapping[float, Sequence[Samples]]


def make_all(maker: Maker, songs: Material) -> GeneratedClips:
    """Generate all clips of an evaluation."""
    first = songs.captioned[: songs.guided]
    return GeneratedClips(
        captioned=maker.captioned(songs.captioned),
        melodic=maker.melodic(songs.melodic),
        continued=maker.continued(songs.continued),
        long=maker.long(songs.long),
        guided={cfg: maker.captioned(first, cfg) for cfg in TRIED},
    )
