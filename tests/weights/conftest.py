"""Tests of the published weights, for whoever has them: `make test-weights`.

They load nothing from the network: what is not in the hub's cache is skipped, and the reason says
how to get it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from toccata.models import hub

Find = Callable[..., Path]


@pytest.fixture(scope="session")
def find() -> Find:
    """The folder of a repository in the hub's cache that holds all of the named files."""

    def found(hub_id: str, *names: str) -> Path:
        from huggingface_hub import try_to_load_from_cache

        repository = hub.OWNERS.get(hub_id, hub_id)
        paths = [try_to_load_from_cache(repository, name) for name in names]
        missing = [
            name for name, path in zip(names, paths, strict=True) if not isinstance(path, str)
        ]
        if missing:
            pytest.skip(
                f"needs {', '.join(missing)} of {repository} in the hub's cache: run "
                f"`hf download {repository} {' '.join(names)}`"
            )
        return Path(str(paths[0])).parent

    return found
