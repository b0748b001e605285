"""Carrying on in time: which beats does the clip have that is to be carried on?

onsets -> a few likely pulses -> the pulse, the bar and the phrase under which the model finds the
clip's codes likeliest

The ear proposes and the model decides: it has learnt what bars and phrases are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from toccata.conditioners.base import Conditions
from toccata.conditioners.beats import Beats, beat_rows, named_beats
from toccata.engine.sequence import Codes
from toccata.families.model import BEATS, Model
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
    said = model.conditions(prompt)
    phrases = [beats for pulse in pulses for beats in _starts(pulse)]
    choices: list[Beats | None] = [*phrases, None]
    best = choices[_likeliest(model, said, codes, choices)]
    if best is None:
        return None
    frame_s = 1 / model.codec.frame_rate_hz
    nudged = [Beats(best.bpm, best.bar_s + frames * frame_s) for frames in (0, -1, 1)]
    return nudged[_likeliest(model, said, codes, nudged)]


def _starts(pulse: Pulse) -> Iterator[Beats]:
    """The phrase may start on any of its beats."""
    for beats in range(PHRASE_BEATS):
        yield Beats(pulse.bpm, pulse.beat_s + beats * 60 / pulse.bpm)


def _likeliest(
    model: Model, said: Conditions, codes: Codes, choices: Sequence[Beats | None]
) -> int:
    """Under which of `choices` the codes have the greatest likelihood."""
    config, size = model.lm.config, len(choices)
    given = torch.from_numpy(codes).to(model.device)[None].expand(size, -1, -1)
    steps = delay.apply(given, config.delays, config.special_id)[..., :-1]
    step_sums = torch.stack([_beat_sums(model, beats, steps.shape[2]) for beats in choices])
    if said.step_sums is not None:
        step_sums = step_sums + said.step_sums[: steps.shape[2]].float()
    rows = None if said.prefix is None else said.prefix.expand(size, -1, -1)
    logits = model.lm(steps, prefix=rows, step_sums=step_sums)
    by_frame = delay.undo_logits(logits, config.delays).log_softmax(-1)
    return int(by_frame.gather(-1, given[..., None]).sum((1, 2, 3)).argmax())


def _beat_sums(model: Model, beats: Beats | None, steps: int) -> torch.Tensor:
    if beats is None:
        return torch.zeros(steps, model.lm.config.dim, device=model.device)
    rows = beat_rows(beats, 0, steps, model.codec.frame_rate_hz)
    sums: torch.Tensor = model.lm.projections[BEATS](rows.to(model.device, model.dtype))
    return sums.float()
