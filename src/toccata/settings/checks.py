"""Checks of settings beyond type and limits; each raises ValueError with the cure."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit


def device(text: str) -> str:
    """Check the name of a device."""
    kind, _, number = text.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not number.isdecimal()):
        raise ValueError("it must be cpu, mps, cuda or cuda:N")
    return text


def expanded(path: Path) -> Path:
    """Put a home folder in the place of ~."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError("there is no home folder of that user") from error


def existing_file(path: Path) -> Path:
    """Check that a file is there."""
    if not path.is_file():
        raise ValueError("there is no such file")
    return path


def host_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Write host names as requests are compared with them."""
    return tuple(name.rstrip(".").lower() for name in names)


def web_url(text: str) -> str:
    """Check an http or https URL without query and fragment; a slash at its end is left out."""
    cure = "it must be like https://music.example.org"
    try:
        split = urlsplit(text)
        is_host = bool(split.hostname) and split.port != 0
    except ValueError as error:  # brackets, or a port that is none
        raise ValueError(cure) from error
    if split.scheme not in ("http", "https") or not is_host or split.query or split.fragment:
        raise ValueError(cure)
    return text.rstrip("/")


def public_url(text: str) -> str:
    """Check a web URL whose path requests can begin with."""
    url = web_url(text)
    if not {"", ".", ".."}.isdisjoint(urlsplit(url).path.split("/")[1:]):
        raise ValueError("its path must have no empty, . or .. part")
    return url


def upload_url(text: str) -> str:
    """Check a web URL that may have a query, which often is a signature."""
    split = urlsplit(text)
    url = web_url(split._replace(query="").geturl())
    return f"{url}?{split.query}" if split.query else url
