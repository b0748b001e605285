"""Functions that Python calls in compiled form: compiled once per machine and kept on disk.

numba looks at the file of a function alone to tell whether what it kept is still right. Kernels
call each other across files, so theirs lie in a folder named by the contents of all.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba import extending
from numba.core import config, event

F = TypeVar("F", bound=Callable[..., Any])
logger = logging.getLogger(__name__)


def compiled(function: F) -> F:
    """For kernels alone to call."""
    made: F = numba.njit(error_model="numpy")(function)
    return made


def instruction(function: Callable[..., Any]) -> Callable[..., Any]:
    """One that writes LLVM's instructions: of types, it makes a signature and a generator.

    Kernels call it without the first parameter, numba's context of types.
    """
    made: Callable[..., Any] = extending.intrinsic(function)
    return made


def instruction_of_literals(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same; numbers in its types are known when it is compiled."""
    made: Callable[..., Any] = extending.intrinsic(prefer_literal=True)(function)
    return made


def overload(function: Callable[..., Any]) -> Callable[[F], F]:
    """What `function` is in kernels, for types that the decorated one returns code for."""
    made: Callable[[F], F] = extending.overload(function)
    return made


def entry(function: F) -> F:
    """`function` compiled on its first call; a cache on disk spares the next process that."""
    folder, before = cache_folder(), config.CACHE_DIR
    if folder is None:
        made: F = numba.njit(nogil=True, error_model="numpy")(function)
        return made
    config.CACHE_DIR = str(folder)
    try:
        made = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    finally:
        config.CACHE_DIR = before
    return made


@cache
def cache_folder() -> Path | None:
    """Where compiled kernels of this very code are kept; None where nothing can be written."""
    folder = _user_caches() / "toccata" / "kernels" / _digest()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        logger.warning("kernels are compiled at every start: %s cannot be made: %s", folder, error)
        return None
    if is_cold(folder):
        logger.info("compiling kernels for this processor, once; they are kept in %s", folder)
    return folder


def is_cold(folder: Path | None) -> bool:
    """Whether the first call of a kernel has to compile it: nothing of this code is kept."""
    return folder is None or not any(folder.rglob("*.nbi"))  # numba's index of a function


@contextmanager
def announcing(announce: Callable[[], None]) -> Iterator[None]:
    """Call `announce` once, as soon as a kernel is really compiled while the block runs.

    What is kept of one environment is not found by another one whose files are elsewhere, so only
    the compiler itself knows.
    """
    with event.install_listener("numba:compile", _Once(announce)):
        yield


class _Once(event.Listener):  # type: ignore[misc]
    """A listener to numba's compiler that calls a function at its first event."""

    def __init__(self, announce: Callable[[], None]) -> None:
        self._announce: Callable[[], None] | None = announce

    def on_start(self, event: object) -> None:  # noqa: ARG002
        announce, self._announce = self._announce, None
        if announce is not None:
            announce()

    def on_end(self, event: object) -> None:
        """Nothing: the end of the block is near enough."""


def _digest() -> str:
    sources = sorted(Path(__file__).parent.glob("*.py"))
    contents = b"".join(source.read_bytes() for source in sources)
    return hashlib.sha256(contents + numba.__version__.encode()).hexdigest()[:16]


def _user_caches() -> Path:
    if "XDG_CACHE_HOME" in os.environ:
        return Path(os.environ["XDG_CACHE_HOME"])
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"))
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache")
