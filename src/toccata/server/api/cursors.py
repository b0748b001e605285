"""Cursors of paginated lists."""

from __future__ import annotations

import base64
import json
import math

from toccata.server.api.dependencies import refuse
from toccata.server.storage.repository import Prediction, StoredFile
from toccata.server.strict_json import read_json


def cursor_to(last: Prediction | StoredFile) -> str:
    """The cursor of what comes after `last`."""
    text = json.dumps([last.created_at, last.id]).encode()
    return base64.urlsafe_b64encode(text).decode()


def cursor_of(text: str | None) -> tuple[float, str] | None:
    """created_at and id of the last one seen; None without a cursor. Raises ProblemError."""
    if not text:
        return None
    try:
        at, last = read_json(base64.urlsafe_b64decode(text))
        seen = float(at), str(last)
    except (ValueError, TypeError, OverflowError) as error:
        raise refuse(400, "cursor: it is not one that this server gave") from error
    if not math.isfinite(seen[0]):
        raise refuse(400, "cursor: it is not one that this server gave")
    return seen
