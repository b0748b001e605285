"""The style model: its encoder computes what its published parts do, and text and style are told
apart when sampling. The reference is put together from transformers' HuBERT and torch's modules.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn
from transformers import HubertConfig, HubertModel

from tests.engine.helpers import full_forward, run
from tests.golden_lm import expected
from tests.models.helpers import LM_FILE, GivenText, copy_golden, edit, publish
from tests.reference import tiny
from toccata.audio.waveform import Waveform
from toccata.conditioners.sinc import sinc_resample
from toccata.conditioners.word_encoder import WordsConfig, WordsTextEncoder
from toccata.engine.engine import Engine
from toccata.engine.sequence import Request
from toccata.errors import CheckpointError
from toccata.models import hub
from toccata.models.checkpoints.native import write as save_model
from toccata.models.loading import load_model, parts_elsewhere
from toccata.models.model import Model
from toccata.models.sampling_params import SamplingParams

DIM, HEADS, LAYERS = 256, 8, 4  # the scale "xsmall"
BOOKS, USED, CARD, EVERY = 6, 3, 16, 15
RATE_HZ = 32000  # the model's
PROMPT = "a slow warm piano"
AUDIO = "condition_provider.conditioners.self_wav."
STYLE = {
    "model_name": "mert", "transformer_scale": "xsmall", "sample_rate": "${sample_rate}",
    "length": 3.0, "ds_factor": EVERY, "n_q_out": BOOKS, "eval_q": USED, "bins": CARD,
    "batch_norm": True, "q_dropout": True, "compute_mask": True,
}  # fmt: skip


class ReferenceLayer(nn.Module):
    """Pre-norm, without biases but for the norms."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
        self.self_attn = nn.MultiheadAttention(DIM, HEADS, bias=False, batch_first=True)
        self.linear1 = nn.Linear(DIM, 4 * DIM, bias=False)
        self.linear2 = nn.Linear(4 * DIM, DIM, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.self_attn(y, y, y, need_weights=False)[0]
        return x + self.linear2(F.gelu(self.linear1(self.norm2(x))))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ReferenceLayer() for _ in range(LAYERS))


class ReferenceStyle(nn.Module):
    """Its state has the names that the published checkpoint uses."""

    mert: Any
    transformer: Transformer

    def __init__(self, mert: Any) -> None:
        super().__init__()
        self.__dict__["mert"] = mert  # not part of the checkpoint
        self.embed = nn.Linear(mert.config.hidden_size, DIM)
        self.transformer = Transformer()
        self.batch_norm = nn.BatchNorm1d(DIM, affine=False)
        self.output_proj = nn.Linear(DIM, 64)
        self.books = torch.randn(BOOKS, CARD, DIM, generator=torch.Generator().manual_seed(5))

    def forward(self, audio: Tensor) -> Tensor:
        """Mono audio [N] at 24 kHz to rows [P, 64]."""
        x = self.embed(self.mert(audio[None]).last_hidden_state)
        half = DIM // 2
        angle = torch.arange(x.shape[1])[:, None] / 10000 ** (torch.arange(half) / (half - 1))
        x = x + torch.cat([angle.cos(), angle.sin()], dim=-1)
        for layer in self.transformer.layers:
            x = layer(x)
        x = self.batch_norm(x.transpose(1, 2)).transpose(1, 2)
        left, quantized = x, torch.zeros_like(x)
        for book in self.books[:USED]:
            nearest = book[torch.cdist(left, book[None]).argmin(-1)]
            left, quantized = left - nearest, quantized + nearest
        return self.output_proj(quantized[:, ::EVERY])[0]  # type: ignore[no-any-return]

    def stored(self) -> dict[str, Tensor]:
        books = {f"rvq.vq.layers.{k}._codebook.embed": b for k, b in enumerate(self.books)}
        return {AUDIO + name: value for name, value in (self.state_dict() | books).items()}


