"""Run one measurement in a separate process: `python -m toccata.benchmark.child`.

The parent calls `in_child`. The last line of the child's output is the result as JSON.
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
from toccata.settings import wait_as_by_default, wait_passively

QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}


def in_child(function: str, *, is_peer: bool = False, **arguments: object) -> Any:
    """Call a function in a new process.

    Args:
        function: The function, as module:name.
        is_peer: Whether threads wait as by default, not passively as in our command line.
        arguments: Its arguments, which JSON must support, as the result.

    Returns:
        The result.

    Raises:
        MeasurementError: If the child failed; it has the child's message and exit code.
    """
    command = [sys.executable, "-m", __name__, function, json.dumps(arguments)]
    environment = {**os.environ, **QUIET}
    (wait_as_by_default if is_peer else wait_passively)(environment)
    done = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        raise MeasurementError(_reason(done.returncode, done.stderr.strip()), done.returncode)
    return json.loads(done.stdout.splitlines()[-1])


def _reason(code: int, message: str) -> str:
    if code < 0:
        return (
            f"the measurement was killed by signal {-code}, as the system does when memory runs "
            "out; use a smaller shape or fewer bits"
        )
    return message


def main(function: str, arguments: str) -> None:
    """Call the function in the child, and write its result or its error."""
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
