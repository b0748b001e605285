"""The golden checkpoints' language models, and what audiocraft computed from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from toccata.decoder.decoder import Decoder, LMConfig

GOLDEN = Path(__file__).parent / "golden"
DELAYS = {"text": (0, 1, 2, 3), "melody": (0, 1, 2, 3), "stereo": (0, 0, 1, 1, 2, 2, 3, 3)}
RENAMES = {
    "condition_provider.conditioners.": "projections.",
    ".output_proj": "",
    "emb.": "embed.",
    "linears.": "heads.",
    "transformer.": "",
    "self_attn.in_proj_weight": "self_attn.qkv.weight",
    "out_proj": "out",
    "cross_attention": "cross_attn",
    "linear1": "ffn_in",
    "linear2": "ffn_out",
    "norm1": "norm_self",
    "norm2": "norm_ffn",
}


def golden_decoder(kind: str) -> Decoder:
    melody = kind == "melody"
    config = LMConfig(
        dim=64,
        layers=3,
        heads=4,
        ffn_dim=256,
        card=128,
        codebooks=len(DELAYS[kind]),
        cross_attention=not melody,
        delays=DELAYS[kind],
        cond_dims={"description": 768, **({"self_wav": 12} if melody else {})},
    )
    decoder = Decoder(config)
    path = GOLDEN / kind / "state_dict.bin"
    stored = torch.load(path, weights_only=True, map_location="cpu")["best_state"]
    state: dict[str, Tensor] = {}
    for stored_name, weight in stored.items():
        name = stored_name
        for theirs, ours in RENAMES.items():
            name = name.replace(theirs, ours)
        if name.endswith("cross_attn.in_proj_weight"):
            block = name.removesuffix("in_proj_weight")
            state[block + "q.weight"], state[block + "kv.weight"] = weight[:64], weight[64:]
        else:
            state[name] = weight
    decoder.load_state_dict(state)
    return decoder.eval().requires_grad_(False)


def expected(kind: str) -> dict[str, Tensor]:
    with np.load(GOLDEN / kind / "expected.npz") as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays}
