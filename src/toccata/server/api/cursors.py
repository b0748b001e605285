"""Cursors of paginated lists."""

from __future__ import annotations

import base64
import json
import math

from toccata.server.api.dependencies import refuse
from toccata.server.storage.repository import Prediction, StoredFile
from toccata.server.strict_json import read_json


def cursor_to(last: Prediction | StoredFile) -> str:
    """Encode the cursor of the rows after `last`."""
    text = json.dumps([last.created_at, last.id]).encode()
    return base64.urlsafe_b64encode(text).decode()


def cursor_of(text: str | None) -> tuple[float, str] | None:
    """Decode a cursor.

    Args:
        text: The cursor; None or empty: there is none.

    Returns:
        created_at and id of the last row of the page before; None: it is the first page.

    Raises:
        ProblemError: It is not a cursor of this server.
    """
    if not text:
        return None
    try:
        at, last = read_json(base64.urlsafe_b64decode(text))
        seen = float(at), str(last)
    except (ValueError, TypeError, OverflowError) as error:
        raise refuse(400, "cursor: it is not a cursor of this server") from error
    if not math.isfinite(seen[0]):
        raise refuse(400, "cursor: it is not a cursor of this server")
    return seen
