"""Carrying on in time and in tune: which beats and which key has the clip to be carried on?

onsets -> a few likely pulses -> the pulse, the bar and the phrase under which the model finds the
clip's codes likeliest

The ear proposes and the model decides: it has learnt what bars and phrases are. Keys are left to
the ear.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from toccata.conditioners.beats import Beats, named_beats
from toccata.conditioners.key import named_key
from toccata.engine.sequence import Codes
from toccata.families.model import Model
from toccata.families.step_conditions import StepConditions
from toccata.hearing.key import Key, estimate_key
from toccata.hearing.tempo import Pulse, likely_pulses
from toccata.lm import delay
from toccata.types import Waveform

PHRASE_BEATS = 16


@torch.inference_mode()
def match_beats(model: Model, prompt: str | None, clip: Waveform, codes: Codes) -> Beats | None:
    """The beats of `clip`, counted from its start; `codes` [K, P] are its own.

    A tempo that the prompt names is believed. None if the model follows no beats, hears none, or
    finds the codes likelier without.
    """
    if not model.follows_beats:
        return None
    named = named_beats(prompt)
    pulses = likely_pulses(clip.samples, clip.sample_rate_hz, None if named is None else named.bpm)
    if not pulses:
        return None
    phrases = [beats for pulse in pulses for beats in _starts(pulse)]
    choices: list[Beats | None] = [*phrases, None]
    told = [StepConditions(beats=beats) for beats in choices]
    best = choices[_likeliest(model, prompt, codes, told)]
    if best is None:
        return None
    frame_s = 1 / model.codec.frame_rate_hz
    nudged = [Beats(best.bpm, best.bar_s + frames * frame_s) for frames in (0, -1, 1)]
    told = [StepConditions(beats=beats) for beats in nudged]
    return nudged[_likeliest(model, prompt, codes, told)]


def match_key(model: Model, prompt: str | None, clip: Waveform) -> Key | None:
    """The key of `clip`, by ear. The model's own likelihood is worse at that than the ear is.

    A key that the prompt names is believed. None if the model is told no key.
    """
    if not model.follows_key:
        return None
    return named_key(prompt) or estimate_key(clip.samples, clip.sample_rate_hz)


def _starts(pulse: Pulse) -> Iterator[Beats]:
    """The phrase may start on any of its beats."""
    for beats in range(PHRASE_BEATS):
        yield Beats(pulse.bpm, pulse.beat_s + beats * 60 / pulse.bpm)


def _likeliest(
    model: Model, prompt: str | None, codes: Codes, choices: Sequence[StepConditions]
) -> int:
    """Under which of `choices`, told besides the prompt, the codes have the greatest likelihood."""
    config, size = model.lm.config, len(choices)
    given = torch.from_numpy(codes).to(model.device)[None].expand(size, -1, -1)
    steps = delay.apply(given, config.delays, config.special_id)[..., :-1]
    said = model.conditions(prompt)
    step_sums = torch.zeros(size, steps.shape[2], config.dim, device=model.device)
    for row, told in enumerate(choices):
        for sums in (said.step_sums, model.step_sums(told)):
            if sums is not None:
                step_sums[row] += sums[: steps.shape[2]]
    rows = None if said.prefix is None else said.prefix.expand(size, -1, -1)
    logits = model.lm(steps, prefix=rows, step_sums=step_sums)
    by_frame = delay.undo_logits(logits, config.delays).log_softmax(-1)
    return int(by_frame.gather(-1, given[..., None]).sum((1, 2, 3)).argmax())
