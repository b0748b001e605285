"""The tempo and key of a continuation, taken from the clip or the prompt.

Tempo and key are estimated by signal analysis (onsets, chroma), which is more accurate than the
model's likelihood. The beats that start a bar and a phrase are those with which the model assigns
the highest likelihood to the clip's codes, because it has learned them in training.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from toccata.analysis.key import Key, estimate_key
from toccata.analysis.tempo import Pulse, find_pulse
from toccata.audio.waveform import Waveform
from toccata.conditioners.beats import Beats, named_beats
from toccata.conditioners.key import named_key
from toccata.decoder import delay
from toccata.engine.sequence import Codes
from toccata.models.model import Model
from toccata.models.step_conditioning import StepConditioning

BAR_BEATS, PHRASE_BEATS = 4, 16


@torch.inference_mode()
def match_beats(
    model: Model, prompt: str | None, clip: Waveform, codes: Codes, bpm: float | None = None
) -> Beats | None:
    """Estimate the beats of a clip.

    Args:
        model: The model.
        prompt: The prompt; a tempo that it names is used.
        clip: The clip.
        codes: Its codes, [K, P].
        bpm: The tempo, if it is known; the prompt has priority.

    Returns:
        The beats, counted from the start of the clip; None if the model has no beat conditioning,
        or the clip has no onsets.
    """
    if not model.follows_beats:
        return None
    named = named_beats(prompt)
    known = bpm if named is None else named.bpm
    pulse = find_pulse(clip.samples, clip.sample_rate_hz, known)
    if pulse is None:
        return None
    # Choices are made from coarse to fine, because each is a forward pass over the whole clip.
    bar = _likeliest(model, prompt, codes, _bar_starts(pulse))
    phrase = _likeliest(model, prompt, codes, _phrase_starts(bar))
    return _likeliest(model, prompt, codes, _nudged(phrase, 1 / model.codec.frame_rate_hz))


def match_key(model: Model, prompt: str | None, clip: Waveform) -> Key | None:
    """Return the key that the prompt names, or estimate that of a clip.

    None if the model has no key conditioning.
    """
    if not model.follows_key:
        return None
    return named_key(prompt) or estimate_key(clip.samples, clip.sample_rate_hz)


def _bar_starts(pulse: Pulse) -> list[Beats]:
    """Return the beats with each possible start of the bar."""
    return [Beats(pulse.bpm, pulse.beat_s + beats * 60 / pulse.bpm) for beats in range(BAR_BEATS)]


def _phrase_starts(bar: Beats) -> list[Beats]:
    """Return the beats with each possible start of the phrase."""
    later = range(0, PHRASE_BEATS, BAR_BEATS)
    return [Beats(bar.bpm, bar.bar_s + beats * 60 / bar.bpm) for beats in later]


def _nudged(beats: Beats, frame_s: float) -> list[Beats]:
    return [Beats(beats.bpm, beats.bar_s + frames * frame_s) for frames in (0, -1, 1)]


def _likeliest(model: Model, prompt: str | None, codes: Codes, choices: Sequence[Beats]) -> Beats:
    """Return the choice with which the codes have the highest likelihood under the model."""
    config, size = model.lm.config, len(choices)
    targets = torch.from_numpy(codes).to(model.device)[None].expand(size, -1, -1)
    steps = delay.apply(targets, config.delays, config.special_id)[..., :-1]
    conditions = model.conditions(prompt)
    step_conditioning = torch.zeros(size, steps.shape[2], config.dim, device=model.device)
    for row, beats in enumerate(choices):
        for embeddings in (
            conditions.step_conditioning,
            model.step_conditioning(StepConditioning(beats=beats)),
        ):
            if embeddings is not None:
                step_conditioning[row] += embeddings[: steps.shape[2]]
    prefix = None if conditions.prefix is None else conditions.prefix.expand(size, -1, -1)
    logits = model.lm(steps, prefix=prefix, step_conditioning=step_conditioning)
    by_frame = delay.undo_logits(logits, config.delays).log_softmax(-1)
    likelihoods = by_frame.gather(-1, targets[..., None]).sum((1, 2, 3))
    return choices[int(likelihoods.argmax())]
