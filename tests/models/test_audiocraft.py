"""audiocraft's releases load, and compute what audiocraft computes from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.engine.helpers import run
from tests.golden_lm import expected
from tests.models.helpers import CODEC_FILE, LM_FILE, copy_golden, edit, golden_model, load_golden
from toccata.audio.loudness import level
from toccata.audio.waveform import Waveform
from toccata.conditioners.base import Conditions
from toccata.decoder import delay
from toccata.engine.engine import Engine
from toccata.engine.sequence import Request
from toccata.errors import CheckpointError, InputError
from toccata.generation.handle import Toccata
from toccata.models.model import Model
from toccata.models.sampling_params import SamplingParams

KINDS = ["text", "melody", "stereo"]
CASES = [("text", ""), ("stereo", ""), ("melody", ""), ("melody", "_melody")]
PROMPT = "a slow warm piano"
GREEDY = SamplingParams(temperature=0.0, cfg=3.0)


def sound(kind: str) -> Waveform:
    return Waveform(expected(kind)["audio_in"][0].numpy(), 32000)


def conditions(kind: str, suffix: str) -> Conditions:
    return golden_model(kind).conditions(PROMPT, sound(kind) if suffix else None)


def close(actual: Tensor, wanted: Tensor) -> None:
    assert float((actual - wanted).abs().max() / wanted.abs().max()) < 1e-4


def greedy(model: Model, given: Conditions, frames: int = 40) -> Tensor:
    return torch.from_numpy(run(Engine(model, 2), Request(lambda _: given, frames, GREEDY, 0, 900)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_codec_gives_equal_codes_and_the_same_audio(kind: str) -> None:
    codec, want = golden_model(kind).codec, expected(kind)
    assert torch.equal(codec.encode(want["audio_in"]), want["codec_codes"])
    close(codec.decode(want["codec_codes"]), want["codec_audio"])


@pytest.mark.parametrize("kind", ["text", "stereo"])
def test_a_prompt_becomes_what_is_cross_attended(kind: str) -> None:
    text = conditions(kind, "").text
    assert text is not None
    close(text, expected(kind)["cond_description"][0])


@pytest.mark.parametrize("suffix", ["", "_melody"])
def test_the_prefix_is_the_melody_and_then_the_prompt(suffix: str) -> None:
    inputs, want = conditions("melody", suffix), expected("melody")
    assert inputs.prefix is not None
    assert inputs.unconditional_prefix is not None
    close(inputs.prefix[:32], want[f"cond_self_wav{suffix}"][0])
    close(inputs.prefix[32:], want["cond_description"][0])
    close(inputs.unconditional_prefix[:32], want["cond_self_wav"][0])
    assert not inputs.unconditional_prefix[32:].any()


@torch.inference_mode()
@pytest.mark.parametrize(("kind", "suffix"), CASES)
def test_the_logits_of_both_halves(kind: str, suffix: str) -> None:
    inputs, want, lm = conditions(kind, suffix), expected(kind), golden_model(kind).lm
    steps = delay.apply(want["lm_codes"], lm.config.delays, lm.config.special_id)[:, :, :-1]
    blank = golden_model(kind).conditions(None)
    branches = {"cond": (inputs.prefix, inputs.text), "null": (blank.unconditional_prefix, None)}
    mask = want["logits_mask"].bool()
    for half, (prefix, text) in branches.items():
        rows = [None if part is None else part[None] for part in (prefix, text)]
        logits = delay.undo_logits(lm(steps, rows[0], rows[1]), lm.config.delays)
        close(logits[mask], want[f"logits_{half}{suffix}"][mask])


@pytest.mark.parametrize(("kind", "suffix"), CASES)
def test_greedy_codes_are_equal(kind: str, suffix: str) -> None:
    codes = greedy(golden_model(kind), conditions(kind, suffix))
    assert torch.equal(codes, expected(kind)[f"greedy{suffix}"][0])


@pytest.mark.parametrize(("kind", "suffix"), CASES)
def test_greedy_codes_of_a_continuation_are_equal(kind: str, suffix: str) -> None:
    want, inputs = expected(kind), conditions(kind, suffix)
    start = want["lm_codes"][0, :, :11].numpy()
    request = replace(Request(lambda _: inputs, 29, GREEDY, 0, 900), prompt=start)
    codes = torch.from_numpy(run(Engine(golden_model(kind), 2), request))
    assert torch.equal(codes, want[f"greedy_continue{suffix}"][0])


def test_the_pipeline_makes_the_audio_of_the_reference_codes() -> None:
    model, want = golden_model("text"), expected("text")
    clip = Toccata(model, 2).generate(
        PROMPT, duration_s=0.8, seed=0, temperature=0.0, cfg=3.0, normalization="clip"
    )
    audio = level(Waveform(model.codec.decode(want["greedy"])[0].numpy(), 32000), "clip")
    assert clip.samples.shape == (1, 25600)
    np.testing.assert_allclose(clip.samples, audio.samples, rtol=0, atol=1e-4)


def test_melody_and_prompt_change_the_music() -> None:
    model = golden_model("melody")
    time_s = np.arange(64000, dtype=np.float32) / 32000
    tones = [Waveform(np.sin(2 * np.pi * hz * time_s)[None], 32000) for hz in (261.6, 370.0)]
    codes = [greedy(model, model.conditions(PROMPT, tone), 12) for tone in tones]
    codes.append(greedy(model, model.conditions(None, tones[1]), 12))
    assert not torch.equal(codes[0], codes[1])
    assert not torch.equal(codes[1], codes[2])


@pytest.mark.parametrize("kind", ["text", "stereo"])
def test_a_prompt_changes_the_music(kind: str) -> None:
    model = golden_model(kind)
    with_prompt, without = (greedy(model, model.conditions(p), 12) for p in (PROMPT, None))
    assert not torch.equal(with_prompt, without)


def test_a_model_without_melody_says_which_has_one() -> None:
    with pytest.raises(InputError, match="melody-large"):
        golden_model("text").conditions(PROMPT, sound("text"))


def test_a_state_that_is_nested_as_in_training_loads_too(tmp_path: Path) -> None:
    folder = copy_golden("text", tmp_path / "nested")
    nest = lambda content: content.update(best_state={"model": content["best_state"]})  # noqa: E731
    edit(folder / LM_FILE, nest)
    loaded = load_golden(folder, "text").lm.state_dict()
    for name, tensor in golden_model("text").lm.state_dict().items():
        assert torch.equal(tensor, loaded[name])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("positional_embedding: sin\n", "positional_embedding: rope\n"),
        ("  activation: gelu\n", "  activation: relu\n"),
        ("  modeling: delay\n", "  modeling: parallel\n"),
        ("  - description\n", "  - genre\n"),
        ("  layer_scale: null\n", "  layer_scale: 0.1\n"),
        ("  card: 128\n", "  card: many\n"),
        ("  n_q: 4\n", "  n_q: 3\n"),
    ],
)
def test_what_is_not_computed_is_refused(tmp_path: Path, old: str, new: str) -> None:
    folder = copy_golden("text", tmp_path / "other")

    def change(content: dict[str, str]) -> None:
        assert old in content["xp.cfg"]
        content["xp.cfg"] = content["xp.cfg"].replace(old, new)

    edit(folder / LM_FILE, change)
    with pytest.raises(CheckpointError) as refused:
        load_golden(folder, "text")
    assert str(folder / LM_FILE) in str(refused.value)
    assert new.rsplit(maxsplit=1)[-1] in str(refused.value)


def test_a_codec_of_another_model_is_refused(tmp_path: Path) -> None:
    folder = copy_golden("stereo", tmp_path / "mixed")
    change = lambda content: content.update(  # noqa: E731
        {"xp.cfg": content["xp.cfg"].replace("  use: true\n", "  use: false\n")}
    )
    edit(folder / LM_FILE, change)
    with pytest.raises(CheckpointError, match=CODEC_FILE):
        load_golden(folder, "stereo")
