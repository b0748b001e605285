"""The training loop: steps, validation, checkpoints."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from toccata.errors import InputError, ToccataError
from toccata.finetuning.batches import Example, Sampler, digest, held_out
from toccata.finetuning.beat_cache import BeatCache
from toccata.finetuning.conditions import Conditioner, track_beats
from toccata.finetuning.dataset import Item
from toccata.finetuning.learning_rate import rate, share_done
from toccata.finetuning.loss_plot import losses_svg
from toccata.finetuning.losses import book_sums, grouped
from toccata.finetuning.options import FULL, FinetuneOptions, check_same
from toccata.finetuning.ranks import Ranks
from toccata.finetuning.run_files import RunFiles
from toccata.finetuning.stopping import Stop, stoppable
from toccata.finetuning.weights import Tensors, Weights
from toccata.models.lora_files import shape_text
from toccata.models.model import Model

log = logging.getLogger(__name__)
SAVE_S = 120.0
BETAS = (0.9, 0.99)
# A smaller improvement of the loss, in nats, is no progress.
MIN_GAIN = 1e-4
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}

# Called with the share of the run that is done, and the latest losses as text.
OnStep = Callable[[float, str], None]
# Called with weights that are better than all before, and their step.
OnBetter = Callable[[Tensors, int], None]


@dataclass
class Record:
    """The progress of a run.

    Attributes:
        step: How many steps were made.
        elapsed_s: The time they took.
        best: The lowest validation loss so far, in nats.
        best_step: The step at which it was measured.
        misses: How many validations since then were worse.
        looked: The step of the last validation.
        losses: The losses of the last step by codebook, in nats.
    """

    step: int = 0
    elapsed_s: float = 0.0
    best: float | None = None
    best_step: int = 0
    misses: int = 0
    looked: int = -1
    losses: list[float] = field(default_factory=list)


class Trainer:
    """Trains the decoder of a model in place."""

    def __init__(
        self,
        model: Model,
        items: Sequence[Item],
        options: FinetuneOptions,
        files: RunFiles,
        ranks: Ranks | None = None,
    ) -> None:
        """Continue from the state in `files`, if there is one.

        Args:
            model: In float32 to train all of it, otherwise in the precision to compute in.
            items: Those to train on and those to validate with.
            options: Resolved options, with a precision.
            files: The files of the run.
            ranks: The processes that train together; None: this one.

        Raises:
            InputError: The options contradict the state, or no item is to train on.
        """
        self.model, self.options, self.files = model, options, files
        self._ranks = ranks or Ranks()
        self._sampler = Sampler(items, options, self._ranks.rank, self._ranks.world)
        self._held = held_out(items, self._ranks.rank, self._ranks.world)
        self._has_held = any(item.held_out for item in items)
        self._digest = digest(items)
        self._base = f"{model.name}: {shape_text(model.lm.config)}"
        beats = track_beats(model, items, BeatCache(files.beats, model))
        self.weights = Weights(model.lm, options)
        with_gradients = any("projections" in name for name in self.weights.trained)
        self._conditions = Conditioner(model, with_gradients, beats)
        groups = self.weights.groups(options.weight_decay)
        self._optimizer = torch.optim.AdamW(groups, options.lr, betas=BETAS, fused=True)
        half = model.device.type == "cuda" and options.precision == "fp16"
        self._scaler = torch.amp.GradScaler(model.device.type, enabled=half)
        for one in self.weights.trained.values():
            one.grad = torch.zeros_like(one)
        self._warning = ""
        self.record = Record()
        self._resume()

    def train(self, on_step: OnStep | None = None, on_better: OnBetter | None = None) -> Record:
        """Train to the end.

        Args:
            on_step: Called after each step.
            on_better: Called with the best weights so far.

        Raises:
            KeyboardInterrupt: The process was told to stop; the state is saved.
        """
        saved_s = time.monotonic()
        with stoppable() as stop:
            while (done := self._share_done()) < 1 and not self._idle():
                began_s = time.monotonic()
                self._train_step(done)
                if on_step is not None and self._ranks.first:
                    on_step(done, self._status())
                if self.record.step % self.options.validate_every == 0:
                    self._validate(on_better)
                if self._counted(time.monotonic() - began_s, stop):
                    self.save()
                    raise KeyboardInterrupt
                if time.monotonic() - saved_s > SAVE_S:
                    self._tolerate(self.save)
                    saved_s = time.monotonic()
            if self.record.looked != self.record.step:
                self._validate(on_better)
        self._tolerate(self.save)
        self._tolerate(self._draw)
        return self.record

    def _train_step(self, done: float) -> None:
        """Make one step and log its losses."""
        lr = rate(self.options, self.record.step, done)
        losses = self.update(lr)
        self.record.step += 1
        self.record.losses = losses.tolist()
        self._note(loss=losses, lr=lr)

    def update(self, lr: float) -> Tensor:
        """Make one optimiser step.

        Returns:
            The mean losses of all processes by codebook [K], in nats.

        Raises:
            InputError: A loss is not finite; the weights are unchanged.
        """
        self._optimizer.zero_grad(set_to_none=False)
        step = self._sampler(self.record.step)
        sums = sum((self._accumulate(batch, step.frames) for batch in step.batches), self._zeros())
        gradients = [one.grad for one in self.weights.trained.values() if one.grad is not None]
        self._ranks.add_up([sums, *gradients])
        if not sums.isfinite().all():
            cure = f"the loss of step {self.record.step + 1} is not finite: use a lower one"
            raise InputError("lr", self.options.lr, cure)
        self._scaler.unscale_(self._optimizer)
        nn.utils.clip_grad_norm_(self.weights.trained.values(), self.options.clip)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self.weights.follow(self.record.step)
        return sums / step.frames

    def _accumulate(self, batch: Sequence[Example], frames: int) -> Tensor:
        """Add the gradients of a batch of a step of `frames`. Returns its summed losses [K]."""
        sums = self._zeros()
        for losses in self._losses(batch):
            loss = losses.mean() / frames
            self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            sums += losses.detach()
        return sums

    def _losses(self, batch: Sequence[Example]) -> Iterator[Tensor]:
        """The losses [K], summed over frames, of each group of a batch."""
        half = DTYPES.get(self.options.precision) if self.options.kind == FULL else None
        with torch.autocast(self.model.device.type, half, enabled=half is not None):
            pairs = [(item, self._conditions(item, active)) for item, active in batch]
        for group in grouped(pairs):
            with torch.autocast(self.model.device.type, half, enabled=half is not None):
                losses = book_sums(self.model.lm, group)
            yield losses

    @torch.no_grad()
    def validate(self) -> Tensor | None:
        """The mean losses on held-out items by codebook [K]; None if nothing is held out."""
        if not self._has_held:
            return None
        size, sums, frames = self.options.batch, self._zeros(), self._zeros()[:1]
        with self.weights.averaged():
            for start in range(0, len(self._held), size):
                batch = self._held[start : start + size]
                frames += sum(item.codes.shape[1] for item, _ in batch)
                for losses in self._losses(batch):
                    sums += losses
        self._ranks.add_up([sums, frames])
        return sums / frames

    def _validate(self, on_better: OnBetter | None) -> None:
        """Validate, and keep the weights if they are the best so far."""
        losses, record = self.validate(), self.record
        record.looked = record.step
        if losses is not None:
            loss = float(losses.mean())
            self._note(held_out=losses)
            if self._ranks.first:
                log.info("step %d: held out %.4f nats", record.step, loss)
            if record.best is not None and loss > record.best - MIN_GAIN:
                record.misses += 1
                return
            record.best, record.misses = loss, 0
        record.best_step = record.step
        if self._ranks.first:
            with self.weights.averaged():
                better = self.weights.values()
                self._tolerate(partial(self.files.save_best, better))
                if on_better is not None:
                    self._tolerate(partial(on_better, better, record.step))

    def _idle(self) -> bool:
        return 0 < self.options.patience <= self.record.misses

    def _share_done(self) -> float:
        return share_done(self.options, self.record.step, self.record.elapsed_s)

    def _counted(self, seconds: float, stop: Stop) -> bool:
        """Add to the run's time, and return whether to stop.

        All processes count the time of the slowest one, and stop together.
        """
        own = torch.tensor([seconds, float(stop.requested)], device=self.model.device)
        slowest_s, is_requested = self._ranks.agree(own).tolist()
        self.record.elapsed_s += slowest_s
        return bool(is_requested)

    def _zeros(self) -> Tensor:
        return torch.zeros(self.model.lm.config.codebooks, device=self.model.device)

    def _note(self, lr: float | None = None, **losses: Tensor) -> None:
        if not self._ranks.first:
            return
        row: dict[str, Any] = {"step": self.record.step, "seconds": self.record.elapsed_s}
        for name, books in losses.items():
            row |= {name: float(books.mean()), "books": books.tolist()}
        self._tolerate(partial(self.files.note, row if lr is None else {**row, "lr": lr}))

    def _status(self) -> str:
        losses = self.record.losses
        best = "" if self.record.best is None else f", held out {self.record.best:.3f}"
        return f"step {self.record.step}: {sum(losses) / len(losses):.3f} nats{best}"

    def _draw(self) -> None:
        if self._ranks.first:
            self.files.draw(losses_svg(self.files.rows()))

    def _tolerate(self, write: Callable[[], None]) -> None:
        """Log an error of writing once: a full disk must not end hours of training."""
        try:
            write()
        except ToccataError as error:
            if str(error) != self._warning:  # once, not at every step
                log.warning("%s", error)
            self._warning = str(error)

    def save(self) -> None:
        """Write the training state, whole or not at all. Raises CheckpointError."""
        if self._ranks.first:
            state = {
                "options": self.options.to_json(),
                "data": self._digest,
                "base": self._base,
                "record": vars(self.record),
                "weights": self.weights.state(),
                "optimizer": self._optimizer.state_dict(),
                "scaler": self._scaler.state_dict(),
            }
            self.files.save_state(state)

    def _resume(self) -> None:
        state = self.files.state()
        if state is None:
            return
        check_same(state["options"], self.options, str(self.files.folder))
        if state["base"] != self._base:
            cure = f"the run in {self.files.folder} was begun with {state['base']}"
            raise InputError("base", self._base, cure)
        if state["data"] != self._digest:
            cure = (
                "the music or its captions have changed since this run began: name another output"
            )
            raise InputError("data", str(self.files.folder), cure)
        self.weights.restore(state["weights"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
        self.record = Record(**state["record"])
        if self._ranks.first:
            self.files.forget_after(self.record.step)
