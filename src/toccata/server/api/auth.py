"""Bearer tokens, kept as hashes and compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

MISSING = "You did not pass an authentication token"
WRONG = "You did not pass a valid authentication token"
# In the scope of a request: the owner that its token stands for, once the token was checked.
OWNER = "toccata.owner"


class Tokens:
    """The tokens that open the API; without any it is open to everybody."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._hashes = [_hash(token) for token in tokens]

    def refusal(self, authorization: str | None) -> str | None:
        """Why a request with this Authorization header is refused; None if it is not."""
        if not self._hashes:
            return None
        token = token_of(authorization)
        if token is None:
            return MISSING
        given = _hash(token)
        # All are compared, so that the time taken does not tell which one was near.
        matches = [hmac.compare_digest(given, known) for known in self._hashes]
        return None if any(matches) else WRONG


def token_of(authorization: str | None) -> str | None:
    """The token of an Authorization header, whatever its scheme and spaces; None: there is none."""
    scheme, _, token = (authorization or "").strip().partition(" ")
    return token.strip() or None if scheme.lower() in ("bearer", "token") else None


def owner_named(name: str) -> str:
    """The owner of what is made with a token, or from an address where there are no tokens."""
    return hashlib.sha256(name.encode()).hexdigest()


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
