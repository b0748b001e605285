"""Runs the tests of a module over each backend: those that say `usefixtures("each_backend")`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests import fakes
from toccata import backends
from toccata.decoder.decoder import Decoder
from toccata.decoder.quantized import COMPRESSED, compress, is_compressed

AHEAD = {
    "recorded": ("tests.recorder", "recorded"),
    "strictly_recorded": ("tests.recorder", "strictly_recorded"),
}
FULL = ["torch_eager", *AHEAD]


@pytest.fixture(scope="module", params=[*FULL, "packed_cpu"])
def each_backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of the backend that engines take by default, in this test."""
    with _default(str(request.param)) as name:
        yield name


@pytest.fixture(scope="module", params=FULL)
def each_full_backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """The same, of those that run the weights as they are."""
    with _default(str(request.param)) as name:
        yield name


@contextmanager
def _default(name: str) -> Iterator[str]:
    def best(decoder: Decoder) -> str:
        return backends.best(decoder) if is_compressed(decoder) else name

    with pytest.MonkeyPatch.context() as patch:
        for ahead, place in AHEAD.items():
            patch.setitem(backends.BACKENDS, ahead, place)
        patch.setattr("toccata.engine.engine.best", best)
        if name == "packed_cpu":
            patch.setattr(fakes, "fake_decoder", _packed_decoder)
        yield name


def _packed_decoder(*, _make: Any = fakes.fake_decoder, **config: Any) -> Decoder:
    """A fake decoder that is wide enough for the kernels, in 8 bits."""
    decoder: Decoder = _make(**{**config, "dim": 128})
    compress(COMPRESSED["int8"], decoder)
    return decoder
