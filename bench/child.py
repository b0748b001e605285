"""Runs one measurement in a process of its own: `python -m bench.child JOB ARGUMENTS`.

`in_child` is the parent's side. The last line of the child's output is its result as JSON.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import subprocess
import sys
import warnings
from typing import Any

JOBS = {
    "toccata": ("bench.ours", "measure"),
    "transformers": ("bench.peer_transformers", "measure"),
    "bandwidth": ("bench.machine", "read_bandwidth"),
    "memory": ("bench.memory", "measure"),
}
QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}


def in_child(job: str, **arguments: object) -> Any:
    """What the job returns. Ends the program, with what the child said, if it fails."""
    command = [sys.executable, "-m", "bench.child", job, json.dumps(arguments)]
    done = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False, env={**os.environ, **QUIET}
    )
    if done.returncode:
        raise SystemExit(f"{job} {arguments} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main(job: str, arguments: str) -> None:
    warnings.simplefilter("ignore")
    logging.disable()
    module, function = JOBS[job]
    print(json.dumps(getattr(importlib.import_module(module), function)(**json.loads(arguments))))


if __name__ == "__main__":
    main(*sys.argv[1:])
