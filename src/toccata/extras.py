"""Errors for optional dependencies that are not installed, with the command that installs them."""

from __future__ import annotations

import json
import shlex
import sys
from importlib.metadata import PackageNotFoundError, distribution
from urllib.parse import unquote, urlsplit

from toccata.errors import MissingExtraError

PACKAGE = "toccata"
SYNTHESIZER = "tinysoundfont"


def missing_extra(what: str, extra: str) -> MissingExtraError:
    """Return the error for a feature whose extra is not installed.

    Args:
        what: The feature, as the subject of a sentence: "the server".
        extra: The extra's name in pyproject.toml.
    """
    command = shlex.join([sys.executable, "-m", "pip", "install", *_source(extra)])
    return MissingExtraError(f"{what} is not installed (extra {extra}); run: {command}")


def missing_synthesizer() -> MissingExtraError:
    """Return the error for the synthesizer, which cannot be in an extra.

    It depends on pyaudio, which needs a compiler and PortAudio, but is only used for live playback.
    """
    install = [sys.executable, "-m", "pip", "install", "--no-deps", SYNTHESIZER]
    return MissingExtraError(
        f"the synthesizer that plays composed songs is not installed; run: {shlex.join(install)}"
    )


def _source(extra: str) -> list[str]:
    """Return pip's arguments to install toccata from its original source (PEP 610)."""
    try:
        origin = json.loads(distribution(PACKAGE).read_text("direct_url.json") or "{}")
    except PackageNotFoundError:  # toccata is imported from a checkout without being installed
        origin = {}
    url = urlsplit(origin.get("url", ""))
    if url.scheme != "file" or "dir_info" not in origin:
        return ["-e", f".[{extra}]"]  # in the checkout's folder
    editable = ["-e"] if origin["dir_info"].get("editable") else []
    return [*editable, f"{unquote(url.path)}[{extra}]"]
