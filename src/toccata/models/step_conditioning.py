"""The per-step additive conditions of a model: beats, drums, key, genre, lead, melody and text.

A small model hardly follows a condition that is only in the prefix; one that is added to every step
is learned within hundreds of training steps.
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
# Text and melody are also in the prefix.
TEXT_STEPS, MELODY_STEPS = "description_steps", "self_wav_steps"


@dataclass(frozen=True, eq=False)
class StepConditioning:
    """The conditions of each step; a condition that is None or missing is not added.

    Attributes:
        beats: The beat.
        start_s: The time of the first step in seconds, for the phase of the beat.
        drums: Whether there are drums.
        key: The key.
        melody: Chroma rows [P, bins].
        words: Text states [L, W].
        named: For each kind of tag (genre, lead) the probabilities [N] of its tags.
    """

    beats: Beats | None = None
    start_s: float = 0.0
    drums: bool | None = None
    key: Key | None = None
    melody: Tensor | None = None
    words: Tensor | None = None
    named: Mapping[str, Tensor] = field(default_factory=dict)

    def dropped(self) -> StepConditioning:
        """Return the conditions of the unconditional branch.

        It has the same beat, so that guidance does not amplify it, and the opposite drums, so that
        guidance leads away from drums if there should be none.
        """
        opposite = None if self.drums is None else not self.drums
        return StepConditioning(beats=self.beats, start_s=self.start_s, drums=opposite)

    def rows(self, steps: int, rate_hz: float, chroma: ChromaConfig | None) -> dict[str, Tensor]:
        """Compute the features of each condition for each step.

        Args:
            steps: The number of steps S.
            rate_hz: Steps per second.
            chroma: The parameters of the melody's chroma.

        Returns:
            For each condition, by its name, [S, width].
        """
        rows: dict[str, Tensor] = {}
        if self.beats is not None:
            rows[BEATS] = beat_rows(self.beats, round(self.start_s * rate_hz), steps, rate_hz)
        if self.melody is not None and chroma is not None:
            rows[MELODY_STEPS] = step_rows(self.melody, chroma, steps, rate_hz)
        return rows | {name: row.expand(steps, -1) for name, row in self._steady().items()}

    def _steady(self) -> dict[str, Tensor]:
        """Compute the features of conditions that are the same at all steps, [width]."""
        rows = dict(self.named)
        if self.words is not None:
            rows[TEXT_STEPS] = mean_of_words(self.words[None].to(wide_dtype(self.words.device)))[0]
        if self.drums is not None:
            rows[DRUMS] = drum_row(self.drums)
        if self.key is not None:
            rows[KEY] = key_row(self.key)
        return rows
