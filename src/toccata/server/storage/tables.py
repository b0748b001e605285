"""The tables of the database in its newest schema, which `migrations` creates."""

from __future__ import annotations

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
)

METADATA = MetaData()
PREDICTIONS = Table(
    "predictions",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("created_at", Float, nullable=False),
    Column("started_at", Float),
    Column("completed_at", Float),
    Column("deadline", Float),
    Column("status", String(16), nullable=False),
    Column("model", String(200), nullable=False),
    Column("version", String(64), nullable=False),
    Column("input", JSON, nullable=False),
    Column("seed", String(20), nullable=False),
    Column("key", String(64), nullable=False, unique=True),
    Column("base", Text, nullable=False),
    Column("output", String(200)),
    Column("more_outputs", JSON),
    Column("error", Text),
    Column("logs", Text, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("webhook", Text),
    Column("webhook_events", JSON, nullable=False),
    Column("as_data", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("api", String(16), nullable=False),
    Column("output_prefix", Text),
    Column("delivered", Text),
    Column("data_removed", Boolean, nullable=False),
    Column("webhook_pending", Boolean),
    Column("owner", String(64)),
    Column("fingerprint", String(64)),
    Column("running_at", Float),
    Column("quarantined", Boolean),
    Column("trace", JSON),
    Index("by_creation", "created_at", "id"),
    Index("by_status", "status", "created_at"),
)
# The logs of open predictions, a row per line: a row of PREDICTIONS holds the input too, and would
# be rewritten for every line. The logs of a prediction move to its row when it ends.
LOGS = Table(
    "prediction_logs",
    METADATA,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("prediction_id", String(64), nullable=False),
    Column("text", Text, nullable=False),
    Index("logs_by_prediction", "prediction_id", "number"),
)
FILES = Table(
    "files",
    METADATA,
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
# Values of the server, such as its webhook secret and its lease.
OWN = Table("own", METADATA, Column("name", String(64), primary_key=True), Column("value", Text))
