"""The compiled codec makes what `seanet` makes: to rounding in float32, inaudibly in bfloat16."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from toccata.codecs import compiled_seanet
from toccata.codecs.encodec import Encodec, EncodecConfig
from toccata.codecs.seanet import SeanetConfig
from toccata.kernels.activations import processor_has
from toccata.models.checkpoints.assembly import mono_codec
from toccata.models.loading import load_model

pytestmark = pytest.mark.skipif(
    not processor_has("avx512f"), reason="this processor has no vectors of 512 bits"
)

INAUDIBLE_DB = 50.0
HAS_HALVES = processor_has("avx512bf16")
half_or_not = pytest.mark.parametrize("half", [False, True])


@pytest.fixture(scope="module", params=["reflect", "constant"])
def codec(request: pytest.FixtureRequest) -> Encodec:
    torch.manual_seed(0)
    shape = SeanetConfig(filters=4, dimension=8, pad_mode=request.param)
    codec = Encodec(EncodecConfig(card=32, seanet=shape)).eval()
    codec.quantizer.codebooks.data.normal_(std=0.5)
    return codec


def quickened(codec: Encodec, half: bool) -> Encodec:
    copy = Encodec(codec.cfg).eval()
    copy.load_state_dict(codec.state_dict())
    copy.compile_networks(half=half)
    assert copy.compiled is not None
    return copy


def snr_db(found: Tensor, wanted: Tensor) -> float:
    return float(10 * torch.log10(wanted.pow(2).mean() / (found - wanted).pow(2).mean()))


def _rounding(half: bool) -> float:
    """Compiled sums have one order; in float32 the LSTM is torch's."""
    return 0.0 if half and HAS_HALVES else 1e-6


@settings(max_examples=10, deadline=None)
@given(frames=st.integers(1, 40))
def test_float32_decodes_as_the_modules_do(codec: Encodec, frames: int) -> None:
    codes = torch.randint(0, 32, (2, 4, frames))
    expected = codec.decode(codes)
    found = quickened(codec, half=False).decode(codes)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@half_or_not
@settings(max_examples=10, deadline=None)
@given(samples=st.integers(1, 9000))
def test_the_encoder_gives_the_codes_of_the_modules(
    codec: Encodec, half: bool, samples: int
) -> None:
    audio = torch.randn(2, 1, samples)
    assert torch.equal(quickened(codec, half).encode(audio), codec.encode(audio))


def test_fine_codebooks_keep_every_code_though_the_decoder_rounds() -> None:
    """8 codebooks of 1024 entries: with an LSTM in bfloat16, 36 of these 3200 codes differ."""
    torch.manual_seed(0)
    shape = SeanetConfig(filters=4, dimension=8)
    codec = Encodec(EncodecConfig(codebooks=8, card=1024, seanet=shape)).eval()
    audio = torch.randn(1, 1, 8 * 32000)
    with torch.inference_mode():
        spread = float(codec.encoder(audio).std())
    codec.quantizer.codebooks.data.normal_(std=0.3 * spread)
    assert torch.equal(quickened(codec, half=True).encode(audio), codec.encode(audio))


def test_bfloat16_decodes_almost_as_float32(codec: Encodec) -> None:
    codes = torch.randint(0, 32, (1, 4, 300))
    found = quickened(codec, half=True).decode(codes)
    assert snr_db(found, codec.decode(codes)) > 40.0  # random weights cancel less than real ones


@half_or_not
@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, 40), max_size=6))
def test_a_stream_cut_anywhere_gives_the_audio_of_the_whole(
    codec: Encodec, half: bool, cuts: list[int]
) -> None:
    fast, codes = quickened(codec, half), torch.randint(0, 32, (4, 40))
    stream = fast.stream()
    edges = [0, *sorted(cuts), 40]
    parts = [stream.push(codes[:, a:b]) for a, b in itertools.pairwise(edges)]
    whole = fast.decode(codes[None])[0]
    streamed = torch.cat([*parts, stream.finish()], -1)
    torch.testing.assert_close(streamed, whole, rtol=0, atol=_rounding(half))


@half_or_not
def test_a_clip_comes_out_the_same_beside_others(codec: Encodec, half: bool) -> None:
    fast, codes = quickened(codec, half), torch.randint(0, 32, (3, 4, 20))
    alone = torch.cat([fast.decode(one[None]) for one in codes])
    torch.testing.assert_close(fast.decode(codes), alone, rtol=0, atol=_rounding(half))


def test_what_does_not_fit_is_left_to_the_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = Encodec(EncodecConfig(seanet=SeanetConfig(filters=2, dimension=8)))
    odd.compile_networks(half=True)
    assert odd.compiled is None
    monkeypatch.setattr(compiled_seanet, "processor_has", lambda *_: False)
    assert not compiled_seanet.fits(SeanetConfig())


def test_weights_that_are_not_numbers_are_heard_as_such(codec: Encodec) -> None:
    broken = quickened(codec, half=True)
    codes = torch.randint(0, 32, (1, 4, 10))
    broken.quantizer.codebooks.data[0, codes[0, 0, 5]] = torch.nan
    assert broken.decode(codes).isnan().any()


def test_mini_in_int8_is_inaudibly_off() -> None:
    exact = mono_codec(load_model("mini", device="cpu", precision="fp32").codec)
    rounded = mono_codec(load_model("mini", device="cpu", precision="int8").codec)
    exact.compiled = None
    time_s = torch.arange(3 * 32000) / 32000
    audio = sum(torch.sin(6.283 * hz * time_s) / (i + 4) for i, hz in enumerate((110, 277, 660)))
    assert isinstance(audio, Tensor)
    clip = (audio * torch.exp(-3 * (time_s % 0.5)))[None, None]
    codes = exact.encode(clip)
    assert snr_db(rounded.decode(codes), exact.decode(codes)) > INAUDIBLE_DB
