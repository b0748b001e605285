"""Runs the tests of a module over each backend: those that say `usefixtures("each_backend")`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from toccata.backends import BACKENDS
from toccata.lm.compressed import is_compressed
from toccata.lm.decoder import Decoder

AHEAD = {
    "recorded": ("tests.recorder", "recorded"),
    "strictly_recorded": ("tests.recorder", "strictly_recorded"),
}


@pytest.fixture(scope="module", params=["torch_eager", *AHEAD])
def each_backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of the backend that engines take by default, in this test."""

    def best(decoder: Decoder) -> str:
        return "torch_eager" if is_compressed(decoder) else str(request.param)

    with pytest.MonkeyPatch.context() as patch:
        for name, place in AHEAD.items():
            patch.setitem(BACKENDS, name, place)
        patch.setattr("toccata.engine.engine.best", best)
        yield request.param
