"""Check whether bfloat16 convolutions are right on a machine.

torch 2.13 convolves 16 to 32 channels with stride 4 wrongly in bfloat16 on CPUs with AMX: the
result is as far from the right one as silence is. In the codec's encoder that spoils the codes; in
the decoder, where it is the way back through a layer that goes up, the gradients of all before.
"""

from __future__ import annotations

import torch
from torch import Tensor

from toccata.codecs.encodec import Encodec
from toccata.errors import InputError

MAX_ERROR = 0.3


def check_half(codec: Encodec, audio: Tensor) -> None:
    """Raises InputError if bfloat16 spoils the gradients of `codec` for audio [B, C, N]."""
    error = gradient_error(codec, audio)
    if error > MAX_ERROR:
        problem = f"makes gradients on this machine wrong by {error:.0%}"
        raise InputError("bf16", True, "set bf16: false", problem)


def gradient_error(codec: Encodec, audio: Tensor) -> float:
    """The largest relative error, over layers, of gradients in bfloat16."""
    exact, rounded = (_gradients(codec, audio, half=half) for half in (False, True))
    pairs = zip(exact, rounded, strict=True)
    return max(float((one - other).norm() / one.norm().clamp(min=1e-12)) for one, other in pairs)


def _gradients(codec: Encodec, audio: Tensor, *, half: bool) -> tuple[Tensor, ...]:
    weights = [
        weight for name, weight in codec.named_parameters()
        if weight.requires_grad and name.endswith("weight")
    ]  # fmt: skip
    with torch.autocast(audio.device.type, torch.bfloat16, enabled=half):
        output = codec.decoder(codec.encoder(audio))
    # Not of a loss: near its minimum, gradients would be mostly rounding.
    anything = torch.sin(torch.arange(audio.shape[-1], device=audio.device) * 1.7)
    return torch.autograd.grad((output.float() * anything).mean(), weights)
