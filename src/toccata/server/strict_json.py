"""JSON: a strict parser for requests, and a response that can always be encoded.

`read_json` refuses values that cannot be encoded again: half a surrogate pair, NaN, or a number too
large for a float would be stored, and would then break each list that has it. `JSONResponse`
replaces such values where they are in the database all the same.
"""

from __future__ import annotations

import json
import math
import re
import secrets
from collections.abc import Mapping
from typing import Any

from starlette import responses

MAX_DEPTH = 64
MAX_DIGITS = 308  # a float holds no larger number
# Longer data URIs are kept out of the parser, which holds the interpreter lock: 0.5 s for 50 MB.
LONG_BYTES = 2**16
MAX_BYTES = 2**18  # without long data URIs; far more than any request has
NO_STORE = "no-store"

# Escapes that encoders use in a data URI: PHP for the slash, all for the line breaks of base64.
_ESCAPES = ((b"\\/", b"/"), (b"\\n", b"\n"), (b"\\r", b"\r"))
_SUSPECT = re.compile(r"\\u(?:[dD][89a-fA-F]|0000)")
_TOO_DEEP = f"it is nested more than {MAX_DEPTH} levels deep"


class JsonError(ValueError):
    """A text is not JSON, or has a value that cannot be stored.

    Attributes:
        position: Where, in characters.
    """

    def __init__(self, reason: str, position: int = 0) -> None:
        super().__init__(reason)
        self.position = position


def read_json(text: bytes | str) -> Any:
    """Parse JSON, strictly.

    Args:
        text: The text; as bytes, UTF-8 with or without a byte order mark.

    Returns:
        The value.

    Raises:
        JsonError: It is not UTF-8 or not JSON, has more than MAX_BYTES besides long data URIs, is
            nested more than MAX_DEPTH levels deep, or has NaN, an infinity, a number of more than
            MAX_DIGITS digits, NUL or half a surrogate pair.
    """
    uris: dict[str, str] = {}
    if isinstance(text, bytes) and len(text) > LONG_BYTES:
        text, uris = _extract_uris(text)
    if len(text) > MAX_BYTES:
        raise JsonError(f"it has more than {MAX_BYTES} bytes besides its audio")
    decoded = _decoded(text)
    try:
        value = json.loads(
            decoded, parse_constant=_constant, parse_float=_float, parse_int=_integer
        )
    except json.JSONDecodeError as error:
        raise JsonError(str(error), error.pos) from error
    except RecursionError as error:
        raise JsonError(_TOO_DEEP) from error
    if decoded.count("[") + decoded.count("{") > MAX_DEPTH:
        _check_depth(value)
    if isinstance(text, str) or _SUSPECT.search(decoded):
        _check_texts(value)
    return _restore_uris(value, uris) if uris else value


def count_values(value: object) -> int:
    """Count the values in a result of `read_json`, objects and lists included."""
    return 1 + sum(count_values(each) for each in _children(value))


def text_problem(text: str) -> str | None:
    """Explain why a text cannot be stored; None: it can."""
    if "\0" in text:
        return "it holds a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "it holds half a surrogate pair, which UTF-8 cannot encode"
    return None


class JSONResponse(responses.JSONResponse):
    """A JSON response that is not cached, and that can be encoded whatever a row has."""

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Add headers that forbid caching and sniffing."""
        super().init_headers(headers)
        self.headers.setdefault("Cache-Control", NO_STORE)
        self.headers.setdefault("X-Content-Type-Options", "nosniff")

    def render(self, content: Any) -> bytes:
        """Encode the content; values that JSON does not have are replaced."""
        try:
            return super().render(content)
        except (ValueError, RecursionError):
            return super().render(encodable(content))


def encodable(value: Any, depth: int = 0) -> Any:
    """Replace half surrogate pairs by U+FFFD, and numbers that JSON does not have by null."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        fits = abs(value) < 10**MAX_DIGITS if isinstance(value, int) else math.isfinite(value)
        return value if fits else None
    if depth > 2 * MAX_DEPTH:
        return None
    if isinstance(value, Mapping):
        return {encodable(str(key)): encodable(each, depth + 1) for key, each in value.items()}
    return [encodable(each, depth + 1) for each in value]


def _extract_uris(text: bytes) -> tuple[bytes, dict[str, str]]:
    """Replace each long data URI by a short token.

    A data URI is ASCII without quotes, so it ends at the next quote. The search stops once the rest
    of the text is too long: millions of short URIs would take minutes.

    Returns:
        The text with tokens, and the data URI of each token.
    """
    pieces: list[bytes] = []
    uris: dict[str, str] = {}
    done = at = rest = 0
    while (at := text.find(b'"data:', at)) >= 0 and rest + at - done <= MAX_BYTES:
        end = text.find(b'"', at + 1)
        if end < 0:
            break
        is_long = end - at > LONG_BYTES and text[at - 1 : at] != b"\\"
        if is_long and (uri := _plain(text[at + 1 : end])):
            token = f"data:{secrets.token_hex(16)}"
            uris[token] = uri
            pieces += [text[done : at + 1], token.encode()]
            rest += at - done
            done = end
        at = end
    return b"".join([*pieces, text[done:]]), uris


def _plain(uri: bytes) -> str:
    """Decode a data URI without its escapes; empty if it is not a valid one."""
    for escape, plain in _ESCAPES if b"\\" in uri else ():
        uri = uri.replace(escape, plain)
    return uri.decode("ascii") if uri.isascii() and b"\\" not in uri and b"\0" not in uri else ""


def _restore_uris(value: Any, uris: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return uris.get(value, value)
    if isinstance(value, dict):
        return {uris.get(name, name): _restore_uris(each, uris) for name, each in value.items()}
    return [_restore_uris(each, uris) for each in value] if isinstance(value, list) else value


def _decoded(text: bytes | str) -> str:
    if isinstance(text, str):
        return text
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise JsonError("it is not UTF-8", error.start) from error


def _constant(name: str) -> float:
    raise JsonError(f"{name} is not a number of JSON")


def _float(digits: str) -> float:
    value = float(digits) if len(digits) <= 2 * MAX_DIGITS else math.inf
    if not math.isfinite(value):
        raise JsonError(f"the number {digits[:20]} is too large")
    return value


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise JsonError(f"the number {digits[:20]}... has more than {MAX_DIGITS} digits")
    return int(digits)


def _check_depth(value: object) -> None:
    level, depth = [value], 0
    while level := [each for one in level for each in _children(one)]:
        depth += 1
        if depth > MAX_DEPTH:
            raise JsonError(_TOO_DEEP)


def _check_texts(value: object) -> None:
    """Check all texts, level by level: recursion could overflow the stack."""
    level = [value]
    while level:
        for one in level:
            keys = one if isinstance(one, dict) else ()
            for text in (one, *keys):
                if isinstance(text, str) and (problem := text_problem(text)):
                    raise JsonError(problem)
        level = [each for one in level for each in _children(one)]


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
