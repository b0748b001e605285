"""`python -m recipes.mini codec`: autoencoder first, then quantised, then against a discriminator.

The order matters: without a strong time-domain loss before quantisation the phase is never found
(docs/lab/training_log.md has the figures).
"""

from __future__ import annotations

import itertools
import json
import logging
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from recipes.mini.codec.batches import CropMaker, in_background
from recipes.mini.codec.bfloat16 import check_half
from recipes.mini.codec.discriminator import Discriminator, discriminator_loss, generator_loss
from recipes.mini.codec.initialization import initialize_seanet
from recipes.mini.codec.losses import log_mel, si_sdr_db, spectral_losses
from recipes.mini.codec.vector_quantization import CodebookLearner
from recipes.mini.composer.composition import FRAMES_PER_SECOND, HOP
from recipes.mini.composer.examples import VALIDATION_SEED
from toccata.codecs.encodec import Encodec, EncodecConfig
from toccata.errors import InputError
from toccata.finetuning import training_state
from toccata.finetuning.config_file import from_mapping, load_config
from toccata.finetuning.learning_rate import warm_up
from toccata.finetuning.moving_average import MovingAverage
from toccata.models.loading import load_model

log = logging.getLogger(__name__)
KMEANS_POINTS_PER_CODE = 16
STATE = "codec.pt"


@dataclass(frozen=True)
class CodecRun:
    """One training run; the defaults are those of the shipped model's config.

    start: a model's name or folder, from whose codec to start, without a warm-up.
    context_s: the beginning of each crop that no loss counts, as context of the recurrent layers.
    bf16: compute in bfloat16; an error where it is wrong (`recipes/mini/codec/bfloat16.py`).
    average: decay of the moving average of the weights, which is the result.
    """

    out: str
    start: str = ""
    codec: EncodecConfig = field(default_factory=EncodecConfig)
    seed: int = 1
    steps: int = 5000
    warmup_steps: int = 400
    freeze_codes_from: int = 10**9
    adversarial_from: int = 10**9
    batch: int = 12
    per_song: int = 4
    crop_s: float = 0.64
    context_s: float = 0.0
    lr: float = 2e-3
    lr_end: float = 1e-4
    wave_weight: float = 20.0
    spectral_weight: float = 0.6
    energy_weight: float = 0.3
    commitment_weight: float = 1.0
    adversarial_weight: float = 0.05
    matching_weight: float = 0.1
    discriminator_filters: int = 8
    discriminator_every: int = 2  # steps of the codec for one of the discriminator
    average: float = 0.998
    bf16: bool = False
    device: str = "cpu"
    save_every: int = 250


def main(config: Path, soundfont: Path | None = None) -> Path:
    """Train, or continue training; returns the folder with `codec.pt`."""
    run = load_config(config, CodecRun)
    trainer = CodecTrainer(run, soundfont)
    trainer.resume()
    trainer.train()
    return Path(run.out)


def load_codec(path: Path) -> Encodec:
    """The codec of a training run, from its folder or its `codec.pt`."""
    state = training_state.load(path / STATE if path.is_dir() else path)
    run = from_mapping(CodecRun, json.loads(state["config"]), "config")
    codec = Encodec(run.codec)
    codec.load_state_dict(state["weights"])
    return codec.eval()


