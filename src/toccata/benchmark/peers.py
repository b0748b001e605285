"""The systems that toccata can be compared with, and their precisions."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from toccata.errors import InputError, MissingExtraError

MAX_SECONDS = 30.0
"""The longest clip of a peer, because longer ones need windows."""


@dataclass(frozen=True)
class Peer:
    """A system that can be measured.

    Attributes:
        measure: The function that a child process runs, as module:name.
        package: What pip must install.
        precisions: The precisions that it supports, its default first.
        usual: The precisions that are compared if none is named.
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
    """Parse the names and precisions of `--compare`.

    Raises:
        InputError: If a system or precision does not exist.
        MissingExtraError: If a system is not installed.
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
    precisions = (precision,) if precision else peer.usual
    return [(name, each) for each in precisions]
