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
    """The error for a part that an extra of toccata's brings.

    Args:
        what: The part, as the subject of a sentence: "the server".
        extra: The extra's name in pyproject.toml.
    """
    command = shlex.join([sys.executable, "-m", "pip", "install", *_source(extra)])
    return MissingExtraError(f"{what} is not installed (extra {extra}); run: {command}")


def missing_synthesizer() -> MissingExtraError:
    """The error for the synthesizer, which no extra can bring.

    It names pyaudio as a dependency, which only plays live and needs a compiler and PortAudio.
    """
    install = [sys.executable, "-m", "pip", "install", "--no-deps", SYNTHESIZER]
    return MissingExtraError(
        f"the synthesizer that plays composed songs is not installed; run: {shlex.join(install)}"
    )


def _source(extra: str) -> list[str]:
    """What pip is to install: toccata from where it was installed from (PEP 610)."""
    try:
        origin = json.loads(distribution(PACKAGE).read_text("direct_url.json") or "{}")
    except PackageNotFoundError:  # imported from a checkout that was not installed
        origin = {}
    url = urlsplit(origin.get("url", ""))
    if url.scheme != "file" or "dir_info" not in origin:
        return ["-e", f".[{extra}]"]  # in the checkout's folder
    editable = ["-e"] if origin["dir_info"].get("editable") else []
    return [*editable, f"{unquote(url.path)}[{extra}]"]
