"""The weights of the tagger and the key classifier, as safetensors in the package.

Metadata: `classes` and `accuracy`, as JSON. `accuracy` was measured on held-out songs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from toccata.analysis.key_classifier import KeyClassifier
from toccata.analysis.tagger import Classes, Tagger
from toccata.errors import CheckpointError

FOLDER = Path(__file__).parent
TAGGER, KEYS = "tagger.safetensors", "keys.safetensors"
_CURE = "run `python -m recipes.mini tagger`, or install toccata again"

N = TypeVar("N", bound=nn.Module)
Accuracy = dict[str, dict[str, float]]
"""By head, its accuracy on `clean` songs, and on those that went through the codec (`coded`)."""


def write_tagger(path: Path, tagger: Tagger, accuracy: Accuracy) -> None:
    """Write a tagger's weights in half precision, with its classes and accuracy."""
    _write(path, tagger, {"classes": asdict(tagger.classes), "accuracy": accuracy})


def write_key_classifier(path: Path, network: KeyClassifier, accuracy: Accuracy) -> None:
    """Write a key classifier's weights in half precision, with its accuracy."""
    _write(path, network, {"classes": {"width": network.width}, "accuracy": accuracy})


def read_tagger(path: Path) -> Tagger:
    """Read a tagger. Raises CheckpointError for a file that is missing or of another network."""
    values = _facts(path, "classes")
    if not values.get("genres") or not values.get("families"):
        raise CheckpointError(f"{path}: these weights are of no tagger; {_CURE}")
    genres, families = tuple(values["genres"]), tuple(values["families"])
    return _filled(Tagger(Classes(genres, families, int(values["width"]))), path)


def read_key_classifier(path: Path) -> KeyClassifier:
    """Read a key classifier.

    Raises CheckpointError for a file that is missing or of another network.
    """
    return _filled(KeyClassifier(int(_facts(path, "classes")["width"])), path)


def read_accuracy(path: Path) -> Accuracy:
    """The accuracy on held-out songs of the weights in `path`."""
    return _facts(path, "accuracy")


@cache
def tagger() -> Tagger:
    """The package's tagger. Raises CheckpointError if its weights are missing."""
    return read_tagger(FOLDER / TAGGER)


@cache
def key_classifier() -> KeyClassifier:
    """The package's key classifier. Raises CheckpointError if its weights are missing."""
    return read_key_classifier(FOLDER / KEYS)


def accuracies() -> Accuracy:
    """The accuracy on held-out songs of the package's weights, as far as they are there."""
    paths = [FOLDER / name for name in (TAGGER, KEYS) if (FOLDER / name).is_file()]
    return {head: shares for path in paths for head, shares in read_accuracy(path).items()}


def _write(path: Path, network: nn.Module, facts: Mapping[str, Any]) -> None:
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    half_precision = {
        name: weight.half().contiguous()
        for name, weight in network.state_dict().items()
        if weight.is_floating_point()
    }
    save_file(half_precision, path, {name: json.dumps(value) for name, value in facts.items()})


def _facts(path: Path, name: str) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            facts: dict[str, Any] = json.loads((file.metadata() or {})[name])
            return facts
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: missing or damaged ({error}); {_CURE}") from error


def _filled(network: N, path: Path) -> N:
    from safetensors.torch import load_file

    weights = {name: weight.float() for name, weight in load_file(path).items()}
    own = network.state_dict()
    for name in own.keys() | weights.keys():
        if name.endswith("num_batches_tracked"):
            weights[name] = torch.zeros((), dtype=torch.int64)
        elif name not in own or name not in weights or own[name].shape != weights[name].shape:
            raise CheckpointError(f"{path}: {name} is not what this network has; {_CURE}")
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)
