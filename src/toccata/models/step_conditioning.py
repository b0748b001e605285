"""The per-step conditions of a model: beats, key, drums and their projections.

A condition that stands before the codes alone is hardly heeded by a small model; one that is added
to every step is learned in hundreds of steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from toccata.analysis.key import Key
from toccata.conditioners.beats import Beats, beat_rows
from toccata.conditioners.chroma import ChromaConfig, step_rows
from toccata.conditioners.drums import drum_row
from toccata.conditioners.key import key_row
from toccata.conditioners.word_encoder import mean_of_words
from toccata.decoder.layers import wide_dtype

BEATS, DRUMS, KEY, GENRE, LEAD = "beats", "drums", "key", "genre", "lead"
# Words and melody once more: they stand before the codes too.
TEXT_STEPS, MELODY_STEPS = "description_steps", "self_wav_steps"


@dataclass(frozen=True, eq=False)
class StepConditioning:
    """None, and kinds that are missing: nothing is told.

    words [L, W]: states of a text encoder. melody [P, bins]: its chroma rows. named: by kind, how
    likely each of what is known is the one that is named [N]. start_s: when the first step is.
    """

    beats: Beats | None = None
    start_s: float = 0.0
    drums: bool | None = None
    key: Key | None = None
    melody: Tensor | None = None
    words: Tensor | None = None
    named: Mapping[str, Tensor] = field(default_factory=dict)

    def dropped(self) -> StepConditioning:
        """What the null half of guidance is told.

        Guidance is to raise what words and melody ask for, not that there is a beat; and it leads
        away from drums where there are to be none.
        """
        opposite = None if self.drums is None else not self.drums
        return StepConditioning(beats=self.beats, start_s=self.start_s, drums=opposite)

    def rows(self, steps: int, rate_hz: float, chroma: ChromaConfig | None) -> dict[str, Tensor]:
        """A row [steps, width] for each step of what is told."""
        rows: dict[str, Tensor] = {}
        if self.beats is not None:
            rows[BEATS] = beat_rows(self.beats, round(self.start_s * rate_hz), steps, rate_hz)
        if self.melody is not None and chroma is not None:
            rows[MELODY_STEPS] = step_rows(self.melody, chroma, steps, rate_hz)
        return rows | {name: row.expand(steps, -1) for name, row in self._steady().items()}

    def _steady(self) -> dict[str, Tensor]:
        """What is the same at all steps."""
        rows = dict(self.named)
        if self.words is not None:
            rows[TEXT_STEPS] = mean_of_words(self.words[None].to(wide_dtype(self.words.device)))[0]
        if self.drums is not None:
            rows[DRUMS] = drum_row(self.drums)
        if self.key is not None:
            rows[KEY] = key_row(self.key)
        return rows
