"""What the model under test is asked to make. Clip i of a set is made with seed i."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recipes.mini.composer.examples import Example
from recipes.mini.evaluation.guidance import TRIED
from recipes.mini.evaluation.reference_songs import CLIP_S, GIVEN_S, LONG_S, NEW_S, Material
from toccata.analysis.spectrum import RATE_HZ, Samples, analysis_audio
from toccata.audio.waveform import Waveform
from toccata.generation.handle import Toccata

GUIDANCE = 3.0
_AT_ONCE = 64

OnStage = Callable[[str], None]


class Maker:
    """One model, and who is told how far it is. All samples are [N] at RATE_HZ."""

    def __init__(self, model: Toccata, on_stage: OnStage) -> None:
        self._model, self._say = model, on_stage

    def asked(
        self, songs: Sequence[Example], cfg: float = GUIDANCE, duration_s: float = CLIP_S
    ) -> list[Samples]:
        """A clip for the caption of each song."""
        what = f"{len(songs)} clips of {duration_s:g} s at guidance {cfg:g}"
        return self._made(
            what,
            [{"prompt": song.caption, "duration_s": duration_s, "cfg": cfg} for song in songs],
        )

    def long(self, songs: Sequence[Example]) -> list[Samples]:
        """A minute for the caption of each song."""
        return self.asked(songs, duration_s=LONG_S)

    def following(self, songs: Sequence[Example]) -> list[Samples]:
        """A clip for the caption of each song, along its melody."""
        wanted = [
            {
                "prompt": song.caption,
                "duration_s": CLIP_S,
                "melody": Waveform(song.audio[None], RATE_HZ),
                "cfg": GUIDANCE,
            }
            for song in songs
        ]
        return self._made(f"{len(songs)} clips along a melody", wanted)

    def carried_on(self, songs: Sequence[Example]) -> list[Samples]:
        """The beginning of each song and what the model makes of it, nothing said in words."""
        given = round(GIVEN_S * RATE_HZ)
        wanted = [
            {
                "continue_from": Waveform(song.audio[None, :given], RATE_HZ),
                "duration_s": NEW_S,
                "cfg": GUIDANCE,
            }
            for song in songs
        ]
        return self._made(f"{len(songs)} continuations", wanted)

    def _made(self, what: str, wanted: Sequence[Mapping[str, Any]]) -> list[Samples]:
        numbered = [{**one, "seed": seed} for seed, one in enumerate(wanted)]
        made: list[Samples] = []
        for start in range(0, len(numbered), _AT_ONCE):
            self._say(f"making {what}: {start} done")
            clips = self._model.generate_batch(numbered[start : start + _AT_ONCE])
            made += [analysis_audio(clip.samples, clip.sample_rate_hz).numpy() for clip in clips]
        return made


@dataclass(frozen=True)
class Made:
    """All clips, in the order of the songs they were made for; `guided` by guidance."""

    asked: Sequence[Samples]
    melodic: Sequence[Samples]
    continued: Sequence[Samples]
    long: Sequence[Samples]
    guided: Mapping[float, Sequence[Samples]]


def make_all(maker: Maker, songs: Material) -> Made:
    """Everything that is asked of the model."""
    first = songs.asked[: songs.guided]
    return Made(
        asked=maker.asked(songs.asked),
        melodic=maker.following(songs.melodic),
        continued=maker.carried_on(songs.continued),
        long=maker.long(songs.long),
        guided={cfg: maker.asked(first, cfg) for cfg in TRIED},
    )
