from __future__ import annotations

import pytest
import torch

from recipes.mini.codec import bfloat16 as half
from recipes.mini.codec.initialization import initialize_seanet
from toccata.codecs.encodec import Encodec, EncodecConfig
from toccata.codecs.seanet import SeanetConfig
from toccata.errors import InputError


def codec() -> Encodec:
    torch.manual_seed(0)
    made = Encodec(EncodecConfig(codebooks=2, card=8, seanet=SeanetConfig(filters=4, dimension=16)))
    initialize_seanet(made)
    return made


def test_rounding_alone_is_no_reason_to_refuse() -> None:
    audio = 0.1 * torch.randn(2, 1, 6400)
    assert 0 < half.gradient_error(codec(), audio) < half.MAX_ERROR
    half.check_half(codec(), audio)


def test_wrong_products_are_refused_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = half._gradients

    def wrong(codec: Encodec, audio: torch.Tensor, *, half: bool) -> tuple[torch.Tensor, ...]:
        first, *others = exact(codec, audio, half=half)
        return (first.flip(0) if half else first, *others)

    monkeypatch.setattr(half, "_gradients", wrong)
    with pytest.raises(InputError, match="bf16: false"):
        half.check_half(codec(), 0.1 * torch.randn(2, 1, 6400))
