from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.fakes import fake_decoder
from tests.recorder import recorded
from toccata.backends import create
from toccata.backends.torch_eager import TorchEager, row_multiple
from toccata.decoder.decoder import Decoder
from toccata.decoder.quantized import COMPRESSED, Compressed, compress
from toccata.devices import pick_device, pick_precision
from toccata.errors import InputError

Make = Callable[[Decoder], TorchEager]
each_backend = pytest.mark.parametrize("make", [TorchEager, recorded])


def stepped(backend: TorchEager, row: int, codes: Tensor, start: int = 0) -> Tensor:
    """Logits [K, S, card] of codes [K, S], one cached step at a time."""
    steps = [backend.step([row], [start + s], codes[None, :, s])[0] for s in range(codes.shape[1])]
    return torch.stack(steps, dim=1)


@pytest.mark.parametrize("dim", [64, 320, 1024])
def test_a_row_of_a_product_does_not_depend_on_the_rows_beside_it(dim: int) -> None:
    # If this fails on some machine, so does the engine's promise.
    most = 4 * row_multiple()
    rows = torch.randn(most, dim, generator=torch.Generator().manual_seed(0))
    for width in (dim, 4 * dim):
        weight = torch.randn(width, dim, generator=torch.Generator().manual_seed(1))
        whole = torch.nn.functional.linear(rows, weight)
        for size in range(row_multiple(), most, row_multiple()):
            for start in range(most - size + 1):
                part = torch.nn.functional.linear(rows[start : start + size], weight)
                assert torch.equal(part, whole[start : start + size])


@each_backend
@pytest.mark.parametrize("length", [1, 63, 64, 65])
def test_cached_steps_equal_the_full_forward(make: Make, length: int) -> None:
    decoder = fake_decoder()
    codes, memory = torch.randint(0, 17, (4, length)), torch.randn(5, 32)
    backend = make(decoder)
    backend.open(3, length, [memory, None])
    cond, null = stepped(backend, 3, codes), stepped(backend, 4, codes)
    torch.testing.assert_close(
        cond, decoder(codes[None], memory=memory[None])[0], atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(null, decoder(codes[None])[0], atol=1e-4, rtol=1e-4)


@each_backend
@pytest.mark.parametrize("cut", [1, 7, 19])
def test_prefill_then_steps_equal_the_full_forward(make: Make, cut: int) -> None:
    decoder = fake_decoder(cross_attention=False)
    codes, prefix = torch.randint(0, 17, (4, 20)), torch.randn(9, 32)
    backend = make(decoder)
    backend.open(0, 40, [None])
    embedded = torch.cat([prefix, backend.embed(codes[:, :cut])])[None]
    backend.prefill(0, 0, embedded[:, :6])
    backend.prefill(0, 6, embedded[:, 6:])
    logits = stepped(backend, 0, codes[:, cut:], start=9 + cut)
    expected = decoder(codes[None], prefix=prefix[None])[0, :, cut:]
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)


@each_backend
def test_rows_far_apart_and_of_different_lengths_share_a_step(make: Make) -> None:
    decoder = fake_decoder()
    backend = make(decoder)
    codes = torch.randint(0, 17, (4, 70))
    lengths = {0: 3, 1: 66, 5: 65, 9: 1}
    for row, length in lengths.items():
        backend.open(row, 80, [torch.full((row + 1, 32), 0.1)])
        if length > 1:
            backend.prefill(row, 0, backend.embed(codes[:, : length - 1])[None])
    rows, last = list(lengths), torch.stack([codes[:, n - 1] for n in lengths.values()])
    logits = backend.step(rows, [n - 1 for n in lengths.values()], last)
    for index, (row, length) in enumerate(lengths.items()):
        memory = torch.full((1, row + 1, 32), 0.1)
        expected = decoder(codes[None, :, :length], memory=memory)[0, :, -1]
        torch.testing.assert_close(logits[index], expected, atol=1e-4, rtol=1e-4)


@each_backend
def test_what_is_added_to_a_row_is_added_to_that_row_alone(make: Make) -> None:
    decoder = fake_decoder(cross_attention=False, beats=True)
    codes, step_conditioning = torch.randint(0, 17, (4, 20)), torch.randn(22, 32)
    prefix = torch.randn(9, 32)
    backend = make(decoder)
    backend.open(6, 50, [None])  # before there is anything to add to any row
    backend.open(2, 31, [None, None], [step_conditioning, None])
    embedded = torch.cat([prefix, backend.embed(codes[:, :7])])
    backend.prefill(2, 0, torch.stack([embedded, embedded]))
    logits = stepped(backend, 2, codes[:, 7:], start=16)
    beside = stepped(backend, 3, codes[:, 7:], start=16)
    expected = decoder(
        codes[None], prefix=prefix[None], step_conditioning=step_conditioning[None, :20]
    )[0, :, 7:]
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)
    plain = decoder(codes[None], prefix=prefix[None])[0, :, 7:]
    torch.testing.assert_close(beside, plain, atol=1e-4, rtol=1e-4)
    before = stepped(backend, 6, codes[:, :3])
    torch.testing.assert_close(before, decoder(codes[None, :, :3])[0], atol=1e-4, rtol=1e-4)


