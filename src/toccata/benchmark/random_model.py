"""Build a model of a given shape with random weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn

from toccata.benchmark.machine import trim_memory
from toccata.benchmark.shapes import Shape
from toccata.benchmark.task import PROMPT
from toccata.codecs.base import Codec
from toccata.codecs.encodec import Encodec, EncodecConfig
from toccata.codecs.seanet import SeanetConfig
from toccata.codecs.stereo import StereoCodec
from toccata.conditioners.chroma import ChromaConfig
from toccata.conditioners.t5 import T5Shape, T5TextEncoder
from toccata.decoder.decoder import Decoder, LMConfig
from toccata.decoder.quantized import COMPRESSED, compress_one
from toccata.devices import PRECISIONS
from toccata.kernels.matmul import INT4_GROUP
from toccata.models.model import MELODY, TEXT, Model
from toccata.models.sampling_params import SamplingParams

M = TypeVar("M", bound=nn.Module)
Replace = Callable[[nn.Module, str, Tensor], bool]
"""Replaces the submodule of a weight's name by another one; returns whether it has."""
# Bytes of a weight in a layer; in int4 each group also has a scale and a low.
LAYER_BYTES = {"fp32": 4.0, "bf16": 2.0, "fp16": 2.0, "int8": 1.0, "int4": 0.5 + 4 / INT4_GROUP}


def lm_config(shape: Shape) -> LMConfig:
    """Return the shape of the language model."""
    melody = {MELODY: ChromaConfig().bins} if shape.melody else {}
    return LMConfig(
        dim=shape.dim,
        layers=shape.layers,
        heads=shape.heads,
        ffn_dim=shape.ffn_dim,
        card=shape.card,
        codebooks=len(shape.delays),
        cross_attention=not shape.melody,
        delays=shape.delays,
        cond_dims={TEXT: shape.text_dim, **melody},
    )


def text_shape(shape: Shape) -> T5Shape:
    """Return the shape of the text encoder."""
    return T5Shape(
        vocab_size=shape.text_vocabulary,
        d_model=shape.text_dim,
        d_kv=shape.text_head_dim,
        d_ff=shape.text_ffn_dim,
        num_layers=shape.text_layers,
        num_heads=shape.text_heads,
    )


def step_bytes(config: LMConfig, precision: str) -> int:
    """Return the bytes of the matrices that a step reads, with any number of rows.

    Embeddings, of which a step reads one row, and the matrices for keys and values of the text,
    which are used once per request, do not count.
    """
    own = 4 * config.dim**2 + 2 * config.dim * config.ffn_dim
    cross = 2 * config.dim**2 if config.cross_attention else 0
    heads = config.codebooks * config.card * config.dim
    layers = config.layers * (own + cross) * LAYER_BYTES[precision]
    return round(layers + heads * max(1.0, LAYER_BYTES[precision]))


def random_model(shape: Shape, precision: str, device: str = "cpu") -> Model:
    """Create a model with random weights.

    As in a loaded model, text encoder and codec are float32, and each matrix is quantised before
    the next one is created.
    """
    selected_device, dtype, kind = (
        torch.device(device),
        PRECISIONS[precision].dtype,
        COMPRESSED.get(precision),
    )
    compress = None if kind is None else partial(compress_one, kind)
    full = partial(_drawn, dtype=torch.float32, device=selected_device)
    return Model(
        name="random",
        lm=_drawn(lambda: Decoder(lm_config(shape)), dtype, selected_device, compress),
        codec=_codec(shape, full, precision),
        text_encoder=full(lambda: T5TextEncoder(text_shape(shape), _tokenizer())),
        chroma=ChromaConfig() if shape.melody else None,
        segment_s=30.0,
        defaults=SamplingParams(),
        device=selected_device,
        dtype=dtype,
        licence="none: random weights",
    )


def weights_bytes(model: Model) -> int:
    """Return the bytes of all parts that a request with a prompt uses, shared memory once."""
    parts = (model.lm, model.codec, model.text_encoder)
    sizes = {t.data_ptr(): t.nbytes for part in parts for t in _tensors(part)}
    return sum(sizes.values())


def _tensors(part: object) -> Iterator[Tensor]:
    if isinstance(part, nn.Module):
        yield from part.state_dict().values()


def _codec(shape: Shape, draw: Callable[[Callable[[], Encodec]], Encodec], precision: str) -> Codec:
    seanet = SeanetConfig(filters=shape.filters, dimension=shape.dimension)
    config = EncodecConfig(codebooks=shape.codebooks, card=shape.card, seanet=seanet)
    mono = draw(lambda: Encodec(config))
    if next(mono.parameters()).device.type == "cpu":
        mono.compile_networks(half=precision != "fp32")
    return StereoCodec(mono) if shape.channels == 2 else mono


def _tokenizer() -> Tokenizer:
    """Return a tokenizer with one token per word and punctuation mark of the prompt."""
    splitter = pre_tokenizers.Whitespace()
    words = [word for word, _ in splitter.pre_tokenize_str(PROMPT)]
    vocabulary = {word: number for number, word in enumerate(["?", *dict.fromkeys(words)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))  # noqa: S106 - no password
    tokenizer.pre_tokenizer = splitter
    return tokenizer


def _drawn(
    make: Callable[[], M],
    dtype: torch.dtype,
    device: torch.device,
    replace: Replace | None = None,
) -> M:
    """Create a module with random weights of `dtype`, which are drawn one by one."""
    with torch.device("meta"):
        module = make()
    parameters = dict(module.named_parameters(remove_duplicate=False))
    kept: dict[int, nn.Parameter] = {}  # by identity: T5's embedding has two names
    for name, like in parameters.items():
        weight = kept[id(like)] if id(like) in kept else _draw(name, like, dtype, device)
        if replace is not None and replace(module, name, weight):
            del weight
            trim_memory()
            continue
        kept[id(like)] = weight
        path, _, last = name.rpartition(".")
        setattr(module.get_submodule(path), last, weight)
    return module.eval().requires_grad_(False)


def _draw(name: str, like: Tensor, dtype: torch.dtype, device: torch.device) -> nn.Parameter:
    empty = torch.empty(like.shape, dtype=dtype, device=device)
    if like.dim() == 1:  # gains and offsets of norms, and biases
        return nn.Parameter(empty.fill_(float(name.endswith("weight"))), requires_grad=False)
    fan_in = like[0].numel()
    return nn.Parameter(empty.normal_(std=fan_in**-0.5), requires_grad=False)
