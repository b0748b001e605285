"""Every published file of audiocraft that is at hand is understood: xp.cfg, names and shapes."""

from __future__ import annotations

import pytest

from tests.weights.conftest import Find
from tests.weights.published import audiocraft_alone
from toccata.benchmark.shapes import MEDIUM, SHAPES
from toccata.decoder.decoder import Decoder
from toccata.models import KNOWN, KnownModel
from toccata.models.checkpoints.tensors import bare, gather

CODEC = "facebook/encodec_32khz"
PUBLISHED = [known for known in KNOWN.values() if known.hub_id is not None]


@pytest.mark.parametrize("known", PUBLISHED, ids=lambda known: known.name)
def test_it_is_the_model_of_its_name(find: Find, known: KnownModel) -> None:
    folder = find(str(known.hub_id), "state_dict.bin", "compression_state_dict.bin")
    find(CODEC, "config.json", "model.safetensors")  # newer releases only name their codec
    checkpoint = audiocraft_alone(folder)
    shape, made = SHAPES.get(known.name, MEDIUM), checkpoint.lm_config
    assert (made.dim, made.layers, made.heads, made.ffn_dim, made.card) == (
        shape.dim, shape.layers, shape.heads, shape.ffn_dim, shape.card,
    )  # fmt: skip
    assert tuple(made.delays) == shape.delays
    assert checkpoint.stereo == (known.channels == 2)
    assert (checkpoint.chroma is not None) == ("melody" in known.name)
    assert (checkpoint.load_style is not None) == (known.name == "style")
    assert checkpoint.codec_config.seanet.pad_mode == "constant"
    assert gather(checkpoint.lm, bare(lambda: Decoder(made)).state_dict())
