"""Create the first schema: predictions, files and the server's own values."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create all tables."""
    op.create_table(
        "predictions",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("started_at", sa.Float),
        sa.Column("completed_at", sa.Float),
        sa.Column("deadline", sa.Float),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("input", sa.JSON, nullable=False),
        sa.Column("seed", sa.String(20), nullable=False),
        sa.Column("key", sa.String(64), nullable=False, unique=True),
        sa.Column("base", sa.Text, nullable=False),
        sa.Column("output", sa.String(200)),
        sa.Column("error", sa.Text),
        sa.Column("logs", sa.Text, nullable=False),
        sa.Column("metrics", sa.JSON, nullable=False),
        sa.Column("webhook", sa.Text),
        sa.Column("webhook_events", sa.JSON, nullable=False),
        sa.Column("as_data", sa.Boolean, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("api", sa.String(16), nullable=False),
        sa.Column("output_prefix", sa.Text),
        sa.Column("delivered", sa.Text),
        sa.Column("data_removed", sa.Boolean, nullable=False),
    )
    op.create_index("by_creation", "predictions", ["created_at", "id"])
    op.create_index("by_status", "predictions", ["status", "created_at"])
    op.create_table(
        "files",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("content_type", sa.String(200), nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("md5", sa.String(32), nullable=False),
        sa.Column("metadata", sa.JSON, nullable=False),
    )
    op.create_table(
        "own", sa.Column("name", sa.String(64), primary_key=True), sa.Column("value", sa.Text)
    )


def downgrade() -> None:
    """Drop all tables, with everything in them."""
    for table in ("own", "files", "predictions"):
        op.drop_table(table)
