"""Training: the loss falls, and neither stops nor batches nor processes change what is learnt."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.fakes import fake_model
from tests.finetuning.helpers import item, items, options, trainer
from toccata.decoder.lora import LoraConfig
from toccata.errors import InputError, InputErrors
from toccata.finetuning.batches import held_out
from toccata.finetuning.options import FinetuneOptions
from toccata.finetuning.trainer import Trainer
from toccata.finetuning.weights import Tensors
from toccata.models.model import Model

MODELS: dict[str, Callable[[], Model]] = {
    "text": fake_model,
    "prefix": lambda: fake_model(cross_attention=False),
    "melody": lambda: fake_model(melody=True),
    "mini": lambda: fake_model(melody=True, beats=True),
    "stereo": lambda: fake_model(channels=2),
}


def learnt(made: Trainer) -> Tensors:
    return {name: value.clone() for name, value in made.weights.values().items()}


def same(one: Tensors, other: Tensors, atol: float = 0.0) -> bool:
    return one.keys() == other.keys() and all(
        torch.allclose(one[name], other[name], rtol=0.0, atol=atol) for name in one
    )


def kept_by(made: Trainer) -> Tensors:
    best = made.files.best()
    assert best is not None
    return best


@pytest.mark.parametrize("kind", ["lora", "full"])
@pytest.mark.parametrize("name", MODELS)
def test_the_loss_falls(name: str, kind: str, tmp_path: Path) -> None:
    music = items(melody=name in ("melody", "mini"), books=2 if name == "stereo" else 1)
    lr = 0.05 if kind == "lora" else 0.005
    made = trainer(tmp_path, MODELS[name](), music, kind=kind, lr=lr, steps=8)
    before = made.validate()
    record = made.train()
    assert before is not None
    assert record.best is not None
    assert record.best < float(before.mean()) - 0.1


def test_a_lora_leaves_the_model_alone(tmp_path: Path) -> None:
    made, untouched = trainer(tmp_path), fake_model().lm.state_dict()
    made.train()
    now = made.model.lm.state_dict()
    frozen = {
        name.replace(".base.", "."): now[name] for name in now if name[-2:] not in (".a", ".b")
    }
    assert same(frozen, dict(untouched))


def test_all_of_a_decoder_is_trained(tmp_path: Path) -> None:
    made = trainer(tmp_path, fake_model(melody=True, beats=True), items(melody=True), kind="full")
    before = learnt(made)
    made.train()
    moved = {name for name, value in learnt(made).items() if not torch.equal(value, before[name])}
    assert {"projections.description.weight", "projections.beats.weight"} <= moved
    assert {"embed.0.weight", "layers.1.self_attn.qkv.weight", "heads.3.weight"} <= moved


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_a_run_that_was_stopped_learns_the_same(kind: str, tmp_path: Path) -> None:
    whole = trainer(tmp_path / "whole", kind=kind)
    whole.train()
    first = trainer(tmp_path / "parts", kind=kind)
    with pytest.raises(KeyboardInterrupt):
        first.train(
            on_step=lambda done, _: signal.raise_signal(signal.SIGINT) if done > 0.3 else None
        )
    second = trainer(tmp_path / "parts", kind=kind)
    assert 0 < second.record.step < 6
    second.train()
    assert same(learnt(second), learnt(whole))
    assert same(kept_by(second), kept_by(whole))
    steps = [row["step"] for row in second.files.rows() if "loss" in row]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_what_is_logged_after_the_last_state_is_forgotten(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    made.train()
    made.files.note({"step": 99, "loss": 1.0})
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"step": 100, "lo')  # killed while it wrote
    rows = trainer(tmp_path).files.rows()
    assert max(row["step"] for row in rows) == 6


def test_the_losses_are_plotted(tmp_path: Path) -> None:
    trainer(tmp_path).train()
    plot = (tmp_path / "losses.svg").read_text()
    assert all(text in plot for text in ("<svg", "nats per code", "training", "held out"))


def test_a_run_without_matplotlib_says_so_and_ends_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert trainer(tmp_path).train().step == 6
    assert "matplotlib, which draws the plots, is not installed (extra train)" in caplog.text
    assert not (tmp_path / "losses.svg").exists()


def test_a_run_that_is_done_is_done(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    made.train()
    again = trainer(tmp_path)
    again.train()
    assert same(learnt(again), learnt(made))
    longer = trainer(tmp_path, steps=8)
    assert longer.train().step == 8


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"lr": 0.5}, "lr"),
        ({"batch": 3}, "batch"),
        ({"kind": "full"}, "kind"),
        ({"seed": 4}, "seed"),
    ],
)
def test_options_that_contradict_the_run_are_named(
    change: dict[str, Any], field: str, tmp_path: Path
) -> None:
    trainer(tmp_path).save()
    with pytest.raises(InputError, match=rf"{field}: .*was begun with"):
        trainer(tmp_path, **change)


def test_other_music_is_another_run(tmp_path: Path) -> None:
    trainer(tmp_path).save()
    with pytest.raises(InputError, match=r"data: .*have changed"):
        trainer(tmp_path, music=items(7))


def test_another_base_is_another_run(tmp_path: Path) -> None:
    trainer(tmp_path).save()
    with pytest.raises(InputError, match=r"base: .*was begun with fake"):
        trainer(tmp_path, replace(fake_model(), name="other"))


def test_a_loss_that_is_not_finite_ends_the_run_with_its_weights_as_they_were(
    tmp_path: Path,
) -> None:
    made = trainer(tmp_path)
    made.model.lm.get_parameter("out_norm.weight").data.fill_(torch.inf)
    before = learnt(made)
    with pytest.raises(InputError, match="loss of step 1 is not finite"):
        made.train()
    assert same(learnt(made), before)


def test_music_is_needed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data .*held out"):
        trainer(tmp_path, music=[item(1, held_out=True)])


@pytest.mark.parametrize("more", [{"batch": 2, "accumulate": 2}, {"batch": 1, "accumulate": 4}])
def test_accumulated_batches_are_one_batch(more: dict[str, Any], tmp_path: Path) -> None:
    # Of a gradient near zero Adam keeps the sign alone, which rounding may turn.
    big = trainer(tmp_path / "big", batch=4, accumulate=1, lr=0.002)
    small = trainer(tmp_path / "small", lr=0.002, **more)
    for made in (big, small):
        made.train()
    assert same(learnt(big), learnt(small), atol=1e-5)


@pytest.mark.parametrize("name", ["text", "mini"])
def test_recomputed_layers_learn_the_same(name: str, tmp_path: Path) -> None:
    music = items(melody=name == "mini")
    kept = trainer(tmp_path / "kept", MODELS[name](), music)
    twice = trainer(tmp_path / "twice", MODELS[name](), music, recompute=True)
    for made in (kept, twice):
        made.train()
    assert same(learnt(kept), learnt(twice), atol=1e-6)


def test_it_stops_when_nothing_gets_better(tmp_path: Path) -> None:
    made = trainer(tmp_path, lr=1e-9, steps=100, patience=2, validate_every=1)
    record = made.train()
    assert (record.step, record.best_step, record.misses) == (3, 1, 2)
    patient = trainer(tmp_path, lr=1e-9, steps=5, patience=0, validate_every=1)
    assert patient.train().step == 5


def test_the_best_is_kept_and_not_the_last(tmp_path: Path) -> None:
    kept: list[tuple[Tensors, int]] = []
    made = trainer(tmp_path, lr=1.0, clip=1e6, ema=0.0, steps=6, validate_every=1, patience=0)
    record = made.train(on_better=lambda weights, step: kept.append((dict(weights), step)))
    held = {row["step"]: row["held_out"] for row in made.files.rows() if "held_out" in row}
    assert record.best == pytest.approx(min(held.values()), abs=1e-3)
    assert kept[-1][1] == record.best_step == made.record.best_step
    made.weights.put(kept_by(made))
    losses = made.validate()
    assert losses is not None
    assert float(losses.mean()) == pytest.approx(record.best, abs=1e-5)


def test_the_average_is_of_the_weights_so_far(tmp_path: Path) -> None:
    made = trainer(tmp_path, ema=0.5, lr=0.05)
    expected = learnt(made)
    for step in range(1, 5):
        made.update(0.05)
        made.record.step = step
        decay = min(0.5, (1 + step - 1) / (10 + step - 1))
        expected = {
            name: decay * old + (1 - decay) * made.weights.trained[name].detach()
            for name, old in expected.items()
        }
    assert made.weights.average is not None
    assert same(made.weights.average.weights, expected, atol=1e-6)
    before = learnt(made)
    with made.weights.averaged():
        assert same(learnt(made), expected, atol=1e-6)
    assert same(learnt(made), before)


def test_without_held_out_music_the_last_weights_are_kept(tmp_path: Path) -> None:
    made = trainer(tmp_path, music=items(4, 0), ema=0.0)
    record = made.train()
    assert (record.best, record.best_step) == (None, 6)
    assert same(kept_by(made), learnt(made))


def test_a_run_fits_the_time_it_is_given(tmp_path: Path) -> None:
    made = trainer(tmp_path, steps=0, minutes=1e-4, ema=0.0)
    record = made.train()
    assert record.step >= 1
    assert record.elapsed_s >= 0.006


def test_half_precision_learns(tmp_path: Path) -> None:
    half = fake_model()
    half.lm.to(torch.bfloat16)
    half.dtype = torch.bfloat16
    base = trainer(tmp_path / "lora", half, precision="bf16", lr=0.05, steps=8)
    whole = trainer(tmp_path / "full", precision="bf16", kind="full", lr=0.005, steps=8)
    for made in (base, whole):
        before = made.validate()
        assert before is not None
        assert (made.train().best or 9.0) < float(before.mean()) - 0.1


def test_codebooks_are_logged_apart(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    made.train()
    for row in made.files.rows():
        loss = row.get("loss", row.get("held_out"))
        assert len(row["books"]) == 4
        assert sum(row["books"]) / 4 == pytest.approx(loss, rel=1e-5)


def test_two_processes_are_one_with_twice_the_batch(tmp_path: Path) -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    program = [sys.executable, "-m", "tests.finetuning.two_processes", str(tmp_path / "two")]
    given = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    running = [subprocess.Popen(program, env={**given, "RANK": str(n)}) for n in range(2)]  # noqa: S603
    assert [one.wait() for one in running] == [0, 0]
    alone = trainer(tmp_path / "one", batch=4, steps=3)
    record = alone.train()
    best, expected = (torch.load(tmp_path / n / "best.pt")["weights"] for n in ("two", "one"))
    assert same(best, expected, atol=1e-5)
    held = [row for row in alone.files.rows() if "held_out" in row]
    assert held[-1]["held_out"] == pytest.approx(record.best or 0.0, abs=1e-3)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "half"}, "kind"),
        ({"batch": 0}, "batch"),
        ({"lr": float("nan")}, "lr"),
        ({"ema": 1.0}, "ema"),
        ({"precision": "int8"}, "precision"),
    ],
)
def test_wrong_options_are_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError, match=f"{field}: "):
        options(**change)


def test_a_run_without_a_length_gets_one() -> None:
    assert FinetuneOptions().resolved().steps == 1000
    assert FinetuneOptions(minutes=5).resolved().steps == 0
    assert FinetuneOptions(kind="full").resolved().lr == 2e-5


def test_much_held_out_music_is_asked_in_part(tmp_path: Path) -> None:
    asked = held_out(items(1, 200))
    assert 33 <= len(asked) <= 64
    assert {told.melody for _, told in asked} == {True, False}
    assert [len(held_out(items(1, 5), rank, 2)) for rank in range(2)] == [3, 2]


def test_conditions_can_be_a_target(tmp_path: Path) -> None:
    lora = LoraConfig(4, 8.0, ("conditions",))
    made = trainer(tmp_path, fake_model(melody=True, beats=True), items(melody=True), lora=lora)
    made.train()
    moved = {name for name, value in learnt(made).items() if name.endswith(".b") and value.any()}
    added = ("description", "self_wav", "beats", "description_steps", "self_wav_steps")
    assert {f"projections.{name}.b" for name in added} <= moved


def test_a_trigger_that_no_prompt_can_name_is_refused() -> None:
    with pytest.raises(InputErrors, match=r"trigger.* control character"):
        FinetuneOptions(trigger="a\x1bb").resolved()
