"""A loaded model with its parts, which computes the conditions of a request."""

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
    """The parts of a model on one device.

    Attributes:
        name: The name of the model.
        lm: The language model.
        codec: The codec, in float32.
        text_encoder: The text encoder.
        chroma: The parameters of melody conditioning; None for a model that follows no melody.
        segment_s: The length in seconds of a training segment, which is the longest window.
        defaults: The default sampling parameters.
        device: Where the parts are.
        dtype: The dtype of the LM's weights.
        licence: The licence of the weights.
        stems: Separates the stems of a melody.
        style: The style encoder; None for a model without style conditioning.
        condition_scale: The factors that are still to be applied to a model that was loaded as
            trained.
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
    condition_scale: ConditionScale = field(default_factory=ConditionScale)

    @torch.inference_mode()
    def conditions(
        self,
        prompt: str | None,
        melody: Waveform | None = None,
        start_s: float | None = None,
        beats: Beats | None = None,
        key: Key | None = None,
    ) -> Conditions:
        """Compute the conditions of one window, projected to the LM's width.

        Args:
            prompt: The prompt; None or blank for none.
            melody: The melody or style, with any rate and channels.
            start_s: In a clip of several windows, the time in seconds at which the window starts:
                the melody is repeated without end, and the window follows its part of it. None in
                a clip of one window, which follows the first training segment of the melody; the
                chroma rows of a shorter melody are repeated.
            beats: The beat, counted from the start of the clip. Ignored by a model without beats.
            key: The key. Ignored by a model without keys.

        Raises:
            InputError: If there is a melody, but the model follows none, or the melody is empty.
        """
        states = None if is_blank(prompt) else self.text_encoder.encode(prompt or "")
        text = self._text(states)
        if self.lm.config.cross_attention:
            self._refuse(melody)
            return Conditions(text=text)
        no_text = torch.zeros_like(text)
        if self.style is not None:
            return self._styled(self.style, text, melody)
        if self.chroma is None:
            self._refuse(melody)
            return Conditions(prefix=text, unconditional_prefix=no_text)
        no_melody, named = unconditional_rows(self.chroma), self._named(prompt)
        rows = None if melody is None else self._melody(self.chroma, melody, start_s)
        conditioning = StepConditioning(
            beats=beats, start_s=start_s or 0.0, drums=_drums(prompt, named), key=key, melody=rows,
            words=states, named={kind: named[kind] for kind in (GENRE, LEAD) if kind in named},
        )  # fmt: skip
        return Conditions(
            prefix=torch.cat([self._project(MELODY, no_melody if rows is None else rows), text]),
            unconditional_prefix=torch.cat([self._project(MELODY, no_melody), no_text]),
            step_conditioning=self.step_conditioning(conditioning),
            unconditional_step_conditioning=self.step_conditioning(conditioning.dropped()),
        )

    def _styled(self, style: StyleEncoder, text: Tensor, audio: Waveform | None) -> Conditions:
        """Compute the conditions of text and the style of audio; without audio, a row of zeros.

        Without audio there is no style branch, and guidance is uncond + cfg * (text - uncond).
        audiocraft uses double guidance also then, and its style branch equals the unconditional
        one: uncond + cfg * cfg_beta * (text - uncond). With the defaults this is an unintended
        guidance scale of 15.
        """
        if audio is None:
            prefix = torch.cat([text.new_zeros(1, text.shape[1]), text])
            return Conditions(prefix=prefix, unconditional_prefix=torch.zeros_like(prefix))
        rows = self._project(MELODY, style.encode(_not_empty(audio), self.codec.sample_rate_hz))
        style_only = torch.cat([rows, torch.zeros_like(text)])
        return Conditions(
            prefix=torch.cat([rows, text]),
            unconditional_prefix=torch.zeros_like(style_only),
            style_prefix=style_only if text.any() else None,
        )

    @property
    def follows_beats(self) -> bool:
        """Whether the model has beat conditioning."""
        return BEATS in self.lm.config.cond_dims

    def beats(self, prompt: str | None, uniform: float) -> Beats | None:
        """Return the tempo that a prompt names, or sample one that fits it.

        Args:
            prompt: The prompt.
            uniform: A random number from 0 to 1, with which a tempo is sampled.

        Returns:
            The beats; None without a prompt or beat conditioning.
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
        """Whether the model has key conditioning."""
        return KEY in self.lm.config.cond_dims

    def key(self, prompt: str | None, uniform: float) -> Key | None:
        """Return the key that a prompt names, or sample one that fits it, as `beats` does."""
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

    def step_conditioning(self, conditioning: StepConditioning) -> Tensor | None:
        """Project per-step conditions and add them up.

        Returns:
            [S, D] for the S steps of a segment, where step s predicts frame s; None if the model
            has none of the conditions.
        """
        rate = self.codec.frame_rate_hz
        steps = steps_of(int(self.segment_s * rate), self.lm.config.delays)
        rows = conditioning.rows(steps, rate, self.chroma)
        names = [name for name in rows if name in self.lm.config.cond_dims]
        projected = [self._projected(name, rows[name]) for name in names]
        return torch.stack(projected).sum(0).to(self.dtype) if projected else None

    def _melody(self, chroma: ChromaConfig, melody: Waveform, start_s: float | None) -> Tensor:
        # The melody is cut before its stems are separated, which takes time.
        part = self._part(chroma, _not_empty(melody), start_s)
        part = self.stems(part) if chroma.stems else part
        return melody_rows(torch.from_numpy(mono(part, chroma.sample_rate_hz).samples[0]), chroma)

    def _part(self, chroma: ChromaConfig, melody: Waveform, start_s: float | None) -> Waveform:
        """Return the part of a melody that the window at `start_s` follows."""
        if start_s is None:
            return cut(melody, chroma.samples_needed / chroma.sample_rate_hz)
        # It is repeated at the model's rate, as in audiocraft, with a period of whole samples.
        return wrapped(resample(melody, chroma.sample_rate_hz), start_s, self.segment_s)

    def _project(self, condition: str, rows: Tensor) -> Tensor:
        return self._projected(condition, rows).to(self.dtype)

    def _projected(self, condition: str, rows: Tensor) -> Tensor:
        """Project a condition in the dtype of `wide_dtype`."""
        projection = self.lm.projections[condition]
        if rows.shape[-1] != projection.in_features:
            raise CheckpointError(
                f"{self.name}: {condition} is {rows.shape[-1]} wide, but the model takes "
                f"{projection.in_features}; its text encoder is of another model"
            )
        wide = wide_dtype(self.device, self.dtype)
        features = rows.to(self.device, wide)
        if not torch.is_grad_enabled():
            projected: Tensor = widened(projection, wide)(features)
            return projected
        # In training, gradients must reach the projection itself, which no other thread uses.
        weights = {name: weight.to(wide) for name, weight in projection.named_parameters()}
        trained: Tensor = functional_call(projection, weights, (features,))
        return trained

    def _refuse(self, melody: Waveform | None) -> None:
        if melody is not None:
            raise InputError(
                "melody", self.name, "this model follows no melody; use melody or melody-large"
            )


def _drums(prompt: str | None, named: Mapping[str, Tensor]) -> bool | None:
    """Return whether the prompt asks for drums, by its words or else by the text encoder."""
    by_words = named_drums(prompt)
    if by_words is not None or DRUMS not in named:
        return by_words
    none, some = named[DRUMS].tolist()
    return bool(some > none)


def _not_empty(melody: Waveform) -> Waveform:
    if melody.samples.shape[1] == 0:
        raise InputError("melody", None, "give a melody that is not empty", "has no samples")
    return melody