class CodecTrainer:
    def __init__(self, run: CodecRun, soundfont: Path | None = None) -> None:
        torch.manual_seed(run.seed)
        self.run, self.soundfont = run, soundfont
        self.path = Path(run.out) / STATE
        self.device = torch.device(run.device)
        self.codec = Encodec(run.codec)
        initialize_seanet(self.codec)
        self.codec.to(self.device)
        self.learner = CodebookLearner(self.codec.quantizer).to(self.device)
        self.average = MovingAverage(self.codec.state_dict(), run.average)
        self.discriminator = Discriminator(run.discriminator_filters).to(self.device)
        weights = [p for p in self.codec.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(weights, run.lr, betas=(0.8, 0.99))
        self.discriminator_optimizer = torch.optim.Adam(
            self.discriminator.parameters(), 3e-4, betas=(0.5, 0.9)
        )
        self.step = 0

    def parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        return {
            "codec": self.codec,
            "learner": self.learner,
            "discriminator": self.discriminator,
            "optimizer": self.optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
        }

    def resume(self) -> None:
        if self.path.is_file():
            state = training_state.load(self.path)
            for name, part in self.parts().items():
                part.load_state_dict(state[name])
            self.average.load(state["weights"])
            self.step = state["step"]
            torch.set_rng_state(state["rng"])
        elif self.run.start:
            self.start_from(self.run.start)

    def start_from(self, name: str) -> None:
        """Start from the codec of a model. Raises InputError if it has another shape."""
        codec = load_model(name, device="cpu", precision="fp32").codec
        if not isinstance(codec, Encodec) or codec.cfg != self.run.codec:
            raise InputError("start", name, "its codec must be of the shape of this run's")
        self.codec.load_state_dict(codec.state_dict())
        self.average = MovingAverage(self.codec.state_dict(), self.run.average)
        self.learner.follow(self.run.batch * self.run.crop_s * codec.frame_rate_hz)

    def save(self) -> None:
        state: dict[str, object] = {name: part.state_dict() for name, part in self.parts().items()}
        state |= {
            "weights": self.average.weights,
            "step": self.step,
            "rng": torch.get_rng_state(),
            "config": json.dumps(asdict(self.run)),
        }
        training_state.save(self.path, state)

    def train(self) -> None:
        run = self.run
        maker = CropMaker(
            seed=run.seed, batch=run.batch, crop_s=run.crop_s, per_song=run.per_song,
            soundfont=self.soundfont,
        )  # fmt: skip
        batches = in_background(self.step, maker)
        began, first = time.monotonic(), self.step
        for audio in itertools.islice(batches, run.steps - self.step):
            if run.bf16 and self.step == first:
                check_half(self.codec, audio.to(self.device))
            if self.step == run.warmup_steps and not run.start:
                self.start_codebooks(maker)
            losses = self.update(audio.to(self.device))
            self.step += 1
            if self.step % 50 == 0:
                rate = (self.step - first) / (time.monotonic() - began)
                figures = " ".join(f"{name} {value:.4f}" for name, value in losses.items())
                log.info("step %d/%d (%.2f/s) %s", self.step, run.steps, rate, figures)
            if self.step % run.save_every == 0 or self.step == run.steps:
                self.save()
                log.info("step %d validation %s", self.step, self.validate())

    @torch.no_grad()
    def start_codebooks(self, maker: CropMaker) -> None:
        points = KMEANS_POINTS_PER_CODE * self.run.codec.card
        batches = math.ceil(points / (maker.batch * maker.crop_frames))
        unseen = range(self.run.steps, self.run.steps + batches)
        latents = [self.codec.encoder(maker(step).to(self.device)) for step in unseen]
        self.learner.start(torch.cat(latents).transpose(1, 2).flatten(0, 1))

    def update(self, audio: Tensor) -> dict[str, float]:
        self.set_rate()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.run.bf16):
            output, commitment = self.reconstruct(audio)
        context = round(self.run.context_s * FRAMES_PER_SECOND) * HOP
        output, real = output.float()[:, 0, context:], audio[:, 0, context:]
        losses = {"wave": (output - real).abs().mean(), "commitment": commitment}
        losses["spectral"], losses["energy"] = spectral_losses(output, real)
        weights = {
            "wave": self.run.wave_weight,
            "spectral": self.run.spectral_weight,
            "energy": self.run.energy_weight,
            "commitment": self.run.commitment_weight,
        }
        if self.step >= self.run.adversarial_from:
            losses |= self.adversarial_losses(real, output)
            weights |= {
                "adversarial": self.run.adversarial_weight,
                "matching": self.run.matching_weight,
            }
        total = torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.codec.parameters(), 1.0)
        self.optimizer.step()
        self.average.update(self.codec.state_dict(), self.step)
        return {name: loss.item() for name, loss in losses.items()}

    def reconstruct(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        if self.step >= self.run.freeze_codes_from:
            with torch.no_grad():
                latents = self.codec.quantizer.decode(self.codec.encode(audio).clone())
            return self.codec.decoder(latents), latents.new_zeros(())
        latents = self.codec.encoder(audio).float()
        if self.step < self.run.warmup_steps:
            return self.codec.decoder(latents), latents.new_zeros(())
        quantized, commitment = self.learner(latents)
        return self.codec.decoder(quantized), commitment

    def adversarial_losses(self, real: Tensor, output: Tensor) -> dict[str, Tensor]:
        """The adversarial losses, after a step of the discriminator where one is due."""
        if self.step % self.run.discriminator_every == 0:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.run.bf16):
                loss = discriminator_loss(self.discriminator, real, output.detach())
            self.discriminator_optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.discriminator_optimizer.step()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.run.bf16):
            adversarial, matching = generator_loss(self.discriminator, real, output)
        return {"adversarial": adversarial, "matching": matching}

    def set_rate(self) -> None:
        run = self.run
        rate = warm_up(self.step, 100) * run.lr * (run.lr_end / run.lr) ** (self.step / run.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """SI-SDR, log10-mel L1 and codes in use of the averaged weights, on held-out songs."""
        audio = CropMaker(
            seed=VALIDATION_SEED, batch=16, crop_s=3.0, per_song=2, soundfont=self.soundfont
        )(0).to(self.device)
        codec = self.averaged()
        codes = codec.encode(audio)
        output = (
            codec.decode(codes)
            if self.step > self.run.warmup_steps
            else codec.decoder(codec.encoder(audio))
        )
        output, real = output[:, 0], audio[:, 0]
        scale = (1024, 256, 80)
        return {
            "si_sdr_db": round(si_sdr_db(output, real).mean().item(), 3),
            "mel_l1": round(
                (log_mel(output, *scale) - log_mel(real, *scale)).abs().mean().item(), 4
            ),
            "codes_used": min(len(torch.unique(codes[:, k])) for k in range(codes.shape[1])),
        }

    def averaged(self) -> Encodec:
        """The codec with the averaged weights."""
        codec = Encodec(self.run.codec).to(self.device)
        codec.load_state_dict(self.average.weights)
        return codec.eval()
