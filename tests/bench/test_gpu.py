"""That the benchmark for GPUs runs, on the CPU, and says what it needs where there is none."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from bench import gpu

SHORT = {"shape": "tiny", "seconds": 0.6, "device": "cpu"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_it_says_what_it_needs_and_ends_well() -> None:
    command = [sys.executable, "-m", "bench.gpu"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.startswith("bench-gpu needs a CUDA device")


def test_every_job_runs() -> None:
    assert gpu.bandwidth(device="cpu", size=2**20)["gb_per_s"] > 0
    alone = gpu.alone(**SHORT)  # type: ignore[arg-type]
    assert alone.keys() == gpu.COLUMNS.keys() - {"last_first_audio_s"}
    many = gpu.many(**SHORT, streams=3)  # type: ignore[arg-type]
    assert many["last_first_audio_s"] >= many["first_audio_s"] > 0


def test_jobs_run_in_processes_of_their_own_and_may_fail() -> None:
    copied = gpu.in_child("bandwidth", device="cpu", size=2**20)
    assert not isinstance(copied, str)
    assert copied["gb_per_s"] > 0
    assert "abacus" in str(gpu.in_child("bandwidth", device="abacus"))


def test_everything_asked_for_is_in_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def in_child(job: str, **arguments: object) -> gpu.Figures | str:
        asked.append((job, arguments.get("shape")))
        return {"gb_per_s": 5.0} if "compiled" not in arguments else "no static cache"

    monkeypatch.setattr(gpu, "in_child", in_child)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "a GPU")
    given = gpu.parser().parse_args(["--streams", "3", "--shapes", "small", "large"])
    text = gpu.measure(given)
    assert [job for job, shape in asked if shape == "large"].count("transformers") == 2
    assert "a GPU; a copy on it reads and writes 5 GB/s" in text
    assert "toccata, 3 streams of 8 s" in text
    assert "compiled did not run: no static cache" in text


@pytest.mark.filterwarnings("ignore")  # what transformers warns of is its own affair
def test_the_peer_runs() -> None:
    assert gpu.transformers(**SHORT)["ms_per_step"] > 0  # type: ignore[arg-type]


def test_the_report_lists_what_ran_and_what_did_not() -> None:
    rows: dict[str, gpu.Figures | str] = {"toccata": {"ms_per_step": 1.5}, "other": "out of memory"}
    text = gpu.report(["- device: one"], {"small": rows})
    assert "| toccata" in text
    assert "1.50" in text
    assert "- other did not run: out of memory" in text


def test_large_has_the_size_of_the_published_one() -> None:
    from toccata.benchmark.random_model import lm_config
    from toccata.benchmark.shapes import SHAPES
    from toccata.decoder.decoder import Decoder

    with torch.device("meta"):
        decoder = Decoder(lm_config(SHAPES["large"]))
    assert 3.2e9 < sum(p.numel() for p in decoder.parameters()) < 3.4e9
