"""Databases as earlier versions of the server created and filled them, before Alembic.

The tables are written out here once more, not taken from the migrations that they test.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
)
from sqlalchemy.engine import Engine

REVISIONS = ("0001", "0002", "0003", "0004")
SECRET = "whsec_c2VjcmV0"

_PREDICTIONS: dict[str, list[tuple[str, Any, dict[str, Any]]]] = {
    "0001": [
        ("id", String(64), {"primary_key": True}),
        ("created_at", Float, {"nullable": False}),
        ("started_at", Float, {}),
        ("completed_at", Float, {}),
        ("deadline", Float, {}),
        ("status", String(16), {"nullable": False}),
        ("model", String(200), {"nullable": False}),
        ("version", String(64), {"nullable": False}),
        ("input", JSON, {"nullable": False}),
        ("seed", String(20), {"nullable": False}),
        ("key", String(64), {"nullable": False, "unique": True}),
        ("base", Text, {"nullable": False}),
        ("output", String(200), {}),
        ("error", Text, {}),
        ("logs", Text, {"nullable": False}),
        ("metrics", JSON, {"nullable": False}),
        ("webhook", Text, {}),
        ("webhook_events", JSON, {"nullable": False}),
        ("as_data", Boolean, {"nullable": False}),
        ("attempts", Integer, {"nullable": False}),
        ("api", String(16), {"nullable": False}),
        ("output_prefix", Text, {}),
        ("delivered", Text, {}),
        ("data_removed", Boolean, {"nullable": False}),
    ],
    "0002": [("more_outputs", JSON, {}), ("owed", Boolean, {})],
    "0003": [
        ("owner", String(64), {}),
        ("fingerprint", String(64), {}),
        ("running_at", Float, {}),
        ("quarantined", Boolean, {}),
    ],
    "0004": [("trace", JSON, {})],
}

# A value for every column that a revision added.
ADDED: dict[str, dict[str, Any]] = {
    "0001": {},
    "0002": {"more_outputs": ["outputs/b"], "owed": True},
    "0003": {"owner": "a" * 64, "fingerprint": "b" * 64, "running_at": 2.5, "quarantined": False},
    "0004": {"trace": {"traceparent": "00-1-2-3"}},
}
_ROW: dict[str, Any] = {
    "status": "succeeded", "model": "meta/musicgen", "version": "f" * 64, "seed": str(2**63 - 1),
    "input": {"prompt": "世界", "duration": 8}, "base": "http://127.0.0.1:5000",
    "started_at": 1e9 + 1.5, "completed_at": 1e9 + 2.25, "output": "outputs/a", "logs": "100%\n",
    "metrics": {"predict_time": 0.75}, "webhook": "https://there", "webhook_events": ["completed"],
    "as_data": True, "attempts": 1, "api": "replicate", "data_removed": False,
}  # fmt: skip
_FILE = {
    "id": "file", "created_at": 1e9, "name": "a.wav", "content_type": "audio/wav", "size": 4,
    "sha256": "0" * 64, "md5": "0" * 32, "metadata": {"take": 1},
}  # fmt: skip


def create_old_database(url: str, revision: str) -> dict[str, Any]:
    """Create the tables of a revision, with two predictions, a file and a webhook secret.

    Returns:
        The columns of the ended prediction; its id is "one", that of the open one "two".
    """
    known = [name for name in REVISIONS if name <= revision]
    tables = _tables(known)
    engine = engine_of(url)
    tables.create_all(engine)
    row = {"id": "one", "created_at": 1e9 + 0.125, "key": "key-one", **_ROW}
    for name in known:
        row |= ADDED[name]
    open_row = {**row, "id": "two", "created_at": 1e9 + 1, "key": "key-two", "output": None}
    open_row |= {"status": "starting", "completed_at": None}
    with engine.begin() as connection:
        connection.execute(tables.tables["predictions"].insert(), [row, open_row])
        connection.execute(tables.tables["files"].insert(), _FILE)
        connection.execute(
            tables.tables["own"].insert(), {"name": "webhook_secret", "value": SECRET}
        )
        if "prediction_logs" in tables.tables:
            lines = {"prediction_id": "two", "text": "10%\n"}
            connection.execute(tables.tables["prediction_logs"].insert(), lines)
    engine.dispose()
    return row


def engine_of(url: str) -> Engine:
    """A plain engine, without anything of the server's."""
    return create_engine(url.replace("postgresql:", "postgresql+psycopg:"))


def _tables(revisions: list[str]) -> MetaData:
    tables = MetaData()
    columns = [
        Column(name, kind, **options)
        for revision in revisions
        for name, kind, options in _PREDICTIONS[revision]
    ]
    Table(
        "predictions",
        tables,
        *columns,
        Index("by_creation", "created_at", "id"),
        Index("by_status", "status", "created_at"),
    )
    Table(
        "files",
        tables,
        Column("id", String(64), primary_key=True),
        Column("created_at", Float, nullable=False),
        Column("expires_at", Float),
        Column("name", Text, nullable=False),
        Column("content_type", String(200), nullable=False),
        Column("size", Integer, nullable=False),
        Column("sha256", String(64), nullable=False),
        Column("md5", String(32), nullable=False),
        Column("metadata", JSON, nullable=False),
    )
    Table("own", tables, Column("name", String(64), primary_key=True), Column("value", Text))
    if "0003" in revisions:
        Table(
            "prediction_logs",
            tables,
            Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
            Column("prediction_id", String(64), nullable=False),
            Column("text", Text, nullable=False),
            Index("logs_by_prediction", "prediction_id", "number"),
        )
    return tables
