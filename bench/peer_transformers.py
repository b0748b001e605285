"""transformers' MusicGen of the same shape, with random weights and no downloads."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from transformers import (
    AutoModelForTextToWaveform,
    EncodecConfig,
    MusicgenConfig,
    MusicgenDecoderConfig,
    StoppingCriteria,
    StoppingCriteriaList,
    T5Config,
)

from bench.models import lm_config, step_bytes, text_shape
from bench.shapes import SHAPES, Shape
from bench.task import (
    CFG,
    FRAME_RATE_HZ,
    PROMPT_TOKENS,
    TOP_K,
    WARM_UP_S,
    Measured,
    StepClock,
    measured,
)
from toccata.backends.devices import PRECISIONS

SAMPLE_RATE_HZ = 32000


def measure(*, precision: str, seconds: float, shape: str) -> Measured:
    """One generation after a short warm-up. It cannot stream: first audio is the whole clip."""
    sizes = SHAPES[shape]
    model = model_of(sizes, precision)
    generate(model, sizes, WARM_UP_S, StepClock())
    clock, start = StepClock(), time.perf_counter()
    audio_s = generate(model, sizes, seconds, clock)
    wall_s = time.perf_counter() - start
    return measured(clock, audio_s, wall_s, wall_s, step_bytes(lm_config(sizes), precision))


def model_of(shape: Shape, precision: str) -> Any:
    """All of it in `precision`, the codec too, as its users load it."""
    return AutoModelForTextToWaveform.from_config(
        _config(shape), dtype=PRECISIONS[precision].dtype
    ).eval()


def generate(model: Any, sizes: Shape, seconds: float, clock: StepClock) -> float:
    """Seconds of audio that came out."""
    prompt = torch.arange(PROMPT_TOKENS)[None] + 2
    # The delay pattern takes a step more per codebook after the first, here as in ours.
    steps = round(seconds * FRAME_RATE_HZ) + sizes.codebooks - 1
    audio = model.generate(
        input_ids=prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=steps,
        do_sample=True,
        guidance_scale=CFG,
        top_k=TOP_K,
        stopping_criteria=StoppingCriteriaList([_StepEnd(clock)]),
    )
    return float(audio.shape[-1] / SAMPLE_RATE_HZ)


class _StepEnd(StoppingCriteria):  # type: ignore[misc]
    """Never stops; it is what transformers calls at the end of every step."""

    def __init__(self, clock: StepClock) -> None:
        self._clock = clock

    def __call__(self, input_ids: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        self._clock.tick()
        return torch.zeros(len(input_ids), dtype=torch.bool)


def _config(shape: Shape) -> Any:
    return MusicgenConfig(
        text_encoder=T5Config(**vars(text_shape(shape))),
        audio_encoder=_codec(shape),
        decoder=_decoder(shape),
    )


def _codec(shape: Shape) -> Any:
    """EnCodec of 32 kHz as published; the bandwidth, in kbit/s, is what sets its codebooks."""
    bits_per_code = math.ceil(math.log2(shape.card))
    return EncodecConfig(
        target_bandwidths=[shape.codebooks * FRAME_RATE_HZ * bits_per_code / 1000],
        sampling_rate=SAMPLE_RATE_HZ,
        hidden_size=shape.dimension,
        codebook_dim=shape.dimension,
        codebook_size=shape.card,
        num_filters=shape.filters,
        upsampling_ratios=[8, 5, 4, 4],
        use_causal_conv=False,
        use_conv_shortcut=False,
    )


def _decoder(shape: Shape) -> Any:
    return MusicgenDecoderConfig(
        vocab_size=shape.card,
        num_hidden_layers=shape.layers,
        ffn_dim=shape.ffn_dim,
        num_attention_heads=shape.heads,
        hidden_size=shape.dim,
        num_codebooks=shape.codebooks,
        pad_token_id=shape.card,
        bos_token_id=shape.card,
    )
