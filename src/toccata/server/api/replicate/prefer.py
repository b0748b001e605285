"""Parse the request headers about time: Prefer, Cancel-After, read timeouts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, NamedTuple

from fastapi import Depends

from toccata.errors import InputError
from toccata.server.api.parameters import CancelAfter, Prefer

MIN_CANCEL_AFTER_S = 5.0

_BLANK = " \t"
_PREFERENCE = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')  # commas within quotes do not separate
_WAIT_VALUE = re.compile(r'([0-9]+)|"([0-9]*)"')
_SECONDS = re.compile(r"([0-9]{1,6})")
_PARTS = re.compile(r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?")
_READ_TIMEOUT = re.compile(r"[0-9]{1,9}(?:\.[0-9]+)?")


class TimeHeaders(NamedTuple):
    """The headers of a request that say how long its answer and its prediction may take."""

    prefer: str | None
    cancel_after: str | None


async def _time_headers(prefer: Prefer = None, cancel_after: CancelAfter = None) -> TimeHeaders:
    return TimeHeaders(prefer, cancel_after)


# As the parameter of a route.
RequestTimes = Annotated[TimeHeaders, Depends(_time_headers)]


def wait_s(prefer: str | None, max_s: float) -> float | None:
    """How long the client wants to wait for the answer: 1 to max_s; None: not at all.

    Args:
        prefer: The Prefer header of RFC 7240; several headers are joined by commas. The first
            `wait` counts.
        max_s: The longest time.
    """
    for preference in _PREFERENCE.findall(prefer or ""):
        name, equals, value = preference.partition(";")[0].partition("=")
        if name.strip(_BLANK).lower() == "wait":
            return _wait_value_s(value.strip(_BLANK), max_s) if equals else max_s
    return None


def _wait_value_s(value: str, max_s: float) -> float | None:
    match = _WAIT_VALUE.fullmatch(value)
    if match is None:
        return None
    digits = match[1] or match[2]
    if not digits:  # an empty value is the same as none
        return max_s
    return min(max(float(digits), 1.0), max_s)


def parse_duration_s(text: str) -> float:
    """Parse a Cancel-After header: `30`, `30s`, `5m`, `2h30m` or `1h30m45s`. Raises InputError."""
    stripped = text.strip(_BLANK)
    duration_s = 0.0
    if match := _SECONDS.fullmatch(stripped):
        duration_s = float(match[1])
    elif match := _PARTS.fullmatch(stripped):
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        duration_s = 3600.0 * hours + 60.0 * minutes + seconds
    if duration_s < MIN_CANCEL_AFTER_S:
        allowed = "it must be a time such as 30, 30s, 5m, 2h30m or 1h30m45s, and at least 5 s"
        raise InputError("Cancel-After", text, allowed)
    return duration_s


def read_timeout_s(headers: Mapping[str, str]) -> float | None:
    """After how long the client times out, if a header says so. Names of headers are lower case."""
    value = headers.get("x-stainless-read-timeout", "").strip(_BLANK)
    seconds = float(value) if _READ_TIMEOUT.fullmatch(value) else 0.0
    return seconds if seconds > 0 else None
