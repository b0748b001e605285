"""Names that the server makes up."""

from __future__ import annotations

import base64
import secrets


def new_id() -> str:
    """26 letters and digits, as the hosted service's are."""
    return base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()


def new_key() -> str:
    """Not to be guessed: whoever knows an address that holds it may use it."""
    return secrets.token_urlsafe(32)
