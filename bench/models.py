"""toccata's side of a shape: the model with random weights, and what one step of it reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn

from bench.shapes import Shape
from bench.task import PROMPT
from toccata.backends.devices import PRECISIONS
from toccata.codecs.encodec import Encodec, EncodecConfig
from toccata.codecs.seanet import SeanetConfig
from toccata.conditioners.t5 import T5Shape, T5TextEncoder
from toccata.families.model import TEXT, Model
from toccata.kernels.matmul import INT4_GROUP
from toccata.lm.compressed import COMPRESSED, compress
from toccata.lm.decoder import Decoder, LMConfig
from toccata.types import SamplingParams

M = TypeVar("M", bound=nn.Module)
# Bytes of a weight in a layer; in int4 each group also has a scale and a zero.
LAYER_BYTES = {"fp32": 4.0, "bf16": 2.0, "int8": 1.0, "int4": 0.5 + 4 / INT4_GROUP}


def lm_config(shape: Shape) -> LMConfig:
    return LMConfig(
        dim=shape.dim,
        layers=shape.layers,
        heads=shape.heads,
        ffn_dim=shape.ffn_dim,
        card=shape.card,
        codebooks=shape.codebooks,
        cross_attention=True,
        delays=tuple(range(shape.codebooks)),
        cond_dims={TEXT: shape.text_dim},
    )


def text_shape(shape: Shape) -> T5Shape:
    return T5Shape(
        vocab_size=shape.text_vocabulary,
        d_model=shape.text_dim,
        d_kv=shape.text_head_dim,
        d_ff=shape.text_ffn_dim,
        num_layers=shape.text_layers,
        num_heads=shape.text_heads,
    )


def step_bytes(config: LMConfig, precision: str) -> int:
    """Bytes of the matrices that a step has to read once, however many rows it has.

    Not among them: embeddings, of which a row is read; keys and values of the text, which are
    computed once per request.
    """
    own = 4 * config.dim**2 + 2 * config.dim * config.ffn_dim
    cross = 2 * config.dim**2 if config.cross_attention else 0
    heads = config.codebooks * config.card * config.dim
    layers = config.layers * (own + cross) * LAYER_BYTES[precision]
    return round(layers + heads * max(1.0, LAYER_BYTES[precision]))


def random_model(shape: Shape, precision: str) -> Model:
    """As if loaded: each weight is drawn in its own dtype, and the codec is float32."""
    seanet = SeanetConfig(filters=shape.filters, dimension=shape.dimension)
    codec = EncodecConfig(codebooks=shape.codebooks, card=shape.card, seanet=seanet)
    wanted = PRECISIONS[precision].dtype
    lm = _drawn(lambda: Decoder(lm_config(shape)), wanted)
    if precision in COMPRESSED:
        compress(COMPRESSED[precision], lm)
    return Model(
        name="random",
        lm=lm,
        codec=_drawn(lambda: Encodec(codec), torch.float32),
        text_encoder=_drawn(lambda: T5TextEncoder(text_shape(shape), _tokenizer()), wanted),
        chroma=None,
        segment_s=30.0,
        defaults=SamplingParams(),
        device=torch.device("cpu"),
        dtype=wanted,
        licence="none: random weights",
    )


def _tokenizer() -> Tokenizer:
    """One token per word and punctuation mark of the prompt; any other word is unknown."""
    splitter = pre_tokenizers.Whitespace()
    words = [word for word, _ in splitter.pre_tokenize_str(PROMPT)]
    vocabulary = {word: number for number, word in enumerate(["?", *dict.fromkeys(words)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))  # noqa: S106 - no password
    tokenizer.pre_tokenizer = splitter
    return tokenizer


def _drawn(make: Callable[[], M], dtype: torch.dtype) -> M:
    """The module that `make` makes, holding no weights but random ones of `dtype`."""
    with torch.device("meta"):
        module = make()
    # By identity: T5 holds its embedding under two names.
    found = dict(module.named_parameters(remove_duplicate=False))
    drawn = {id(parameter): _draw(name, parameter, dtype) for name, parameter in found.items()}
    module.load_state_dict({name: drawn[id(p)] for name, p in found.items()}, assign=True)
    return module.eval().requires_grad_(False)


def _draw(name: str, like: Tensor, dtype: torch.dtype) -> nn.Parameter:
    empty = torch.empty(like.shape, dtype=dtype)
    if like.dim() == 1:  # gains and offsets of norms, and biases
        return nn.Parameter(empty.fill_(float(name.endswith("weight"))), requires_grad=False)
    fan_in = like[0].numel()
    return nn.Parameter(empty.normal_(std=fan_in**-0.5), requires_grad=False)
