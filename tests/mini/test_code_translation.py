"""A decoder that changes codecs keeps what it knew."""

from __future__ import annotations

import pytest
import torch

from recipes.mini.lm.code_translation import met_shares, translate, translated
from recipes.mini.lm.train_lm import LMRun
from toccata.codecs.encodec import Encodec, EncodecConfig
from toccata.codecs.seanet import SeanetConfig
from toccata.decoder.decoder import Decoder, LMConfig
from toccata.errors import InputError

CARD, BOOKS = 12, 2


def _decoder() -> Decoder:
    torch.manual_seed(3)
    return Decoder(
        LMConfig(
            dim=16, layers=1, heads=2, ffn_dim=32, card=CARD, codebooks=BOOKS,
            cross_attention=False, delays=(0, 1),
        )
    ).eval()  # fmt: skip


def _codec(card: int) -> Encodec:
    shape = SeanetConfig(filters=2, dimension=8, pad_mode="constant")
    return Encodec(EncodecConfig(codebooks=BOOKS, card=card, seanet=shape))


def test_renamed_codes_are_as_likely_as_they_were() -> None:
    before, after = _decoder(), _decoder()
    names = torch.stack([torch.randperm(CARD) for _ in range(BOOKS)])
    old = torch.randint(CARD, (BOOKS, 500))
    new = torch.stack([name[codes] for name, codes in zip(names, old, strict=True)])
    weights = {f"lm.{name}": value for name, value in before.state_dict().items()}
    changed = translate(weights, old, new, CARD)
    after.load_state_dict({name.removeprefix("lm."): value for name, value in changed.items()})
    old_logits, new_logits = before(old[None, :, :50]), after(new[None, :, :50])
    for book, name in enumerate(names):
        torch.testing.assert_close(new_logits[0, book][:, name], old_logits[0, book])


def test_a_code_that_is_nowhere_is_the_mean_of_all() -> None:
    shares = met_shares(torch.tensor([0, 0, 1]), torch.tensor([2, 1, 1]), 3)
    torch.testing.assert_close(
        shares, torch.tensor([[2 / 3, 1 / 3, 0], [1 / 2, 1 / 2, 0], [1, 0, 0]])
    )


def test_other_numbers_of_codes_are_an_error() -> None:
    with pytest.raises(InputError, match="2 codebooks of 12 codes"):
        translated({}, _codec(CARD), _codec(CARD + 1))


def test_the_starts_codec_alone_is_an_error() -> None:
    with pytest.raises(InputError, match="corpus's own codec"):
        LMRun(out="", corpus="", validation="", start="mini", start_codec="codec")