@each_backend
def test_the_next_owner_of_a_row_inherits_nothing_that_was_added(make: Make) -> None:
    decoder = fake_decoder(cross_attention=False, beats=True)
    codes = torch.randint(0, 17, (4, 5))
    backend = make(decoder)
    backend.open(0, 20, [None, None], [torch.randn(20, 32)] * 2)
    backend.open(0, 20, [None, None])
    torch.testing.assert_close(
        stepped(backend, 0, codes), decoder(codes[None])[0], atol=1e-4, rtol=1e-4
    )


@each_backend
def test_growing_keeps_what_is_cached(make: Make) -> None:
    decoder = fake_decoder()
    codes = torch.randint(0, 17, (4, 10))
    backend = make(decoder)
    backend.open(0, 10, [None])
    first = stepped(backend, 0, codes[:, :5])
    backend.open(6, 500, [torch.randn(40, 32)])
    rest = stepped(backend, 0, codes[:, 5:], start=5)
    expected = decoder(codes[None])[0]
    torch.testing.assert_close(torch.cat([first, rest], 1), expected, atol=1e-4, rtol=1e-4)


@each_backend
def test_a_row_is_clean_after_an_owner_that_ended_on_nan(make: Make) -> None:
    decoder = fake_decoder()
    codes = torch.randint(0, 17, (4, 3))
    backend = make(decoder)
    backend.open(0, 20, [None])
    backend.prefill(0, 0, torch.full((1, 20, 32), torch.nan))
    backend.open(0, 20, [None])
    assert stepped(backend, 0, codes).isfinite().all()


@each_backend
def test_bfloat16_gives_float32_logits_near_the_float32_ones(make: Make) -> None:
    decoder = fake_decoder()
    codes = torch.randint(0, 17, (4, 10))
    backend = make(decoder)
    backend.open(0, 10, [None])
    expected = stepped(backend, 0, codes)
    low = make(decoder.to(torch.bfloat16))
    low.open(0, 10, [None])
    logits = stepped(low, 0, codes)
    assert logits.dtype is torch.float32
    assert torch.nn.functional.cosine_similarity(logits.flatten(), expected.flatten(), dim=0) > 0.99


@pytest.mark.parametrize("kind", COMPRESSED.values())
def test_compressed_steps_are_near_the_full_forward_over_the_same_matrices(
    kind: Compressed,
) -> None:
    decoder = fake_decoder()
    compress(kind, decoder)
    codes, memory = torch.randint(0, 17, (4, 20)), torch.randn(5, 32)
    backend = TorchEager(decoder)
    backend.open(0, 20, [memory])
    backend.prefill(0, 0, backend.embed(codes[:, :6])[None])
    logits = stepped(backend, 0, codes[:, 6:], start=6)
    expected = decoder(codes[None], memory=memory[None])[0, :, 6:]
    # Inputs of products are rounded to 8 bits of mantissa, and a last bit can tip that.
    torch.testing.assert_close(logits, expected, atol=0.05, rtol=0.05)


@pytest.mark.parametrize(("machine", "name"), [("AMD64", "int8"), ("arm64", "fp32")])
def test_int8_is_the_default_where_it_is_known_to_be_fast(
    machine: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    for requested in (None, "auto"):
        assert pick_precision(pick_device("cpu"), requested).name == name


def test_backends_and_devices_go_by_name() -> None:
    assert isinstance(create("torch_eager", fake_decoder()), TorchEager)
    with pytest.raises(InputError, match="torch_eager"):
        create("abacus", fake_decoder())
    assert pick_precision(pick_device("cpu"), "fp32").dtype is torch.float32
    assert pick_precision(pick_device("cpu"), "bf16").dtype is torch.bfloat16
    with pytest.raises(InputError, match="fp32"):
        pick_precision(pick_device("cpu"), "int3")
    with pytest.raises(InputError, match="bf16"):
        pick_precision(torch.device("cuda"), "int8")
    with pytest.raises(InputError, match="cpu"):
        pick_device("abacus")
