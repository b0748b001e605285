"""Runs one measurement in a process of its own: `python -m toccata.benchmark.child`.

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

from toccata.errors import MeasurementError, ToccataError

QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}


def in_child(function: str, **arguments: object) -> Any:
    """What `function` (module:name) returns for `arguments`, in a new process.

    Arguments and result must be what JSON can hold. Raises MeasurementError with what the child
    said, and with the exit code of its error.
    """
    command = [sys.executable, "-m", __name__, function, json.dumps(arguments)]
    done = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False, env={**os.environ, **QUIET}
    )
    if done.returncode:
        raise MeasurementError(_reason(done.returncode, done.stderr.strip()), done.returncode)
    return json.loads(done.stdout.splitlines()[-1])


def _reason(code: int, said: str) -> str:
    if code < 0:
        return (
            f"the measurement was killed by signal {-code}, as the system does when memory runs "
            "out; use a smaller shape or fewer bits"
        )
    return said


def main(function: str, arguments: str) -> None:
    """The child's side: run it and write the result, or say why not."""
    warnings.simplefilter("ignore")
    logging.disable()
    module, _, name = function.partition(":")
    try:
        result = getattr(importlib.import_module(module), name)(**json.loads(arguments))
    except ToccataError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
