"""The systems that toccata can be compared with, and their precisions."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from toccata.errors import InputError, MissingExtraError

MAX_SECONDS = 30.0
"""What the peers make at most: a longer clip needs windows."""


@dataclass(frozen=True)
class Peer:
    """measure: module:name of what a child process runs. package: what it needs, for pip.

    precisions: those it runs in, the peer's own default first. usual: those that are compared if
    none is named.
    """

    measure: str
    package: str
    precisions: tuple[str, ...]
    usual: tuple[str, ...]


PEERS = {
    "transformers": Peer(
        measure="toccata.benchmark.peer_transformers:measure",
        package="transformers>=5,<6",
        precisions=("fp32", "bf16", "fp16"),
        usual=("fp32", "bf16"),
    ),
}


def chosen(text: str) -> list[tuple[str, str]]:
    """Names and precisions of what `--compare` says, in its order.

    Raises InputError for one that is not known, MissingExtraError for one that is not installed.
    """
    pairs = [pair for one in text.split(",") for pair in _pairs(one.strip())]
    return list(dict.fromkeys(pairs))


def _pairs(one: str) -> list[tuple[str, str]]:
    name, _, precision = one.partition(":")
    if name not in PEERS:
        raise InputError("compare", one, f"use {', '.join(PEERS)}, or one with :PRECISION")
    peer = PEERS[name]
    if precision and precision not in peer.precisions:
        raise InputError("compare", one, f"{name} runs in {', '.join(peer.precisions)}")
    if find_spec(name) is None:
        raise MissingExtraError(
            f"compare: {name} is not installed, so there is nothing to compare with; "
            f"pip install '{peer.package}', or leave out --compare"
        )
    return [(name, wanted) for wanted in ((precision,) if precision else peer.usual)]
