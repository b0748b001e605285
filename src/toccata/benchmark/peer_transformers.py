"""The measurement of transformers' MusicGen of the same shape, with random weights.

Its names of a model's sizes are used only here.
"""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path
from typing import Any

import soundfile
import torch
from transformers import (
    AutoModelForTextToWaveform,
    EncodecConfig,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenMelodyConfig,
    MusicgenMelodyDecoderConfig,
    StoppingCriteria,
    StoppingCriteriaList,
    T5Config,
)

from toccata.benchmark.machine import peak_bytes
from toccata.benchmark.random_model import lm_config, step_bytes, text_shape
from toccata.benchmark.shapes import Shape, shape_of
from toccata.benchmark.task import (
    CFG,
    FRAME_RATE_HZ,
    PROMPT_TOKENS,
    TOP_K,
    WARM_UP_S,
    Measured,
    StepClock,
)
from toccata.devices import PRECISIONS, pick_device

SAMPLE_RATE_HZ = 32000


def measure(*, precision: str, seconds: float, shape: str, device: str | None = None) -> Measured:
    """Measure one file after a short warm-up; without streams, first audio is the whole clip."""
    sizes, selected_device = shape_of(shape), pick_device(device)
    model = model_of(sizes, precision, str(selected_device))
    generate(model, sizes, WARM_UP_S, StepClock())
    clock, start = StepClock(), time.perf_counter()
    audio_s = generate(model, sizes, seconds, clock)
    wall_s = time.perf_counter() - start
    weights = {t.data_ptr(): t.nbytes for t in model.state_dict().values()}
    return Measured(
        precision=precision,
        device=str(selected_device),
        ms_per_step=1000 * clock.step_s,
        times_real_time=audio_s / wall_s,
        gb_per_s=step_bytes(lm_config(sizes), precision) / clock.step_s / 1e9,
        first_audio_s=wall_s,
        peak_rss_mb=peak_bytes(selected_device) / 1e6,
        weights_mb=sum(weights.values()) / 1e6,
    )


def model_of(shape: Shape, precision: str, device: str = "cpu") -> Any:
    """Create a model with all parts in `precision`, codec included, as its users load it."""
    dtype = PRECISIONS[precision].dtype
    return AutoModelForTextToWaveform.from_config(_config(shape), dtype=dtype).to(device).eval()


def generate(model: Any, sizes: Shape, seconds: float, clock: StepClock) -> float:
    """Write a clip to a temporary file, and return its length in seconds."""
    prompt = torch.arange(PROMPT_TOKENS, device=model.device)[None] + 2
    # As in ours, the delay pattern needs one step more per codebook after the first.
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
    samples = audio[0].float().T.cpu().numpy()
    with tempfile.TemporaryDirectory() as folder:
        soundfile.write(Path(folder) / "clip.wav", samples, SAMPLE_RATE_HZ)
    return float(len(samples) / SAMPLE_RATE_HZ)


class _StepEnd(StoppingCriteria):  # type: ignore[misc]
    """Times steps, because transformers calls stopping criteria after each; it never stops."""

    def __init__(self, clock: StepClock) -> None:
        self._clock = clock

    def __call__(self, input_ids: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        self._clock.tick()
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


def _config(shape: Shape) -> Any:
    kind = MusicgenMelodyConfig if shape.melody else MusicgenConfig
    return kind(
        text_encoder=T5Config(**vars(text_shape(shape))),
        audio_encoder=_codec(shape),
        decoder=_decoder(shape),
    )


def _codec(shape: Shape) -> Any:
    """Return the published EnCodec of 32 kHz; the bandwidth in kbit/s sets its codebooks."""
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
    kind = MusicgenMelodyDecoderConfig if shape.melody else MusicgenDecoderConfig
    return kind(
        vocab_size=shape.card,
        num_hidden_layers=shape.layers,
        ffn_dim=shape.ffn_dim,
        num_attention_heads=shape.heads,
        hidden_size=shape.dim,
        num_codebooks=len(shape.delays),
        audio_channels=shape.channels,
        pad_token_id=shape.card,
        bos_token_id=shape.card,
    )
