"""The whole way by the command line: music in a folder, a model, and what comes of both."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.cli.conftest import Result, run
from tests.models.test_toccata import with_words
from toccata.audio.files import write
from toccata.audio.waveform import Waveform
from toccata.decoder.condition_scale import ConditionScale
from toccata.errors import InputError
from toccata.finetuning.beat_cache import BeatCache
from toccata.finetuning.dataset import Item
from toccata.finetuning.options import FinetuneOptions, check_same
from toccata.finetuning.prior_preservation import captions
from toccata.finetuning.run_files import run_folder
from toccata.finetuning.trainer import Trainer
from toccata.models import lora_files
from toccata.models.checkpoints.native import write as save_model
from toccata.models.loading import load_model
from toccata.models.model import Model

__all__ = ["run"]
Run = Callable[..., Result]
RATE_HZ = 32_000


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base") / "tiny"
    save_model(with_words("text"), path)
    return path


@pytest.fixture
def music(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "music"
    folder.mkdir()
    time_s = np.arange(RATE_HZ) / RATE_HZ
    for number in range(4):
        tone = 0.3 * np.sin(2 * np.pi * 220 * (number + 1) * time_s)
        write(folder / f"{number}.wav", Waveform(tone[None].astype(np.float32), RATE_HZ), "wav")
    lines = ["file,caption", *(f"{number}.wav,a tone" for number in range(4))]
    (folder / "captions.csv").write_text("\n".join(lines))
    return folder


def command(kind: str, base: Path, *more: str) -> list[str]:
    flags = "--segment-s 1 --no-auto-tags --held-out 0.25 --steps 4 --batch 2 --precision fp32"
    common = ["train", kind, "--data", "music", "--captions", "music/captions.csv"]
    return [*common, "--base", str(base), "--device", "cpu", *flags.split(), *more]


def test_a_lora_is_trained_and_loads(base: Path, music: Path, run: Run) -> None:
    asked = command("lora", base, "--trigger", "my style", "--rank", "2", "-o", "style.safetensors")
    made = run(*asked)
    assert (made.code, made.out) == (0, "style.safetensors\n"), made.err
    info = lora_files.read_info(Path("style.safetensors"))
    assert (info.base, info.rank, info.alpha, info.caption) == ("mine", 2, 2.0, "my style")
    assert info.steps == 4
    plain, styled = (
        load_model(base, device="cpu", precision="fp32", lora=names).lm.state_dict()
        for names in (None, "style.safetensors")
    )
    changed = {name for name in plain if not torch.equal(plain[name], styled[name])}
    assert "layers.0.self_attn.qkv.weight" in changed
    assert not any("embed" in name for name in changed)
    again = run(*asked, "--json")
    assert json.loads(again.out)["steps"] == 4
    assert run(*asked, "--lr", "0.5").code == 2


def test_clips_of_the_model_s_own_are_learnt_beside_the_music(
    base: Path, music: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: list[Item] = []

    class Spy(Trainer):
        def __init__(self, model: Model, items: list[Item], *more: Any) -> None:
            learnt.extend(items)
            super().__init__(model, items, *more)

    monkeypatch.setattr("toccata.finetuning.run.Trainer", Spy)
    asked = command("lora", base, "--trigger", "mine", "--keep", "3", "-o", "style.safetensors")
    assert run(*asked).code == 0
    kept = run_folder(Path("style.safetensors")) / "kept"
    assert sorted(path.name for path in kept.iterdir()) == [
        f"{number:04d}.{kind}" for number in range(3) for kind in ("txt", "wav")
    ]
    assert (kept / "0001.txt").read_text() == captions()[1] != captions()[2]
    own = set(captions()[:3])
    assert {item.caption for item in learnt} == {"mine, a tone", *own}
    assert not any(item.held_out for item in learnt if item.caption in own)
    before = {path.name: path.stat().st_mtime_ns for path in kept.iterdir()}
    assert run(*asked).code == 0
    assert {path.name: path.stat().st_mtime_ns for path in kept.iterdir()} == before


def test_a_whole_model_is_trained_and_loads(base: Path, music: Path, run: Run) -> None:
    made = run(*command("full", base, "-o", "my-model"))
    assert (made.code, made.out) == (0, "my-model\n"), made.err
    before, after = (
        load_model(path, device="cpu", precision="fp32", offline=True)
        for path in (base, Path("my-model"))
    )
    assert (after.name, after.segment_s) == ("my-model", before.segment_s)
    assert not torch.equal(
        before.lm.get_parameter("embed.0.weight"), after.lm.get_parameter("embed.0.weight")
    )
    assert run(*command("full", base, "-o", "my-model")).code == 0


def test_a_model_is_trained_without_its_condition_scale_and_keeps_it(
    base: Path, music: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Tensor] = []

    class Spy(Trainer):
        def __init__(self, model: Model, *more: Any) -> None:
            trained.append(model.lm.get_parameter("heads.0.weight").clone())
            super().__init__(model, *more)

    monkeypatch.setattr("toccata.finetuning.run.Trainer", Spy)
    loud = ConditionScale(inverse_temperature=(2.0, 1.0, 1.0, 1.0))
    plain = load_model(base, device="cpu", precision="fp32")
    save_model(replace(plain, condition_scale=loud), Path("loud"))
    assert run(*command("full", Path("loud"), "-o", "my-model")).code == 0
    assert torch.equal(trained[0], plain.lm.get_parameter("heads.0.weight"))
    made = load_model("my-model", device="cpu", precision="fp32", as_trained=True)
    assert made.condition_scale == loud


def test_a_run_from_before_there_was_an_option_goes_on() -> None:
    before = json.loads(FinetuneOptions().to_json())
    del before["keep"]
    check_same(json.dumps(before), FinetuneOptions(), "here")
    with pytest.raises(InputError, match="keep"):
        check_same(json.dumps(before), FinetuneOptions(keep=3), "here")


def test_a_dry_run_says_what_it_would_take(base: Path, music: Path, run: Run) -> None:
    said = run(*command("lora", base, "-o", "style.safetensors", "--dry-run", "--json"))
    trial = json.loads(said.out)
    assert trial["trained"] > 0
    assert trial["peak_gb"] > 0
    assert not Path("style.safetensors").exists()
    assert not (run_folder(Path("style.safetensors")) / "state.pt").exists()


def test_a_run_finds_the_beats_of_its_dry_run(
    base: Path, music: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = []
    trainer_of = BeatCache.__init__

    def opened(self: BeatCache, path: Path, model: Model) -> None:
        files.append(path.resolve())
        trainer_of(self, path, model)

    monkeypatch.setattr(BeatCache, "__init__", opened)
    asked = command("lora", base, "--rank", "2", "-o", "style.safetensors")
    assert run(*asked, "--dry-run").code == run(*asked).code == 0
    assert files == [music.parent / "style.training" / "beats.json"] * 2


def test_chunks_without_words_are_counted_whatever_the_trigger(
    base: Path, music: Path, run: Run
) -> None:
    Path("music/captions.csv").write_text("file,caption\n0.wav,a tone\n")
    flags = [flag for flag in command("lora", base) if flag != "--no-auto-tags"]
    said = run(*flags, "--trigger", "my style", "-o", "style.safetensors", "--dry-run")
    assert "captions: 3 of 4 chunks have only detected tags" in said.err, said.err


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (("-o", "style"), "end its name in .safetensors"),
        (("-o", "there.safetensors"), "it is there already"),
        (("-o", "a.safetensors", "--targets", "soul"), "--targets: 'soul' is not valid; name"),
        (("-o", "a.safetensors", "--alpha", "nan"), "--alpha: nan is not valid; use"),
        (("-o", "a.safetensors", "--segment-s", "99"), "--segment-s"),
        (("-o", "a.safetensors", "--segment-s", "nan"), "--segment-s: nan is not valid"),
        (("-o", "a.safetensors", "--minutes", "-1"), "minutes"),
        (("-o", "a.safetensors", "--precision", "int8"), "precision"),
    ],
)
def test_what_cannot_be_is_named(
    more: tuple[str, ...], problem: str, base: Path, music: Path, run: Run
) -> None:
    Path("there.safetensors").touch()
    refused = run(*command("lora", base, *more))
    assert refused.code == 2
    assert problem in refused.err


def test_options_may_come_from_a_file(base: Path, music: Path, run: Run) -> None:
    Path("run.yaml").write_text("lora: {rank: 3, alpha: 6.0, targets: [ffn]}\nema: 0.0\n")
    made = run(*command("lora", base, "--config", "run.yaml", "-o", "a.safetensors"))
    assert made.code == 0, made.err
    info = lora_files.read_info(Path("a.safetensors"))
    assert (info.rank, info.alpha, info.targets) == (3, 6.0, ("ffn",))
