"""The modules that are trained, the decoder and its text encoder, and their losses."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipes.mini.composer.composition import FRAMES_PER_SECOND
from recipes.mini.lm.batches import NO_CLASS, NOT_DRAWN, Batch
from toccata.conditioners.chroma import ChromaConfig, step_rows
from toccata.conditioners.word_encoder import WordsConfig, WordsTextEncoder, mean_of_words
from toccata.decoder import delay
from toccata.decoder.decoder import Decoder, LMConfig
from toccata.decoder.initialization import init_weights
from toccata.engine.sampling import SamplingBatch, sample
from toccata.models.model import MELODY, TEXT
from toccata.models.sampling_params import SamplingParams
from toccata.models.step_conditioning import (  # fmt: skip
    BEATS,
    DRUMS,
    GENRE,
    KEY,
    LEAD,
    MELODY_STEPS,
    TEXT_STEPS,
)

AS_LIKELY = SamplingParams(temperature=1.0, top_k=0)
STEADY = (DRUMS, KEY, GENRE, LEAD)  # the same at all steps of a crop


class Conditioned(nn.Module):
    """The decoder, of the prefix kind, and its text encoder."""

    def __init__(self, lm: LMConfig, text: WordsConfig, chroma: ChromaConfig) -> None:
        super().__init__()
        self.lm = Decoder(lm)
        self.text = WordsTextEncoder(text)
        self.chroma = chroma
        init_weights(self.lm)
        for name in (BEATS, TEXT_STEPS, MELODY_STEPS, *STEADY):
            if name in self.lm.projections:
                nn.init.zeros_(self.lm.projections[name].get_parameter("weight"))

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Compute a training step.

        Returns:
            Logits [B, K, S, card]; targets [B, K, S], the special id where there is none; and the
            loss of the text encoder's predictions, in nats.
        """
        text = self.text(batch.captions)
        config = self.lm.config
        steps = delay.apply(batch.codes, config.delays, config.special_id)
        history = steps[..., :-1].masked_fill(~batch.history[:, None], config.special_id)
        prefix, step_conditioning = self.prefix(batch, text), self.step_conditioning(batch, text)
        history = self.scheduled_sampling(history, batch.uniforms, prefix, step_conditioning)
        logits = self.lm(history, prefix=prefix, step_conditioning=step_conditioning)
        return logits, steps[..., 1:], self.words_loss(batch, text)

    @torch.no_grad()
    def scheduled_sampling(
        self, history: Tensor, uniforms: Tensor, prefix: Tensor, step_conditioning: Tensor
    ) -> Tensor:
        """Replace codes of the history [B, K, S] by sampled ones where `uniforms` are drawn."""
        rows = (uniforms != NOT_DRAWN).flatten(1).any(1)
        if not rows.any():
            return history
        before = history[rows]
        logits = self.lm(before, prefix=prefix[rows], step_conditioning=step_conditioning[rows])
        # Where autocast keeps these casts of the weights, no gradient would come through them.
        torch.clear_autocast_cache()
        uniforms, card = uniforms[rows], self.lm.config.card
        own = before.clone()  # the first step is predicted by none
        as_likely = SamplingBatch.of([AS_LIKELY], card, logits.device)
        own[..., 1:] = sample(logits[..., :-1, :], as_likely, uniforms[..., 1:])
        stays = (uniforms == NOT_DRAWN) | (before == self.lm.config.special_id)
        mixed = history.clone()
        mixed[rows] = torch.where(stays, before, own)
        return mixed

    def words_loss(self, batch: Batch, text: Tensor) -> Tensor:
        """Cross-entropy of the predictions from captions, whose text states are [B, L, W].

        Heads that the text encoder does not have are left out.
        """
        mean, classes = mean_of_words(text), batch.words
        if batch.more_captions:
            mean = torch.cat([mean, mean_of_words(self.text(batch.more_captions))])
            classes = torch.cat([classes, batch.more_words])
        heads = (self.text.tempo, self.text.mode, *self.text.tags.values())
        losses = [
            _class_loss(head(mean).float(), targets)
            for head, targets in zip(heads, classes.unbind(1), strict=False)
            if head is not None
        ]
        return torch.stack(losses).sum() if losses else text.new_zeros(())

    def prefix(self, batch: Batch, text: Tensor) -> Tensor:
        """The prefix: melody rows, then text rows; a dropped text is zeros, as in inference."""
        words = self.lm.projections[TEXT](text) * _has_caption(batch)
        return torch.cat([self.lm.projections[MELODY](self.melody(batch)), words], 1)

    def step_conditioning(self, batch: Batch, text: Tensor) -> Tensor:
        """Per-step additive conditioning [B, S, D]; dropped conditions add nothing."""
        steps = batch.beats.shape[1]
        followed = batch.pitch.any(1)[:, None, None]
        near = step_rows(self.melody(batch), self.chroma, steps, FRAMES_PER_SECOND)
        sums: Tensor = (
            self.lm.projections[BEATS](batch.beats) * batch.beats[..., :1]
            + self.lm.projections[TEXT_STEPS](mean_of_words(text))[:, None] * _has_caption(batch)
            + self.lm.projections[MELODY_STEPS](near) * followed
            + self.steady_sums(batch)
        )
        return sums

    def steady_sums(self, batch: Batch) -> Tensor:
        """The part of it that is the same at all steps [B, 1, D]."""
        sums = torch.zeros(len(batch.codes), self.lm.config.dim, device=batch.codes.device)
        for name in STEADY:
            if name in self.lm.projections:
                row: Tensor = getattr(batch, name)
                sums = sums + self.lm.projections[name](row) * row.any(1, keepdim=True)
        return sums[:, None]

    def melody(self, batch: Batch) -> Tensor:
        return F.one_hot(batch.pitch, self.chroma.bins).float()


def _has_caption(batch: Batch) -> Tensor:
    """Which captions are not dropped [B, 1, 1]."""
    present = [bool(text) for text in batch.captions]
    return torch.tensor(present, device=batch.codes.device)[:, None, None]


def _class_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy where there is a class to predict; 0 if there is none."""
    if (targets == NO_CLASS).all():
        return logits.sum() * 0
    return F.cross_entropy(logits, targets, ignore_index=NO_CLASS)


def book_losses(logits: Tensor, targets: Tensor, card: int) -> Tensor:
    """Cross-entropy of each codebook [K] in nats."""
    losses = [
        F.cross_entropy(book.flatten(0, 1), target.flatten(), ignore_index=card)
        for book, target in zip(logits.unbind(1), targets.unbind(1), strict=True)
    ]
    return torch.stack(losses)
