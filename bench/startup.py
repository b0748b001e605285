"""Measure the time from the shell to a result: `python -m bench.startup`."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TypedDict

from toccata.benchmark.task import PROMPT

CLIP_S = 8
HELP_RUNS = 5


class Startup(TypedDict):
    """The median wall seconds of `toccata --help` and of `toccata generate` with an 8 s file."""

    help_s: float
    generate_s: float


def measure(*, model: str = "mini", runs: int = 3) -> Startup:
    """Measure new processes; after the first one, the file cache of the machine is warm."""
    return Startup(
        help_s=statistics.median(_wall_s("--help") for _ in range(HELP_RUNS)),
        generate_s=statistics.median(_generate_s(model) for _ in range(runs)),
    )


def _generate_s(model: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "clip.wav"
        options = ("--duration", str(CLIP_S), "--seed", "1", "--output", str(file))
        wall_s = _wall_s("generate", PROMPT, "--model", model, *options)
        if not file.exists():
            raise SystemExit(f"toccata generate wrote no {file.name}")
    return wall_s


def _wall_s(*arguments: str) -> float:
    start = time.perf_counter()
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "toccata", *arguments], capture_output=True, text=True, check=False
    )
    wall_s = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"toccata {' '.join(arguments)} failed:\n{done.stderr}")
    return wall_s


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.startup", description=__doc__)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--runs", type=int, default=3)
    print(json.dumps(measure(**vars(parser.parse_args())), indent=2))


if __name__ == "__main__":
    main()
