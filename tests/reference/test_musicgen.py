"""Against transformers' MusicGen, on tiny random checkpoints that transformers saved."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.reference import tiny
from toccata.codecs.stereo import StereoCodec
from toccata.decoder import delay
from toccata.errors import CheckpointError
from toccata.models.checkpoints.native import write as save_model
from toccata.models.loading import load_model
from toccata.models.model import Model

PROMPT = "slow warm piano"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


def load(folder: Path) -> Model:
    return load_model(folder, device="cpu", precision="fp32", offline=True)


def close(actual: Tensor, wanted: Tensor) -> None:
    assert float((actual - wanted).abs().max() / wanted.abs().max()) < 1e-4


def delayed_codes(codebooks: int, steps: int = 9) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randint(0, tiny.CARD + 1, (1, codebooks, steps), generator=generator)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    reference = tiny.musicgen()
    return reference, tiny.save(reference, tmp_path_factory.mktemp("mono") / "mono")


@pytest.mark.parametrize("shards", [False, True])
@pytest.mark.parametrize("stereo", [False, True])
@torch.inference_mode()
def test_logits_are_those_of_transformers(stereo: bool, shards: bool, tmp_path: Path) -> None:
    reference = tiny.musicgen(stereo)
    options = {"max_shard_size": "40KB"} if shards else {}
    model = load(tiny.save(reference, tmp_path / "model", **options))
    assert (tmp_path / "model" / INDEX).exists() is shards
    codes = delayed_codes(model.lm.config.codebooks)
    text = model.conditions(PROMPT).text
    assert text is not None
    wanted = reference(
        input_ids=torch.tensor([tiny.tokenizer().encode(PROMPT).ids]),
        attention_mask=torch.ones(1, 4, dtype=torch.int64),
        decoder_input_ids=codes.flatten(0, 1),
    ).logits
    close(model.lm(codes, memory=text[None])[0], wanted)


@pytest.mark.parametrize("stereo", [False, True])
def test_delays_are_those_of_transformers(stereo: bool, tmp_path: Path) -> None:
    reference = tiny.musicgen(stereo)
    model = load(tiny.save(reference, tmp_path / "model"))
    assert isinstance(model.codec, StereoCodec) is stereo
    config = model.lm.config
    codes = torch.arange(6).expand(1, config.codebooks, 6)
    ours = delay.apply(codes, config.delays, config.special_id)
    starts = torch.full((config.codebooks, 1), config.special_id)
    given = torch.cat([starts, codes[0]], dim=1)
    _, pattern = reference.decoder.build_delay_pattern_mask(given, config.special_id, 20)
    frame_0 = [int((row == 0).nonzero()[0, 0]) for row in pattern]
    assert frame_0 == [int((row == 0).nonzero()[0, 0]) for row in ours[0]]


@torch.inference_mode()
def test_the_codec_gives_equal_codes_and_the_same_audio(saved: tuple[Any, Path]) -> None:
    reference, folder = saved
    codec = load(folder).codec
    audio = 30 * torch.randn(1, 1, 9999, generator=torch.Generator().manual_seed(0))
    codes = codec.encode(audio)
    assert len(set(codes.flatten().tolist())) > 20
    assert torch.equal(codes, reference.audio_encoder.encode(audio).audio_codes[0])
    close(codec.decode(codes), reference.audio_encoder.decode(codes[None], [None]).audio_values)


@torch.inference_mode()
def test_the_text_states_are_those_of_transformers(saved: tuple[Any, Path]) -> None:
    reference, folder = saved
    states = load(folder).text_encoder.encode(PROMPT)
    ids = torch.tensor([tiny.tokenizer().encode(PROMPT).ids])
    close(states, reference.text_encoder(input_ids=ids).last_hidden_state[0])


@torch.inference_mode()
def test_a_melody_model_prepends_the_melody_and_then_the_prompt(tmp_path: Path) -> None:
    reference = tiny.musicgen_melody()
    model = load(tiny.save(reference, tmp_path / "melody"))
    assert model.chroma is not None
    assert (model.chroma.frames, model.chroma.bins, model.chroma.hop) == (20, 12, 4096)
    prefix = model.conditions(PROMPT).prefix
    assert prefix is not None
    ids = torch.tensor([tiny.tokenizer().encode(PROMPT).ids])
    in_c = torch.nn.functional.one_hot(torch.zeros(20, dtype=torch.int64), 12).float()
    close(prefix[:20], reference.audio_enc_to_dec_proj(in_c))
    states = reference.text_encoder(input_ids=ids).last_hidden_state[0]
    close(prefix[20:], reference.enc_to_dec_proj(states))
    codes = delayed_codes(4)
    logits = reference.decoder(codes.flatten(0, 1), encoder_hidden_states=prefix[None]).logits
    close(model.lm(codes, prefix=prefix[None])[0], logits[:, -9:])


@pytest.mark.parametrize("stereo", [False, True])
@torch.inference_mode()
def test_our_own_folder_holds_the_same_model(stereo: bool, tmp_path: Path) -> None:
    was = load(tiny.save(tiny.musicgen(stereo), tmp_path / "theirs"))
    save_model(was, tmp_path / "ours")
    now = load(tmp_path / "ours")
    codes, audio = delayed_codes(was.lm.config.codebooks), torch.ones(1, was.codec.channels, 1280)
    assert torch.equal(was.lm(codes), now.lm(codes))
    assert torch.equal(was.codec.encode(audio), now.codec.encode(audio))
    assert torch.equal(was.text_encoder.encode(PROMPT), now.text_encoder.encode(PROMPT))
    kept = ("name", "chroma", "segment_s", "defaults", "licence")
    assert [getattr(was, name) for name in kept] == [getattr(now, name) for name in kept]


def test_early_releases_load(saved: tuple[Any, Path], tmp_path: Path) -> None:
    """The old spelling of weight norm, the stored positions, the embedding under its other name."""
    tensors = load_file(saved[1] / WEIGHTS)
    old = {
        name.replace("parametrizations.weight.original0", "weight_g")
        .replace("parametrizations.weight.original1", "weight_v")
        .replace("text_encoder.shared", "text_encoder.encoder.embed_tokens"): tensor
        for name, tensor in tensors.items()
    }
    old["decoder.model.decoder.embed_positions.weights"] = torch.zeros(2048, 16)
    folder = copy_config(saved[1], tmp_path)
    change_config(folder, lambda config: config["decoder"].pop("audio_channels"))
    save_file(old, folder / WEIGHTS)
    was, now = load(saved[1]), load(folder)
    codes = delayed_codes(4)
    assert torch.equal(was.lm(codes), now.lm(codes))
    assert torch.equal(was.text_encoder.encode(PROMPT), now.text_encoder.encode(PROMPT))
    audio = torch.ones(1, 1, 640)
    assert torch.equal(was.codec.encode(audio), now.codec.encode(audio))


def copy_config(folder: Path, to: Path) -> Path:
    for name in ("config.json", "tokenizer.json"):
        (to / name).write_bytes((folder / name).read_bytes())
    return to


def change_config(folder: Path, change: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def copy(folder: Path, to: Path) -> Path:
    copy_config(folder, to)
    (to / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes())
    return to


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("decoder", "activation_function", "relu"),
        ("decoder", "scale_embedding", True),
        ("decoder", "num_attention_heads", 3),
        ("decoder", "num_codebooks", 8),
        ("decoder", "ffn_dim", 48),
        ("decoder", "hidden_size", None),
        ("audio_encoder", "use_causal_conv", True),
        ("audio_encoder", "use_causal_conv", None),
        ("audio_encoder", "norm_type", "time_group_norm"),
        ("audio_encoder", "normalize", True),
        ("audio_encoder", "chunk_length_s", 1.0),
        ("audio_encoder", "target_bandwidths", []),
        ("audio_encoder", "target_bandwidths", [2.4]),
        ("text_encoder", "model_type", "umt5"),
        ("text_encoder", "d_ff", "wide"),
    ],
)
def test_what_does_not_fit_is_refused(
    section: str, field: str, value: object, saved: tuple[Any, Path], tmp_path: Path
) -> None:
    folder = copy(saved[1], tmp_path)
    change_config(folder, lambda config: config[section].update({field: value}))
    if section == "audio_encoder" and value is None:
        change_config(folder, lambda config: config[section].pop(field))
    with pytest.raises(CheckpointError, match=re.escape(str(folder))):
        load(folder)


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", WEIGHTS])
def test_a_missing_file_is_named(missing: str, saved: tuple[Any, Path], tmp_path: Path) -> None:
    folder = copy(saved[1], tmp_path)
    (folder / missing).unlink()
    with pytest.raises(CheckpointError, match=missing):
        load(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", WEIGHTS])
def test_a_truncated_file_is_named(name: str, saved: tuple[Any, Path], tmp_path: Path) -> None:
    folder = copy(saved[1], tmp_path)
    (folder / name).write_bytes((folder / name).read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=re.escape(str(folder / name))):
        load(folder)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = tiny.save(tiny.musicgen(), tmp_path / "model", max_shard_size="40KB")
    shard = sorted(folder.glob("model-*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(CheckpointError, match=shard.name):
        load(folder)


def test_an_index_reads_no_file_elsewhere(saved: tuple[Any, Path], tmp_path: Path) -> None:
    folder = copy_config(saved[1], tmp_path)
    (folder / INDEX).write_text(json.dumps({"weight_map": {"x": f"../{WEIGHTS}"}}))
    with pytest.raises(CheckpointError, match="nothing was read"):
        load(folder)