@pytest.fixture(scope="module")
def reference() -> ReferenceStyle:
    config = HubertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
        conv_dim=(16,) * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4,
    )  # fmt: skip
    style = tiny.randomized(ReferenceStyle(tiny.randomized(HubertModel(config))))
    style.batch_norm.running_var.abs_().add_(0.1)
    return style  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def folder(reference: ReferenceStyle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden melody model with a style conditioner in place of its chroma."""
    folder = copy_golden("melody", tmp_path_factory.mktemp("style") / "model")

    def change(content: dict[str, Any]) -> None:
        config = yaml.safe_load(content["xp.cfg"])
        config["conditioners"]["self_wav"] = {"model": "style", "style": STYLE}
        content["xp.cfg"] = yaml.safe_dump(config)
        content["best_state"] |= reference.stored()

    edit(folder / LM_FILE, change)
    return folder


@pytest.fixture(scope="module", params=["safetensors", "bin"])
def model(
    request: pytest.FixtureRequest,
    folder: Path,
    reference: ReferenceStyle,
    tmp_path_factory: pytest.TempPathFactory,
) -> Model:
    """Loaded with MERT from a cache like the hub's, in either of its two spellings."""
    own = tmp_path_factory.mktemp("mert")
    reference.mert.config.save_pretrained(own / "mert")
    reference.mert.save_pretrained(own / "mert")
    if request.param == "bin":
        (own / "mert" / "model.safetensors").unlink()
        torch.save(old_names(reference.mert.state_dict()), own / "mert" / "pytorch_model.bin")
    publish(own / "mert", hub.MERT, own)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(own))
        text = GivenText(expected("melody")["text_hidden_single"][0])
        return load_model(folder, device="cpu", precision="fp32", offline=True, text_encoder=text)


def old_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    conv = "encoder.pos_conv_embed.conv."
    new = {"parametrizations.weight.original0": "weight_g"}
    new["parametrizations.weight.original1"] = "weight_v"
    named = {conv + old: conv + name for old, name in new.items()}
    return {named.get(name, name): value for name, value in state.items()}


def music(seed: int, duration_s: float = 3.0) -> Waveform:
    noise = np.random.default_rng(seed).standard_normal((1, round(RATE_HZ * duration_s)))
    return Waveform(0.1 * noise.astype(np.float32), RATE_HZ)


def at_24_khz(audio: Waveform) -> Tensor:
    return sinc_resample(torch.from_numpy(audio.samples[0]), RATE_HZ, 24000)


