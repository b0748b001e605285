"""That the shapes are those of the checkpoints, and that both sides do the same work."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from toccata.benchmark.ours import generate
from toccata.benchmark.random_model import (
    lm_config,
    random_model,
    step_bytes,
    text_shape,
    weights_bytes,
)
from toccata.benchmark.shapes import SHAPES, Shape, shape_of
from toccata.benchmark.task import PROMPT, PROMPT_TOKENS, StepClock
from toccata.conditioners.t5 import T5TextEncoder
from toccata.decoder.decoder import Decoder
from toccata.errors import InputError
from toccata.generation.handle import Toccata
from toccata.models.registry import KNOWN

TINY = SHAPES["tiny"]
KINDS = [
    TINY,
    replace(TINY, channels=2),
    replace(TINY, melody=True),
    replace(TINY, channels=2, melody=True),
]


def test_there_is_a_shape_for_every_checkpoint_but_style() -> None:
    assert set(KNOWN) - set(SHAPES) == {"style"}
    with pytest.raises(InputError, match="stereo-small"):
        shape_of("huge")


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("small", 420),
        ("medium", 1839),
        ("large", 3257),
        ("melody", 1386),
        ("stereo-small", 437),
        ("stereo-large", 3291),
    ],
)
def test_a_shape_has_the_parameters_of_its_checkpoint(name: str, millions: int) -> None:
    """Of the decoder with its projections, in the published files."""
    with torch.device("meta"):
        decoder = Decoder(lm_config(SHAPES[name]))
    assert sum(p.numel() for p in decoder.parameters()) / 1e6 == pytest.approx(millions, abs=1)


def test_the_text_encoder_of_a_shape_is_t5_base() -> None:
    tokenizer = Tokenizer(WordLevel({"?": 0}, unk_token="?"))
    with torch.device("meta"):
        encoder = T5TextEncoder(text_shape(SHAPES["small"]), tokenizer)
    assert sum(p.numel() for p in encoder.parameters()) == 109_628_544


@pytest.mark.filterwarnings("ignore")  # what transformers warns of is its own affair
@pytest.mark.parametrize("shape", KINDS)
def test_both_sides_make_the_same_audio_in_the_same_steps(shape: Shape) -> None:
    from toccata.benchmark import peer_transformers

    seconds, clocks = 0.5, (StepClock(), StepClock())
    own, model = random_model(shape, "fp32"), peer_transformers.model_of(shape, "fp32")
    our_audio_s = generate(Toccata(own), seconds, clocks[0])
    peer_audio_s = peer_transformers.generate(model, shape, seconds, clocks[1])
    assert our_audio_s == pytest.approx(peer_audio_s) == pytest.approx(seconds)
    assert abs(clocks[0].steps - clocks[1].steps) <= 1
    heads = sum(p.numel() for p in own.lm.heads.parameters())
    assert heads == sum(p.numel() for p in model.decoder.lm_heads.parameters())
    layers = sum(p.numel() for p in own.lm.layers.parameters())
    assert layers == sum(p.numel() for p in model.decoder.model.decoder.layers.parameters())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("shape", SHAPES)
def test_the_peer_has_the_codebooks_of_the_shape(shape: str) -> None:
    from toccata.benchmark import peer_transformers

    with torch.device("meta"):
        codec = peer_transformers.model_of(SHAPES[shape], "bf16", "meta").audio_encoder
    assert len(codec.quantizer.layers) == SHAPES[shape].codebooks


@pytest.mark.parametrize("shape", KINDS)
def test_the_bytes_of_a_step_are_the_matrices_that_it_multiplies(shape: Shape) -> None:
    lm = random_model(shape, "bf16").lm
    once = ("embed.", "projections.", "cross_attn.kv")
    matrices = [
        p for name, p in lm.named_parameters() if p.dim() == 2 and not any(o in name for o in once)
    ]
    assert step_bytes(lm_config(shape), "bf16") == sum(p.nbytes for p in matrices)


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_fewer_bits_weigh_less_and_make_music(precision: str) -> None:
    full, model = random_model(TINY, "fp32"), random_model(TINY, precision)
    assert weights_bytes(model) < weights_bytes(full)
    assert generate(Toccata(model), 0.2) == pytest.approx(0.2)


def test_the_prompt_has_as_many_tokens_as_the_peers_are_given() -> None:
    assert len(random_model(TINY, "fp32").text_encoder.encode(PROMPT)) == PROMPT_TOKENS
