"""Compilation of kernels with numba, and the cache of compiled code on disk.

numba checks only the file of a function to decide whether its cached code is still valid. Kernels
call functions of other files, so the cache folder is named by a hash of all kernel files.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba import extending
from numba.core import config, event

F = TypeVar("F", bound=Callable[..., Any])
logger = logging.getLogger(__name__)


def compiled(function: F) -> F:
    """Compile a function that only kernels call."""
    decorated: F = numba.njit(error_model="numpy")(function)
    return decorated


def instruction(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make an instruction of a function that returns a signature and a code generator.

    The function gets numba's typing context and the types of the arguments. Kernels call the
    instruction with the arguments, without the context.
    """
    decorated: Callable[..., Any] = extending.intrinsic(function)
    return decorated


def instruction_of_literals(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make an instruction whose literal arguments are known when it is compiled."""
    decorated: Callable[..., Any] = extending.intrinsic(prefer_literal=True)(function)
    return decorated


def overload(function: Callable[..., Any]) -> Callable[[F], F]:
    """Implement `function` in kernels, for those types for which the decorated one returns code."""
    decorator: Callable[[F], F] = extending.overload(function)
    return decorator


def entry(function: F) -> F:
    """Compile a kernel that Python calls, at its first call, and cache the code on disk."""
    folder, before = cache_folder(), config.CACHE_DIR
    if folder is None:
        decorated: F = numba.njit(nogil=True, error_model="numpy")(function)
        return decorated
    config.CACHE_DIR = str(folder)
    try:
        decorated = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    finally:
        config.CACHE_DIR = before
    dispatcher: Any = decorated
    dispatcher._cache = _TolerantCache(dispatcher._cache)
    return decorated


# What a truncated or foreign file of a cache makes pickle raise.
_DAMAGED = (
    OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, ImportError,
    pickle.PickleError,
)  # fmt: skip


class _TolerantCache:
    """numba's cache of one function, without the errors of a damaged cache and of a full disk.

    numba replaces its files without a sync, so that a power failure may leave empty ones, and it
    raises at every start from then on.
    """

    def __init__(self, functions: Any) -> None:
        self._functions = functions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._functions, name)

    def load_overload(self, signature: object, context: object) -> Any:
        """Return compiled code, or None if there is none or it is damaged."""
        try:
            return self._functions.load_overload(signature, context)
        except _DAMAGED as error:
            logger.warning("compiling again: the cache %s is damaged: %s", self.cache_path, error)
            with suppress(OSError):
                self._functions.flush()
            return None

    def save_overload(self, signature: object, code: object) -> None:
        """Keep compiled code if the disk takes it."""
        try:
            self._functions.save_overload(signature, code)
        except _DAMAGED as error:
            logger.warning("compiled kernels are not kept: %s: %s", self.cache_path, error)


@cache
def cache_folder() -> Path | None:
    """Return the cache folder for this version of the kernels; None if it cannot be created."""
    folder = _user_caches() / "toccata" / "kernels" / _digest()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        logger.warning(
            "kernels are compiled at every start: %s cannot be created: %s", folder, error
        )
        return None
    if is_cold(folder):
        logger.info("compiling kernels for this processor, once; they are cached in %s", folder)
    return folder


def is_cold(folder: Path | None) -> bool:
    """Return whether the first call of a kernel has to compile it, because the cache is empty."""
    return folder is None or not any(folder.rglob("*.nbi"))  # numba's index of a function


@contextmanager
def announcing(announce: Callable[[], None]) -> Iterator[None]:
    """Call `announce` once, when a kernel is compiled while the block runs.

    Only numba's compiler knows whether it compiles: an environment whose files are in another place
    does not find the code that this cache folder has.
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
        """Do nothing; the end of the block is what matters."""


def _digest() -> str:
    sources = sorted(Path(__file__).parent.glob("*.py"))
    contents = b"".join(source.read_bytes() for source in sources)
    return hashlib.sha256(contents + numba.__version__.encode()).hexdigest()[:16]


def _user_caches() -> Path:
    if (folder := Path(os.environ.get("XDG_CACHE_HOME", ""))).is_absolute():  # as XDG demands
        return folder
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"))
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache")
