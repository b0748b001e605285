"""`toccata train lm`: the decoder and its text encoder, on the codes of the corpus."""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from toccata.conditioners import beats, drums
from toccata.conditioners.chroma import ChromaConfig, step_rows
from toccata.conditioners.words import WordsConfig, WordsTextEncoder, mean_of_words
from toccata.errors import InputError
from toccata.families.model import BEATS, DRUMS, MELODY, MELODY_STEPS, TEXT, TEXT_STEPS
from toccata.lm import delay
from toccata.lm.decoder import Decoder, LMConfig
from toccata.lm.init import init_weights
from toccata.training import checkpoint
from toccata.training.config import from_mapping, load_config
from toccata.training.corpus.song import FRAMES_PER_SECOND
from toccata.training.lm_data import Batch, CropBatches, Dropout

log = logging.getLogger(__name__)
# What validation losses were always measured with.
HELD_OUT = Dropout(all=0.0, text=0.0, melody=0.5, beats=0.2, drums=0.0, history=0.0)


@dataclass(frozen=True)
class LMRun:
    """One training run; the decoder is of the prefix kind with delays 0 1 2 3.

    start: the folder of an earlier run whose weights this one goes on from.
    """

    out: str
    corpus: str
    validation: str
    start: str = ""
    dim: int = 256
    layers: int = 8
    heads: int = 4
    ffn_dim: int = 1024
    card: int = 1024
    codebooks: int = 4
    text: WordsConfig = field(default_factory=lambda: WordsConfig(tempo_classes=90))
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
    tempo_weight: float = 0.05
    dropout: Dropout = field(default_factory=Dropout)
    bf16: bool = True
    save_every: int = 250

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
                DRUMS: drums.FEATURES,
            },
        )  # fmt: skip


class Conditioned(nn.Module):
    """What is trained: the decoder and the text encoder that goes with it."""

    def __init__(self, run: LMRun) -> None:
        super().__init__()
        self.lm = Decoder(run.lm)
        self.text = WordsTextEncoder(run.text)
        self.chroma = run.chroma
        init_weights(self.lm)
        for name in (BEATS, DRUMS, TEXT_STEPS, MELODY_STEPS):
            nn.init.zeros_(self.lm.projections[name].get_parameter("weight"))

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Logits [B, K, S, card]; their targets [B, K, S], the special id where none is due; and
        how little the words tell of the tempo, in nats.
        """
        text = self.text(batch.captions)
        config = self.lm.config
        steps = delay.apply(batch.codes, config.delays, config.special_id)
        heard = steps[..., :-1].masked_fill(~batch.heard[:, None], config.special_id)
        step_sums = self.step_sums(batch, text)
        logits = self.lm(heard, prefix=self.prefix(batch, text), step_sums=step_sums)
        return logits, steps[..., 1:], self.tempo_loss(text, batch.tempo)

    def tempo_loss(self, text: Tensor, tempo: Tensor) -> Tensor:
        """Cross-entropy of the tempo's class; 0 for a text encoder that tells none apart."""
        if self.text.tempo is None:
            return text.new_zeros(())
        return F.cross_entropy(self.text.tempo(mean_of_words(text)).float(), tempo)

    def prefix(self, batch: Batch, text: Tensor) -> Tensor:
        """Melody rows, then text rows; a withheld text is zeros, as when sampling."""
        words = self.lm.projections[TEXT](text) * _said(batch)
        return torch.cat([self.lm.projections[MELODY](self.melody(batch)), words], 1)

    def step_sums(self, batch: Batch, text: Tensor) -> Tensor:
        """What is added to each step [B, S, D]; nothing for what is withheld."""
        steps = batch.beats.shape[1]
        followed = batch.pitch.any(1)[:, None, None]
        near = step_rows(self.melody(batch), self.chroma, steps, FRAMES_PER_SECOND)
        sums: Tensor = (
            self.lm.projections[BEATS](batch.beats) * batch.beats[..., :1]
            + self.lm.projections[TEXT_STEPS](mean_of_words(text))[:, None] * _said(batch)
            + self.lm.projections[MELODY_STEPS](near) * followed
            + self.drums(batch)
        )
        return sums

    def drums(self, batch: Batch) -> Tensor:
        """What is added to all steps [B, 1, D]."""
        sums: Tensor = self.lm.projections[DRUMS](batch.drums)
        return (sums * batch.drums.any(1, keepdim=True))[:, None]

    def melody(self, batch: Batch) -> Tensor:
        return F.one_hot(batch.pitch, self.chroma.bins).float()


