"""A loaded model: its parts, and the conditions of a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.func import functional_call

from toccata.analysis.key import Key
from toccata.audio.transforms import resample
from toccata.audio.waveform import Waveform
from toccata.codecs.base import Codec
from toccata.conditioners.base import Conditions, MusicTextEncoder, TextEncoder, is_blank
from toccata.conditioners.beats import Beats, named_beats
from toccata.conditioners.chroma import (
    ChromaConfig,
    cut,
    melody_rows,
    mono,
    unconditional_rows,
    wrapped,
)
from toccata.conditioners.drums import named_drums
from toccata.conditioners.key import named_key
from toccata.conditioners.stems import MelodyStems
from toccata.conditioners.style import StyleEncoder
from toccata.decoder.condition_scale import ConditionScale
from toccata.decoder.decoder import Decoder
from toccata.decoder.delay import steps_of
from toccata.decoder.layers import wide_dtype, widened
from toccata.errors import CheckpointError, InputError
from toccata.models.sampling_params import SamplingParams
from toccata.models.step_conditioning import BEATS, DRUMS, GENRE, KEY, LEAD, StepConditioning

TEXT, MELODY = "description", "self_wav"


@dataclass(eq=False)
class Model:
    """Parts on one device. `chroma` None: the model follows no melody. `style`: it takes the style
    of the audio instead.

    segment_s: what the LM was trained on, the longest it can hold at once.
    dtype: of the LM's weights; the codec is float32. licence: of the weights.
    emphasis: what a model that was loaded as it was trained is still to be given to make music.
    """

    name: str
    lm: Decoder
    codec: Codec
    text_encoder: TextEncoder
    chroma: ChromaConfig | None
    segment_s: float
    defaults: SamplingParams
    device: torch.device
    dtype: torch.dtype
    licence: str
    stems: MelodyStems = field(default_factory=MelodyStems)
    style: StyleEncoder | None = None
    emphasis: ConditionScale = field(default_factory=ConditionScale)

    @torch.inference_mode()
    def conditions(
        self,
        prompt: str | None,
        melody: Waveform | None = None,
        start_s: float | None = None,
        beats: Beats | None = None,
        key: Key | None = None,
    ) -> Conditions:
        """What one request is conditioned on, projected to the LM's width.

        The melody may have any rate and channels. In a clip of one window (`start_s` None) its
        first training segment counts, and of a shorter one the chroma rows are repeated.
        In a longer clip `start_s` is where the window starts, 0.0 in the first one: the waveform
        is repeated, every window reads a segment of it from there on, and `beats` are counted on.
        A model that does not take beats or a key leaves them out.
        Raises InputError for a melody that this model cannot follow.
        """
        states = None if is_blank(prompt) else self.text_encoder.encode(prompt or "")
        text = self._text(states)
        if self.lm.config.cross_attention:
            self._refuse(melody)
            return Conditions(text=text)
        null_text = torch.zeros_like(text)
        if self.style is not None:
            return self._styled(self.style, text, melody)
        if self.chroma is None:
            self._refuse(melody)
            return Conditions(prefix=text, unconditional_prefix=null_text)
        nothing, named = unconditional_rows(self.chroma), self._named(prompt)
        rows = None if melody is None else self._melody(self.chroma, melody, start_s)
        told = StepConditioning(
            beats=beats, start_s=start_s or 0.0, drums=_drums(prompt, named), key=key, melody=rows,
            words=states, named={kind: named[kind] for kind in (GENRE, LEAD) if kind in named},
        )  # fmt: skip
        return Conditions(
            prefix=torch.cat([self._project(MELODY, nothing if rows is None else rows), text]),
            unconditional_prefix=torch.cat([self._project(MELODY, nothing), null_text]),
            step_conditioning=self.step_conditioning(told),
            unconditional_step_conditioning=self.step_conditioning(told.dropped()),
        )

    def _styled(self, style: StyleEncoder, text: Tensor, audio: Waveform | None) -> Conditions:
        """Text with the style of `audio`. Without any style, a row of zeros stands there.

        A decision: without audio there is no branch of the style alone, and guidance is the usual
        one, null + cfg * (text - null). audiocraft runs double guidance all the same, in which the
        style's branch then equals the null one: null + cfg * cfg_beta * (text - null). With the
        defaults that is a guidance of 15, which nobody asked for.
        """
        if audio is None:
            prefix = torch.cat([text.new_zeros(1, text.shape[1]), text])
            return Conditions(prefix=prefix, unconditional_prefix=torch.zeros_like(prefix))
        rows = self._project(MELODY, style.encode(_not_empty(audio), self.codec.sample_rate_hz))
        alone = torch.cat([rows, torch.zeros_like(text)])
        return Conditions(
            prefix=torch.cat([rows, text]),
            unconditional_prefix=torch.zeros_like(alone),
            style_prefix=alone if text.any() else None,
        )

    @property
    def follows_beats(self) -> bool:
        return BEATS in self.lm.config.cond_dims

    def beats(self, prompt: str | None, uniform: float) -> Beats | None:
        """The tempo that the prompt names, or else one that goes with it, chosen by `uniform`.

        None for a model that follows no beats, and without a prompt.
        """
        if prompt is None or is_blank(prompt) or not self.follows_beats:
            return None
        named = named_beats(prompt)
        if named is not None or not isinstance(self.text_encoder, MusicTextEncoder):
            return named
        bpm = self.text_encoder.likely_bpm(prompt, uniform)
        return None if bpm is None else Beats(bpm)

    @property
    def follows_key(self) -> bool:
        return KEY in self.lm.config.cond_dims

    def key(self, prompt: str | None, uniform: float) -> Key | None:
        """The key that the prompt names, or else one that goes with it, chosen by `uniform`.

        None for a model that is told no key, and without a prompt.
        """
        if prompt is None or is_blank(prompt) or not self.follows_key:
            return None
        named = named_key(prompt)
        if named is not None or not isinstance(self.text_encoder, MusicTextEncoder):
            return named
        return self.text_encoder.likely_key(prompt, uniform)

    def _named(self, prompt: str | None) -> Mapping[str, Tensor]:
        if (
            prompt is None
            or is_blank(prompt)
            or not isinstance(self.text_encoder, MusicTextEncoder)
        ):
            return {}
        return self.text_encoder.named(prompt)

    def _text(self, states: Tensor | None) -> Tensor:
        if states is None:
            # Exactly zero, the projection's bias included.
            rows = (len(self.text_encoder.encode("")), self.lm.config.dim)
            return torch.zeros(rows, device=self.device, dtype=self.dtype)
        return self._project(TEXT, states)

    def step_conditioning(self, told: StepConditioning) -> Tensor | None:
        """What is added to each step of a segment [S, D]; a step predicts the frame of its number.

        None if the model takes nothing of what is told.
        """
        rate = self.codec.frame_rate_hz
        steps = steps_of(int(self.segment_s * rate), self.lm.config.delays)
        rows = told.rows(steps, rate, self.chroma)
        taken = [name for name in rows if name in self.lm.config.cond_dims]
        sums = [self._projected(name, rows[name]) for name in taken]
        return torch.stack(sums).sum(0).to(self.dtype) if sums else None

    def _melody(self, chroma: ChromaConfig, melody: Waveform, start_s: float | None) -> Tensor:
        # Cut before separating: the rest would not be heard.
        part = self._part(chroma, _not_empty(melody), start_s)
        part = self.stems(part) if chroma.stems else part
        return melody_rows(torch.from_numpy(mono(part, chroma.sample_rate_hz).samples[0]), chroma)

    def _part(self, chroma: ChromaConfig, melody: Waveform, start_s: float | None) -> Waveform:
        """What of the melody the window that starts at `start_s` hears."""
        if start_s is None:
            return cut(melody, chroma.samples_needed / chroma.sample_rate_hz)
        # Repeated at the model's rate, as audiocraft does: the period is a whole number of samples.
        return wrapped(resample(melody, chroma.sample_rate_hz), start_s, self.segment_s)

    def _project(self, condition: str, rows: Tensor) -> Tensor:
        return self._projected(condition, rows).to(self.dtype)

    def _projected(self, condition: str, rows: Tensor) -> Tensor:
        """In a dtype whose sums, once rounded to the LM's, are the same on every CPU."""
        projection = self.lm.projections[condition]
        if rows.shape[-1] != projection.in_features:
            raise CheckpointError(
                f"{self.name}: {condition} is {rows.shape[-1]} wide, but the model takes "
                f"{projection.in_features}; its text encoder is of another model"
            )
        wide = wide_dtype(self.device, self.dtype)
        given = rows.to(self.device, wide)
        if not torch.is_grad_enabled():
            projected: Tensor = widened(projection, wide)(given)
            return projected
        # Training may learn the projection, which a copy would not; there no threads share it.
        weights = {name: weight.to(wide) for name, weight in projection.named_parameters()}
        learning: Tensor = functional_call(projection, weights, (given,))
        return learning

    def _refuse(self, melody: Waveform | None) -> None:
        if melody is not None:
            raise InputError(
                "melody", self.name, "this model follows no melody; use melody or melody-large"
            )


def _drums(prompt: str | None, named: Mapping[str, Tensor]) -> bool | None:
    """Whether there are to be drums: in plain words, or as the text encoder understands them."""
    plain = named_drums(prompt)
    if plain is not None or DRUMS not in named:
        return plain
    none, some = named[DRUMS].tolist()
    return bool(some > none)


def _not_empty(melody: Waveform) -> Waveform:
    if melody.samples.shape[1] == 0:
        raise InputError("melody", None, "give a melody that is not empty", "holds no samples")
    return melody
