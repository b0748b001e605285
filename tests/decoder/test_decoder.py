import pytest
import torch
from torch import Tensor

from tests.golden_lm import expected, golden_decoder
from toccata.decoder import delay
from toccata.decoder.decoder import Decoder, LMConfig
from toccata.decoder.initialization import init_weights
from toccata.errors import CheckpointError

CASES = [("text", ""), ("stereo", ""), ("melody", ""), ("melody", "_melody")]


def tiny(**changes: object) -> Decoder:
    config: dict[str, object] = {
        "dim": 16,
        "layers": 2,
        "heads": 2,
        "ffn_dim": 32,
        "card": 11,
        "codebooks": 2,
        "cross_attention": True,
        "delays": (0, 1),
        "cond_dims": {"description": 6},
    }
    torch.manual_seed(0)
    return Decoder(LMConfig(**{**config, **changes}))  # type: ignore[arg-type]


def by_frame(decoder: Decoder, codes: Tensor, **conditions: Tensor | None) -> Tensor:
    delays = decoder.config.delays
    steps = delay.apply(codes, delays, decoder.config.special_id)[:, :, :-1]
    return delay.undo_logits(decoder(steps, **conditions), delays)


def close(actual: Tensor, wanted: Tensor, mask: Tensor) -> None:
    valid = mask.bool()
    scale = wanted[valid].abs().max()
    assert ((actual - wanted)[valid].abs().max() / scale) < 1e-4


@pytest.mark.parametrize(("kind", "suffix"), CASES)
def test_logits_of_both_halves_equal_the_reference(kind: str, suffix: str) -> None:
    decoder, want = golden_decoder(kind), expected(kind)
    text = decoder.projections["description"](want["text_hidden_single"])
    torch.testing.assert_close(text, want["cond_description"], rtol=1e-4, atol=1e-5)
    if kind == "melody":
        zeros = torch.zeros_like(text[:, :1])  # tokenized alone, an empty prompt is one token
        melody, null = want[f"cond_self_wav{suffix}"], want["cond_self_wav"]
        cond = by_frame(decoder, want["lm_codes"], prefix=torch.cat([melody, text], dim=1))
        none = by_frame(decoder, want["lm_codes"], prefix=torch.cat([null, zeros], dim=1))
    else:
        cond = by_frame(decoder, want["lm_codes"], memory=text)
        none = by_frame(decoder, want["lm_codes"])
    close(cond, want[f"logits_cond{suffix}"], want["logits_mask"])
    close(none, want[f"logits_null{suffix}"], want["logits_mask"])


def test_padded_memory_changes_nothing_and_no_memory_equals_zeros() -> None:
    decoder = tiny()
    codes = torch.randint(0, 11, (2, 2, 7))
    memory = torch.randn(2, 5, 16)
    mask = torch.tensor([[True, True, False, False, False], [False] * 5])
    logits = decoder(codes, memory=memory, memory_mask=mask)
    torch.testing.assert_close(logits[:1], decoder(codes[:1], memory=memory[:1, :2]))
    torch.testing.assert_close(logits[1:], decoder(codes[1:]))
    torch.testing.assert_close(logits[1:], decoder(codes[1:], memory=torch.zeros(1, 3, 16)))


def test_prefix_moves_the_logits_but_not_their_shape() -> None:
    decoder = tiny(cross_attention=False)
    codes = torch.randint(0, 12, (1, 2, 6))
    with_prefix = decoder(codes, prefix=torch.randn(1, 4, 16))
    assert with_prefix.shape == decoder(codes).shape == (1, 2, 6, 11)
    assert not torch.allclose(with_prefix, decoder(codes))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_trains_in_mixed_precision_with_float32_logits(dtype: torch.dtype) -> None:
    decoder = tiny()
    init_weights(decoder)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
        logits = decoder(torch.randint(0, 12, (2, 2, 6)), memory=torch.randn(2, 3, 16))
    assert logits.dtype is torch.float32
    logits.logsumexp(-1).sum().backward()
    used = [p for n, p in decoder.named_parameters() if not n.startswith("projections")]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in used)


def test_half_precision_weights_keep_a_float32_stream() -> None:
    decoder = tiny()
    codes = torch.randint(0, 12, (1, 2, 6))
    want = decoder(codes)
    low = decoder.to(torch.bfloat16)(codes)
    assert low.dtype is torch.float32
    torch.testing.assert_close(low, want, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("changes", [{"heads": 3}, {"delays": (0,)}, {"delays": (0, -1)}])
def test_contradicting_sizes_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(CheckpointError, match=next(iter(changes))):
        tiny(**changes)
