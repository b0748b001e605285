"""`python -m recipes.mini lm`: the decoder and its text encoder, on the codes of the corpus."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from recipes.mini.captions import read_templates
from recipes.mini.composer.composition import FRAMES_PER_SECOND
from recipes.mini.composer.genres import all_genres
from recipes.mini.composer.instruments import INSTRUMENTS
from recipes.mini.lm.batches import Batch, CropBatches, Dropout
from recipes.mini.lm.code_translation import codec_of, translated
from recipes.mini.lm.model import Conditioned, book_losses
from recipes.mini.lm.warm_start import STATE, Weights, begin, weights_of
from toccata.conditioners import beats, drums, key
from toccata.conditioners.chroma import ChromaConfig
from toccata.conditioners.word_encoder import WordsConfig
from toccata.decoder import delay
from toccata.decoder.decoder import LMConfig
from toccata.errors import InputError
from toccata.finetuning import training_state
from toccata.finetuning.config_file import from_mapping, load_config
from toccata.finetuning.learning_rate import cosine, warm_up
from toccata.finetuning.moving_average import MovingAverage
from toccata.models.model import MELODY, TEXT
from toccata.models.step_conditioning import (  # fmt: skip
    BEATS,
    DRUMS,
    GENRE,
    KEY,
    LEAD,
    MELODY_STEPS,
    TEXT_STEPS,
)

log = logging.getLogger(__name__)
# The dropout of validation, so that losses of all runs can be compared.
HELD_OUT = Dropout(
    all=0.0, text=0.0, melody=0.5, beats=0.2, drums=0.0, key=0.0, genre=0.0, lead=0.0,
    history=0.0, own=0.0,
)  # fmt: skip


def all_words() -> WordsConfig:
    """A text encoder with all genres and leads of the corpus."""
    genres = tuple(genre.name for genre in all_genres())
    return WordsConfig(max_words=40, tempo_classes=90, genres=genres, leads=tuple(INSTRUMENTS))


@dataclass(frozen=True)
class LMRun:
    """One training run; the decoder is of the prefix kind with delays 0 1 2 3.

    start: the folder of an earlier run, or a model's name or folder, to start from; the decoder
        may be deeper.
    codec: the run of the corpus's codec, if `start` has another one. start_codec: the run of that
        other one, if it is not in `start`.
    more_captions: captions for the text encoder in each step, besides those of the crops.
    captions: a folder with captions of your own, besides those of the grammar.
    average: decay of the moving average of the weights, which is the result.
    """

    out: str
    corpus: str
    validation: str
    start: str = ""
    codec: str = ""
    start_codec: str = ""
    dim: int = 256
    layers: int = 8
    heads: int = 4
    ffn_dim: int = 1024
    card: int = 1024
    codebooks: int = 4
    text: WordsConfig = field(default_factory=all_words)
    segment_s: float = 10.0
    seed: int = 1
    steps: int = 10000
    batch: int = 8
    lr: float = 1.5e-3
    lr_end: float = 5e-5
    warmup_steps: int = 300
    weight_decay: float = 0.05
    from_start: float = 0.5
    book_weights: tuple[float, ...] = (1.5, 1.0, 0.8, 0.7)
    words_weight: float = 0.05
    more_captions: int = 64
    captions: str = ""
    average: float = 0.998
    dropout: Dropout = field(default_factory=Dropout)
    bf16: bool = True
    device: str = "cpu"
    save_every: int = 250

    def __post_init__(self) -> None:
        if self.start_codec and not self.codec:
            raise InputError("start_codec", self.start_codec, "give the corpus's own codec too")

    @property
    def chroma(self) -> ChromaConfig:
        shape = ChromaConfig(stems=False)
        frames = int(self.segment_s * shape.sample_rate_hz) // shape.hop + 1
        return ChromaConfig(stems=False, frames=frames)

    @property
    def lm(self) -> LMConfig:
        return LMConfig(
            dim=self.dim, layers=self.layers, heads=self.heads, ffn_dim=self.ffn_dim,
            card=self.card, codebooks=self.codebooks, cross_attention=False,
            delays=tuple(range(self.codebooks)),
            cond_dims={
                TEXT: self.text.dim, MELODY: self.chroma.bins, BEATS: beats.FEATURES,
                TEXT_STEPS: self.text.dim, MELODY_STEPS: self.chroma.step_features,
                DRUMS: drums.FEATURES, KEY: key.FEATURES, GENRE: len(self.text.genres),
                LEAD: len(self.text.leads),
            },
        )  # fmt: skip


def main(config: Path) -> Path:
    """Train, or continue training; returns the folder with `lm.pt`."""
    run = load_config(config, LMRun)
    trainer = LMTrainer(run)
    trainer.resume()
    trainer.train()
    return Path(run.out)


def load_trained(path: Path) -> tuple[LMRun, Conditioned]:
    """The model of a training run, from its folder."""
    state = training_state.load(path / STATE)
    run = from_mapping(LMRun, json.loads(state["config"]), "config")
    model = Conditioned(run.lm, run.text, run.chroma)
    model.load_state_dict(state["weights"])
    return run, model.eval()


class LMTrainer:
    def __init__(self, run: LMRun) -> None:
        torch.manual_seed(run.seed)
        self.run = run
        self.path = Path(run.out) / STATE
        self.device = torch.device(run.device)
        self.model = Conditioned(run.lm, run.text, run.chroma).to(self.device)
        self.optimizers = optimizers(self.model, run)
        self.batches = self._batches(Path(run.corpus), run.dropout)
        self.held_out = self._batches(Path(run.validation), HELD_OUT)
        self.average = MovingAverage(self.model.state_dict(), run.average)
        self.step = 0

    def _batches(self, folder: Path, dropout: Dropout) -> CropBatches:
        run, chroma = self.run, self.run.chroma
        stride = chroma.hop * FRAMES_PER_SECOND / chroma.sample_rate_hz
        frames = round(run.segment_s * FRAMES_PER_SECOND)
        return CropBatches(
            folder=folder, seed=run.seed, batch=run.batch, frames=frames,
            steps=delay.steps_of(frames, run.lm.delays) - 1, pitch_frames=chroma.frames,
            pitch_stride=stride, from_start=run.from_start, dropout=dropout,
            words=run.text, more_captions=run.more_captions,
            templates=read_templates(Path(run.captions)) if run.captions else (),
        )  # fmt: skip

    def resume(self) -> None:
        if self.path.is_file():
            state = training_state.load(self.path)
            self.model.load_state_dict(state["model"])
            for optimizer, values in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(values)
            self.step = state["step"]
            self.average.load(state["weights"])
        elif self.run.start:
            begin(self.model, self._start(), self.run.start)
            self.average = MovingAverage(self.model.state_dict(), self.run.average)

    def _start(self) -> Weights:
        run = self.run
        weights = weights_of(run.start)
        if not run.codec:
            return weights
        return translated(weights, codec_of(run.start_codec or run.start), codec_of(run.codec))

    def save(self) -> None:
        state = {
            "weights": self.average.weights,
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "config": json.dumps(asdict(self.run)),
        }
        training_state.save(self.path, state)

    def train(self) -> None:
        began, first, sums = time.monotonic(), self.step, self._nothing()
        while self.step < self.run.steps:
            sums += self.update(self.batches(self.step))
            self.step += 1
            if self.step % 50 == 0:
                rate = (self.step - first) / (time.monotonic() - began)
                log.info(
                    "step %d/%d (%.2f/s) %s", self.step, self.run.steps, rate, _nats(sums / 50)
                )
                sums.zero_()
            if self.step % self.run.save_every == 0 or self.step == self.run.steps:
                self.save()
                self.batches.reload()
                log.info(
                    "step %d validation %s (%.1f h of corpus)",
                    self.step, _nats(self.validate()), self.batches.hours,
                )  # fmt: skip

    def update(self, batch: Batch) -> Tensor:
        """One optimiser step; returns the losses by codebook [K]."""
        losses, words_loss = self.losses(batch)
        weights = torch.tensor(self.run.book_weights, device=self.device)
        loss = (losses * weights / weights.sum()).sum() + self.run.words_weight * words_loss
        self.model.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.rate()
            optimizer.step()
        self.average.update(self.model.state_dict(), self.step)
        return losses.detach()

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Cross-entropy by codebook [K], and of the predictions from captions."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.run.bf16):
            logits, targets, words_loss = self.model(batch.to(self.device))
        return book_losses(logits.float(), targets, self.run.card), words_loss

    @torch.no_grad()
    def validate(self, batches: int = 6) -> Tensor:
        """Losses by codebook [K] of the averaged weights, on songs never trained on."""
        model, self.model = self.model, self._averaged()
        losses = [self.losses(self.held_out(step))[0] for step in range(batches)]
        self.model = model
        return torch.stack(losses).mean(0)

    def _averaged(self) -> Conditioned:
        model = Conditioned(self.run.lm, self.run.text, self.run.chroma)
        model.load_state_dict(self.average.weights)
        return model.to(self.device).eval()

    def _nothing(self) -> Tensor:
        return torch.zeros(self.run.codebooks, device=self.device)

    def rate(self) -> float:
        """Linear warm-up, then a cosine down to `lr_end`."""
        run = self.run
        done = (self.step - run.warmup_steps) / max(run.steps - run.warmup_steps, 1)
        return warm_up(self.step, run.warmup_steps) * cosine(done, run.lr, run.lr_end)


def optimizers(model: Conditioned, run: LMRun) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al. 2024) for the layers' matrices, AdamW for everything else.

    Muon's step is scaled to the size of AdamW's, so that one learning rate serves both (Liu et
    al. 2025, section 2.2).
    """
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        (matrices if parameter.dim() == 2 and "layers." in name else others).append(parameter)
    return [
        torch.optim.Muon(
            matrices, run.lr, weight_decay=run.weight_decay, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(others, run.lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]


def _nats(losses: Tensor) -> str:
    return " / ".join(f"{loss:.3f}" for loss in losses.tolist())
