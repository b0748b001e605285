"""Loading in 8 or 4 bits takes the memory of the packed weights, not of the full ones.

Measured through the real loader, as the peak of a process of its own: what torch allocates is seen
by no counter of Python's.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.models.test_tensors import BETWEEN
from tests.models.test_toccata import with_words
from toccata.decoder.decoder import Decoder
from toccata.models.checkpoints.native import write as save_model

# Small first: imports, kernels and everything that does not grow with the model.
MEASURE = """
import resource, sys
from pathlib import Path
from toccata.models.loading import load_model

UNIT = 1 if sys.platform == "darwin" else 1024

def load(name):
    lm = load_model(Path(sys.argv[1]) / name, device="cpu", precision=sys.argv[2], offline=True).lm
    return sum(t.nbytes for t in (*lm.parameters(), *lm.buffers()))

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT

load("small")
before = peak()
size = load("large")
print(size, peak() - before)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Large: 100 MB of matrices in float32, none over 4 MiB."""
    folder = tmp_path_factory.mktemp("widths")
    model = with_words("text")
    shape = replace(model.lm.config, dim=512, heads=8, ffn_dim=2048)
    for name, layers in (("small", 1), ("large", 6)):
        save_model(replace(model, lm=Decoder(replace(shape, layers=layers))), folder / name)
    return folder


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_compressed_loading_never_holds_the_full_model(folder: Path, precision: str) -> None:
    command = [sys.executable, "-c", BETWEEN, "-c", MEASURE, str(folder), precision]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    packed, grown = (int(number) for number in done.stdout.split())
    full = (folder / "large" / "model.safetensors").stat().st_size
    # What was read through the file's mapping stays for an eighth of it; a matrix is in work.
    assert packed < full / 3
    assert grown < packed + full / 8 + (24 << 20), (grown, packed, full)
    assert grown < full * 0.7
