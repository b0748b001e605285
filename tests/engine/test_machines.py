"""The same request has the same codes on every x86 CPU. Those recorded are of mini as it ships:
a new version of it, or of the arithmetic, has others.

Kernels of ours compute in an order that they name themselves. torch's, MKL's and oneDNN's choose
theirs by the CPU, and can be told to take those of an older one.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys

import pytest
import torch

# Of `codes_fingerprint` below, by `machine_class`. A class that is not here is unknown, not wrong.
RECORDED = {"x86_64 AVX2": "306266317b199aaf"}

OLDER_CPUS = {
    "torch without AVX": {"ATEN_CPU_CAPABILITY": "default"},
    "nothing beyond SSE 4.1": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_CBWR": "COMPATIBLE",
    },
}


def machine_class() -> str:
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def codes_fingerprint() -> str:
    """Of the codes of one fixed request, which is all that sampling decides."""
    import toccata
    from toccata.engine.engine import Engine
    from toccata.generation.request import GenerationRequest
    from toccata.generation.running import RunningRequest

    model = toccata.load("mini", device="cpu", precision="int8", offline=True).model
    engine = Engine(model, 1)
    expected = GenerationRequest(prompt="happy rock with guitar", duration_s=2.0, seed=1)
    song = RunningRequest(expected.resolve(model.defaults, model.segment_s), model, engine)
    while engine.step():
        pass
    return hashlib.sha256(song.sequence.codes.tobytes()).hexdigest()[:16]


@pytest.fixture(scope="module")
def here() -> str:
    return codes_fingerprint()


@pytest.mark.parametrize("variables", OLDER_CPUS.values(), ids=OLDER_CPUS)
def test_kernels_of_older_cpus_make_the_same_codes(here: str, variables: dict[str, str]) -> None:
    program = "from tests.engine.test_machines import codes_fingerprint as f; print(f())"
    ran = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == [here]


def test_codes_are_those_recorded_for_this_class_of_machine(
    here: str, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded = RECORDED.get(machine_class())
    if recorded is None:
        with capsys.disabled():
            print(f"\nno codes are recorded for {machine_class()}; here they are {here}")  # noqa: T201
        return
    assert here == recorded
