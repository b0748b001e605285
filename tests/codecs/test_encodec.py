"""Blocks, streams and stereo give what one pass over the whole gives."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toccata.codecs.encodec import ENCODE_BLOCK_FRAMES, Encodec, EncodecConfig
from toccata.codecs.seanet import Conv, SeanetConfig, pad
from toccata.codecs.stereo import StereoCodec


@pytest.fixture(scope="module", params=["reflect", "constant"])
def codec(request: pytest.FixtureRequest) -> Encodec:
    torch.manual_seed(0)
    shape = SeanetConfig(filters=2, dimension=8, pad_mode=request.param)
    codec = Encodec(EncodecConfig(card=32, seanet=shape)).eval()
    codec.quantizer.codebooks.data.normal_(std=0.05)
    return codec


@settings(max_examples=15, deadline=None)
@given(samples=st.integers(1, 6000))
def test_a_clip_of_any_length_has_a_code_for_every_started_frame(
    codec: Encodec, samples: int
) -> None:
    codes = codec.encode(torch.randn(1, 1, samples))
    assert codes.shape == (1, 4, -(-samples // 640))
    assert codec.decode(codes).shape == (1, 1, codes.shape[-1] * 640)


def test_encoding_in_blocks_gives_the_codes_of_the_whole(codec: Encodec) -> None:
    audio = torch.randn(1, 1, (2 * ENCODE_BLOCK_FRAMES + 7) * 640 + 123)
    with torch.no_grad():
        whole = codec.quantizer.encode(codec.encoder(audio))
    assert torch.equal(codec.encode(audio), whole)


def test_encoding_ends_between_blocks_if_asked_to(codec: Encodec) -> None:
    blocks = iter(range(2))

    def stop_at_the_third() -> None:
        next(blocks)

    audio = torch.randn(1, 2, 5 * ENCODE_BLOCK_FRAMES * 640)
    with pytest.raises(StopIteration):
        StereoCodec(codec).encode(audio, stop_at_the_third)


def test_decoding_in_blocks_gives_the_audio_of_the_whole(codec: Encodec) -> None:
    codes = torch.randint(0, 32, (2, 4, 517))
    with torch.no_grad():
        whole = codec.decoder(codec.quantizer.decode(codes))
    torch.testing.assert_close(codec.decode(codes), whole, rtol=0, atol=1e-4 * float(whole.std()))


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 40), max_size=6))
def test_a_stream_cut_anywhere_gives_the_audio_of_the_whole(
    codec: Encodec, cuts: list[int]
) -> None:
    codes = torch.randint(0, 32, (4, 40))
    edges = [0, *sorted(cuts), 40]
    stream = codec.stream()
    parts = [stream.push(codes[:, a:b]) for a, b in itertools.pairwise(edges)]
    streamed = torch.cat([*parts, stream.finish()], -1)
    whole = codec.decode(codes[None])[0]
    torch.testing.assert_close(streamed, whole, rtol=0, atol=1e-4 * float(whole.std()))


def test_a_stream_holds_back_a_fixed_time(codec: Encodec) -> None:
    stream = codec.stream()
    output = sum(stream.push(torch.randint(0, 32, (4, 10))).shape[-1] for _ in range(5))
    assert 50 * 640 - output == 6 * 640


def test_stereo_codes_each_side_alone_and_interleaves_them(codec: Encodec) -> None:
    stereo, audio = StereoCodec(codec), torch.randn(1, 2, 6400)
    codes = stereo.encode(audio)
    assert torch.equal(codes[:, 0::2], codec.encode(audio[:, :1]))
    assert torch.equal(codes[:, 1::2], codec.encode(audio[:, 1:]))
    right = codec.decode(codes[:, 1::2])
    torch.testing.assert_close(stereo.decode(codes)[:, 1:], right)


def test_reflection_reaches_past_a_short_input() -> None:
    assert pad(torch.tensor([[[1.0, 2.0]]]), 3, 3, "reflect").shape == (1, 1, 8)


def test_a_strided_layer_covers_the_tail() -> None:
    assert Conv(1, 1, 8, stride=4)(torch.zeros(1, 1, 9)).shape[-1] == 3
