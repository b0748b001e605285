"""The tempo and key of a continuation, taken from the clip or the prompt.

onsets -> the likeliest pulse -> the bar, then the phrase, then the frame under which the model
finds the clip's codes likeliest

Tempo and key are the ear's, which is better at them than the model's likelihood is. Which beat
starts a bar and a phrase is the model's: it has learnt what these are.
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
    """The beats of `clip`, counted from its start; `codes` [K, P] are its own.

    A tempo that the prompt names is believed, then `bpm`, if it is known. None if the model follows
    no beats, or nothing starts anywhere in the clip.
    """
    if not model.follows_beats:
        return None
    named = named_beats(prompt)
    known = bpm if named is None else named.bpm
    pulse = find_pulse(clip.samples, clip.sample_rate_hz, known)
    if pulse is None:
        return None
    # Coarse to fine: each choice is a forward pass over the whole clip.
    bar = _likeliest(model, prompt, codes, _bar_starts(pulse))
    phrase = _likeliest(model, prompt, codes, _phrase_starts(bar))
    return _likeliest(model, prompt, codes, _nudged(phrase, 1 / model.codec.frame_rate_hz))


def match_key(model: Model, prompt: str | None, clip: Waveform) -> Key | None:
    """The key of `clip`, by ear. The model's own likelihood is worse at that than the ear is.

    A key that the prompt names is believed. None if the model is told no key.
    """
    if not model.follows_key:
        return None
    return named_key(prompt) or estimate_key(clip.samples, clip.sample_rate_hz)


def _bar_starts(pulse: Pulse) -> list[Beats]:
    """The bar may start on any of its beats."""
    return [Beats(pulse.bpm, pulse.beat_s + beats * 60 / pulse.bpm) for beats in range(BAR_BEATS)]


def _phrase_starts(bar: Beats) -> list[Beats]:
    """The phrase may start with any of its bars."""
    later = range(0, PHRASE_BEATS, BAR_BEATS)
    return [Beats(bar.bpm, bar.bar_s + beats * 60 / bar.bpm) for beats in later]


def _nudged(beats: Beats, frame_s: float) -> list[Beats]:
    return [Beats(beats.bpm, beats.bar_s + frames * frame_s) for frames in (0, -1, 1)]


def _likeliest(model: Model, prompt: str | None, codes: Codes, choices: Sequence[Beats]) -> Beats:
    """That of `choices` which, told besides the prompt, gives the codes the greatest likelihood."""
    config, size = model.lm.config, len(choices)
    given = torch.from_numpy(codes).to(model.device)[None].expand(size, -1, -1)
    steps = delay.apply(given, config.delays, config.special_id)[..., :-1]
    said = model.conditions(prompt)
    step_conditioning = torch.zeros(size, steps.shape[2], config.dim, device=model.device)
    for row, beats in enumerate(choices):
        for sums in (
            said.step_conditioning,
            model.step_conditioning(StepConditioning(beats=beats)),
        ):
            if sums is not None:
                step_conditioning[row] += sums[: steps.shape[2]]
    rows = None if said.prefix is None else said.prefix.expand(size, -1, -1)
    logits = model.lm(steps, prefix=rows, step_conditioning=step_conditioning)
    by_frame = delay.undo_logits(logits, config.delays).log_softmax(-1)
    likelihoods = by_frame.gather(-1, given[..., None]).sum((1, 2, 3))
    return choices[int(likelihoods.argmax())]