def _said(batch: Batch) -> Tensor:
    """Which captions are not withheld [B, 1, 1]."""
    return torch.tensor([bool(text) for text in batch.captions])[:, None, None]


def book_losses(logits: Tensor, targets: Tensor, card: int) -> Tensor:
    """Cross-entropy of each codebook [K] in nats."""
    losses = [
        F.cross_entropy(book.flatten(0, 1), target.flatten(), ignore_index=card)
        for book, target in zip(logits.unbind(1), targets.unbind(1), strict=True)
    ]
    return torch.stack(losses)


def main(config: Path) -> Path:
    """Train, or go on training, as `config` says; returns the folder with `lm.pt`."""
    run = load_config(config, LMRun)
    trainer = LMTrainer(run)
    trainer.resume()
    trainer.train()
    return Path(run.out)


def load_trained(path: Path) -> tuple[LMRun, Conditioned]:
    """The model of a training run, from its folder."""
    state = checkpoint.load(path / "lm.pt")
    run = from_mapping(LMRun, json.loads(state["config"]), "config")
    model = Conditioned(run)
    model.load_state_dict(state["model"])
    return run, model.eval()


class LMTrainer:
    def __init__(self, run: LMRun) -> None:
        torch.manual_seed(run.seed)
        self.run = run
        self.path = Path(run.out) / "lm.pt"
        self.model = Conditioned(run)
        self.optimizers = optimizers(self.model, run)
        self.batches = self._batches(Path(run.corpus), run.dropout)
        self.held_out = self._batches(Path(run.validation), HELD_OUT)
        self.step = 0

    def _batches(self, folder: Path, dropout: Dropout) -> CropBatches:
        run, chroma = self.run, self.run.chroma
        stride = chroma.hop * FRAMES_PER_SECOND / chroma.sample_rate_hz
        frames = round(run.segment_s * FRAMES_PER_SECOND)
        return CropBatches(
            folder=folder, seed=run.seed, batch=run.batch, frames=frames,
            steps=delay.steps_of(frames, run.lm.delays) - 1, pitch_frames=chroma.frames,
            pitch_stride=stride, from_start=run.from_start, dropout=dropout,
        )  # fmt: skip

    def resume(self) -> None:
        if self.path.is_file():
            state = checkpoint.load(self.path)
            self.model.load_state_dict(state["model"])
            for optimizer, values in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(values)
            self.step = state["step"]
        elif self.run.start:
            self.start_from(Path(self.run.start) / "lm.pt")

    def start_from(self, path: Path) -> None:
        """Take the weights of another run; conditions that it did not know begin at nothing."""
        weights, own = checkpoint.load(path)["model"], self.model.state_dict()
        begins = {name: value for name, value in own.items() if "projections" in name} | weights
        for name in {*begins, *own}:
            if name not in begins or name not in own or begins[name].shape != own[name].shape:
                cure = f"give this run the layers and sizes of that one: {name} differs"
                raise InputError("start", str(path), cure)
        self.model.load_state_dict(begins)

    def save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "config": json.dumps(asdict(self.run)),
        }
        checkpoint.save(self.path, state)

    def train(self) -> None:
        began, first, sums = time.monotonic(), self.step, torch.zeros(self.run.codebooks)
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
        losses, tempo_loss = self.losses(batch)
        weights = torch.tensor(self.run.book_weights)
        loss = (losses * weights / weights.sum()).sum() + self.run.tempo_weight * tempo_loss
        self.model.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.rate()
            optimizer.step()
        return losses.detach()

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Cross-entropy of each codebook [K], and of the tempo."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.run.bf16):
            logits, targets, tempo_loss = self.model(batch)
        return book_losses(logits.float(), targets, self.run.card), tempo_loss

    @torch.no_grad()
    def validate(self, batches: int = 6) -> Tensor:
        """Losses by codebook [K] on songs never trained on."""
        self.model.eval()
        losses = [self.losses(self.held_out(step))[0] for step in range(batches)]
        self.model.train()
        return torch.stack(losses).mean(0)

    def rate(self) -> float:
        """Linear warm-up, then a cosine down to `lr_end`."""
        run = self.run
        if self.step < run.warmup_steps:
            return run.lr * (self.step + 1) / run.warmup_steps
        done = (self.step - run.warmup_steps) / max(run.steps - run.warmup_steps, 1)
        return run.lr_end + (run.lr - run.lr_end) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


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
