"""Low-rank updates: what they change, and what they leave alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.fakes import fake_decoder
from toccata.decoder.decoder import Decoder
from toccata.decoder.lora import LoraConfig, LowRank, adapt, factors, merge, places, updates
from toccata.errors import CheckpointError

ALL = LoraConfig(rank=3, alpha=6.0, targets=("attention", "ffn", "conditions"))


def codes(decoder: Decoder) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, decoder.config.card + 1, (2, 4, 9), generator=generator)


def logits(decoder: Decoder) -> Tensor:
    memory = torch.randn(2, 3, decoder.config.dim, generator=torch.Generator().manual_seed(2))
    output: Tensor = decoder(codes(decoder), memory=memory)
    return output.detach()


def learn(decoder: Decoder, seed: int = 5) -> None:
    """Stands for training: B is no longer zero."""
    generator = torch.Generator().manual_seed(seed)
    for _, one in updates(decoder):
        one.b.data = 0.1 * torch.randn(one.b.shape, generator=generator)


def adapted(config: LoraConfig = ALL) -> Decoder:
    decoder = fake_decoder()
    adapt(decoder, config)
    learn(decoder)
    return decoder


def test_nothing_changes_before_the_first_step() -> None:
    decoder = fake_decoder()
    before = logits(decoder)
    adapt(decoder, ALL)
    assert torch.equal(logits(decoder), before)


def test_what_is_merged_computes_what_was_beside() -> None:
    decoder = adapted()
    beside = logits(decoder)
    assert not torch.allclose(beside, logits(fake_decoder()), atol=0.01)
    merge(decoder)
    assert not list(updates(decoder))
    assert decoder.state_dict().keys() == fake_decoder().state_dict().keys()
    assert torch.allclose(logits(decoder), beside, atol=1e-5)


def test_only_the_updates_are_trained() -> None:
    decoder = adapted()
    trained = [name for name, weight in decoder.named_parameters() if weight.requires_grad]
    assert trained
    assert all(name.endswith((".a", ".b")) for name in trained)
    logits_now: Tensor = decoder(codes(decoder))
    logits_now.sum().backward()  # type: ignore[no-untyped-call]
    assert all(one.a.grad is not None for path, one in updates(decoder) if "self_attn" in path)
    assert all(one.base.weight.grad is None for _, one in updates(decoder))


def test_the_scale_is_alpha_over_rank() -> None:
    once = LowRank(nn.Linear(5, 7, bias=False), 2, LoraConfig(2, 2.0).scale)
    once.a.data, once.b.data = torch.ones(2, 5), torch.ones(7, 2)
    x = torch.randn(3, 5)
    added = once(x) - once.base(x)
    once.scale = LoraConfig(2, 6.0).scale
    assert torch.allclose(once(x) - once.base(x), 3 * added, atol=1e-5)


@pytest.mark.parametrize(
    ("targets", "has", "lacks"),
    [
        (("attention",), "layers.1.self_attn.qkv", "layers.1.ffn_in"),
        (("attention",), "layers.0.cross_attn.kv", "heads.0"),
        (("ffn",), "layers.0.ffn_out", "layers.0.self_attn.out"),
        (("conditions",), "projections.description", "layers.0.ffn_in"),
    ],
)
def test_targets_name_matrices(targets: tuple[str, ...], has: str, lacks: str) -> None:
    named = places(fake_decoder(), targets)
    assert has in named
    assert lacks not in named


def test_a_small_matrix_has_no_more_than_its_own_rank() -> None:
    decoder = fake_decoder(cross_attention=False, melody=True, beats=True)
    adapt(decoder, LoraConfig(16, 16.0, ("conditions",)))
    assert factors(decoder)["projections.drums"][0].shape == (2, 2)


def test_a_base_in_half_precision_stays_in_it() -> None:
    decoder = fake_decoder().to(torch.bfloat16)
    adapt(decoder, ALL)
    learn(decoder)
    assert all(one.a.dtype is torch.float32 for _, one in updates(decoder))
    assert logits(decoder).isfinite().all()
    merge(decoder)
    assert {weight.dtype for weight in decoder.parameters()} == {torch.bfloat16}


def test_equal_seeds_start_alike() -> None:
    one, same, other = fake_decoder(), fake_decoder(), fake_decoder()
    for decoder, seed in ((one, 1), (same, 1), (other, 2)):
        adapt(decoder, ALL, seed)
    first, again, different = (factors(d)["layers.0.ffn_in"][0] for d in (one, same, other))
    assert torch.equal(first, again)
    assert not torch.equal(first, different)


@pytest.mark.parametrize(
    ("rank", "alpha", "targets"),
    [
        (0, 1.0, ("ffn",)),
        (5000, 1.0, ("ffn",)),
        (4, 0.0, ("ffn",)),
        (4, float("nan"), ("ffn",)),
        (4, 1.0, ()),
        (4, 1.0, ("ffn", "everything")),
    ],
)
def test_what_no_update_can_have_is_refused(
    rank: int, alpha: float, targets: tuple[str, ...]
) -> None:
    with pytest.raises(CheckpointError, match="must be"):
        LoraConfig(rank, alpha, targets)


def test_targets_that_name_nothing_are_refused() -> None:
    decoder = fake_decoder()
    decoder.projections.clear()
    with pytest.raises(CheckpointError, match="none of the targets conditions"):
        adapt(decoder, LoraConfig(targets=("conditions",)))