@torch.inference_mode()
def test_the_style_rows_are_those_of_the_reference(model: Model, reference: ReferenceStyle) -> None:
    audio = music(0)
    wanted = reference(at_24_khz(audio))
    given = model.conditions(PROMPT, audio)
    assert given.prefix is not None
    assert given.style_prefix is not None
    assert given.unconditional_prefix is not None
    rows = len(wanted)
    assert rows == 15
    torch.testing.assert_close(given.prefix[:rows], wanted, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(given.style_prefix[:rows], wanted, atol=1e-4, rtol=1e-4)
    assert given.prefix[rows:].any()
    assert not given.style_prefix[rows:].any()
    assert given.unconditional_prefix.shape == given.prefix.shape
    assert not given.unconditional_prefix.any()


@torch.inference_mode()
def test_the_middle_is_heard_and_a_short_clip_is_repeated(model: Model) -> None:
    assert model.style is not None
    inner, silence = music(1), np.zeros((1, RATE_HZ), np.float32)
    around = Waveform(np.concatenate([silence, inner.samples, silence], axis=1), RATE_HZ)
    torch.testing.assert_close(model.style.encode(around), model.style.encode(inner))
    one = music(2, 1.0)
    thrice = Waveform(np.tile(one.samples, (1, 3)), RATE_HZ)
    assert torch.equal(model.style.encode(one), model.style.encode(thrice))


@torch.inference_mode()
@pytest.mark.parametrize("beta", [5.0, 2.5])
def test_text_and_style_are_told_apart_when_sampling(model: Model, beta: float) -> None:
    given = model.conditions(PROMPT, music(0))
    params = SamplingParams(temperature=0.0, cfg=3.0, cfg_beta=beta)
    codes = run(Engine(model), Request(lambda _: given, 12, params, seed=0, stride_frames=100))
    cond, style, null = (
        full_forward(model, codes, prefix=None if rows is None else rows[None])
        for rows in (given.prefix, given.style_prefix, given.unconditional_prefix)
    )
    guided = null + 3.0 * (style + beta * (cond - style) - null)
    assert np.array_equal(guided.argmax(-1).numpy(), codes)


def test_text_without_style_is_guided_as_in_any_model(model: Model) -> None:
    """audiocraft guides it by cfg * cfg_beta: see the docstring of `Model._styled`."""
    given = model.conditions(PROMPT)
    params = SamplingParams(temperature=0.0, cfg=3.0, cfg_beta=5.0)
    codes = run(Engine(model), Request(lambda _: given, 12, params, seed=0, stride_frames=100))
    with torch.inference_mode():
        cond, null = (
            full_forward(model, codes, prefix=None if rows is None else rows[None])
            for rows in (given.prefix, given.unconditional_prefix)
        )
    assert np.array_equal((null + 3.0 * (cond - null)).argmax(-1).numpy(), codes)


@torch.inference_mode()
def test_audio_of_another_rate_passes_through_the_models(
    model: Model, reference: ReferenceStyle
) -> None:
    noise = np.random.default_rng(4).standard_normal((2, 3 * 44100)).astype(np.float32)
    own = sinc_resample(torch.from_numpy(noise.mean(0)), 44100, RATE_HZ)
    wanted = reference(sinc_resample(own, RATE_HZ, 24000))
    given = model.conditions(None, Waveform(noise, 44100)).prefix
    assert given is not None
    torch.testing.assert_close(given[: len(wanted)], wanted, atol=1e-4, rtol=1e-4)


def test_beside_others_it_makes_what_it_makes_alone(model: Model) -> None:
    both, style = model.conditions(PROMPT, music(0)), model.conditions(None, music(3))
    requests = [
        Request(lambda _, given=given: given, 20, params, seed, stride_frames=100)  # type: ignore[misc]
        for seed, (given, params) in enumerate([
            (both, SamplingParams(cfg_beta=5.0)), (style, SamplingParams(cfg_beta=5.0)),
            (both, SamplingParams()), (model.conditions(PROMPT), SamplingParams(cfg=1.0)),
        ])
    ]  # fmt: skip
    engine = Engine(model)
    together = [engine.submit(request) for request in requests]
    while engine.step():
        pass
    for request, sequence in zip(requests, together, strict=True):
        assert np.array_equal(run(Engine(model), request), sequence.codes)


def test_text_alone_and_nothing_at_all(model: Model) -> None:
    text, nothing = model.conditions(PROMPT), model.conditions(None)
    assert text.prefix is not None
    assert not text.prefix[0].any()
    assert text.prefix[1:].any()
    assert text.style_prefix is None
    assert nothing.prefix is not None
    assert not nothing.prefix.any()


def test_its_defaults_are_those_of_its_authors(model: Model) -> None:
    assert model.defaults == SamplingParams(cfg=3.0, cfg_beta=5.0)


def test_it_is_converted_with_all_it_needs(model: Model, tmp_path: Path) -> None:
    words = WordsTextEncoder(WordsConfig(dim=768, layers=1, buckets=64)).eval()
    whole = replace(model, text_encoder=words)
    save_model(whole, tmp_path / "own")
    again = load_model(tmp_path / "own", device="cpu", precision="fp32", offline=True)
    assert again.defaults == model.defaults
    wanted, given = (m.conditions("a piano", music(0)) for m in (whole, again))
    for name in ("prefix", "style_prefix", "unconditional_prefix"):
        assert torch.equal(getattr(given, name), getattr(wanted, name))


def test_what_it_needs_from_elsewhere_is_known(folder: Path) -> None:
    assert parts_elsewhere(folder) == ["t5-base", hub.MERT]


def test_without_mert_the_cure_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match=hub.MERT):
        load_model(
            folder,
            device="cpu",
            precision="fp32",
            offline=True,
            text_encoder=GivenText(torch.zeros(1, 768)),
        )
