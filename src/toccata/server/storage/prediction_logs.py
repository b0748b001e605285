"""The logs of open predictions, in the transactions of the repository.

They have a table of their own, with a row per line, and move to the row of a prediction at its end.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.engine import Connection

from toccata.server.storage.tables import LOGS, PREDICTIONS


def read_logs(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    """Read the lines that open predictions have logged.

    Args:
        connection: The connection, in a transaction.
        ids: The ids of the predictions.

    Returns:
        The lines as one text, by id; without the predictions that have none.
    """
    if not ids:
        return {}
    query = select(LOGS).where(LOGS.c.prediction_id.in_(ids)).order_by(LOGS.c.number)
    lines: dict[str, list[str]] = {}
    for row in connection.execute(query):
        lines.setdefault(row.prediction_id, []).append(row.text)
    return {prediction_id: "".join(texts) for prediction_id, texts in lines.items()}


def take_logs(connection: Connection, prediction_id: str) -> str:
    """Return all logs of a prediction, to store in its row, and remove the rows of its lines."""
    query = select(PREDICTIONS.c.logs).where(PREDICTIONS.c.id == prediction_id)
    first = connection.scalar(query) or ""
    later = read_logs(connection, [prediction_id]).get(prediction_id, "")
    connection.execute(LOGS.delete().where(LOGS.c.prediction_id == prediction_id))
    return first + later
