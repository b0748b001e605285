"""Start a run from the weights of another run or of a model, maybe in a deeper decoder.

New layers add nothing at first, so that the deeper decoder begins as good as the other one (Chen et
al. 2016, "Net2Net", section 2.3).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from toccata.conditioners.word_encoder import WordsTextEncoder
from toccata.errors import InputError
from toccata.finetuning import training_state
from toccata.models.loading import load_model

STATE = "lm.pt"
LAYER = "lm.layers.{}."
SILENT = ("self_attn.out.weight", "ffn_out.weight")
# They may be new to a run, or longer than they were.
GROWING = ("lm.projections.", "text.positions", "text.tags.", "text.mode.")

Weights = dict[str, Tensor]


def weights_of(start: str) -> Weights:
    """The weights of a run's folder, or of a model by name or folder."""
    if (state := Path(start) / STATE).is_file():
        saved: Weights = training_state.load(state)["weights"]
        return saved
    model = load_model(start, device="cpu", precision="fp32", as_trained=True)
    if not isinstance(model.text_encoder, WordsTextEncoder):
        raise InputError("start", start, "its text encoder is not of the kind that is trained here")
    weights = {f"lm.{name}": value for name, value in model.lm.state_dict().items()}
    weights |= {f"text.{name}": value for name, value in model.text_encoder.state_dict().items()}
    return weights


def grow(own: Weights, start: Weights, where: str) -> Weights:
    """`own` fresh weights of a run with those of `start` in their places.

    Raises InputError for weights of other sizes, or more layers than the run has.
    """
    weights = dict(own)
    places = _places(_depth(start), _depth(own), where)
    taken = {_moved(name, places): value for name, value in start.items()}
    for name, value in taken.items():
        weights[name] = _fitted(name, own, value, where)
    for depth in set(range(_depth(own))) - set(places):
        for name in (LAYER.format(depth) + part for part in SILENT):
            weights[name] = torch.zeros_like(own[name])
    for name in own:
        new = any(name.startswith(LAYER.format(depth)) for depth in range(_depth(own)))
        if name not in taken and not new and not name.startswith(GROWING):
            raise _differs(name, where)
    return weights


def _places(old: int, new: int, where: str) -> list[int]:
    """Where each of the old layers stands among the new ones: spread evenly."""
    if old > new:
        raise InputError("start", where, f"it has {old} layers: give this run as many or more")
    return [(depth * new + new - 1) // old for depth in range(old)]


def _depth(weights: Weights) -> int:
    return len({name.split(".")[2] for name in weights if name.startswith("lm.layers.")})


def _moved(name: str, places: list[int]) -> str:
    if not name.startswith("lm.layers."):
        return name
    depth, rest = name.removeprefix("lm.layers.").split(".", 1)
    return LAYER.format(places[int(depth)]) + rest


def _fitted(name: str, own: Weights, value: Tensor, where: str) -> Tensor:
    if name not in own:
        raise _differs(name, where)
    if own[name].shape == value.shape:
        return value
    grows = all(size >= least for size, least in zip(own[name].shape, value.shape, strict=True))
    if not name.startswith(GROWING) or not grows:
        raise _differs(name, where)
    grown = own[name].clone()
    grown[tuple(slice(size) for size in value.shape)] = value
    return grown


def _differs(name: str, where: str) -> InputError:
    return InputError("start", where, f"give this run the sizes of that one: {name} differs")


def begin(model: nn.Module, start: Weights, where: str) -> None:
    """Give `model` the weights that it starts from, as far as it has them."""
    model.load_state_dict(grow(model.state_dict(), start, where))
