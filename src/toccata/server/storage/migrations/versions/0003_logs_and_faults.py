"""Keep owner, fingerprint and faults of a prediction, and the logs of open ones in rows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from toccata.server.storage.migrations.added import add_missing_columns, has_table

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Upgrade from revision 0002."""
    add_missing_columns(
        "predictions",
        sa.Column("owner", sa.String(64)),
        sa.Column("fingerprint", sa.String(64)),
        sa.Column("running_at", sa.Float),
        sa.Column("quarantined", sa.Boolean),
    )
    if not has_table("prediction_logs"):
        op.create_table(
            "prediction_logs",
            sa.Column(
                "number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True
            ),
            sa.Column("prediction_id", sa.String(64), nullable=False),
            sa.Column("text", sa.Text, nullable=False),
        )
        op.create_index("logs_by_prediction", "prediction_logs", ["prediction_id", "number"])


def downgrade() -> None:
    """Return to revision 0002."""
    op.drop_table("prediction_logs")
    for column in ("quarantined", "running_at", "fingerprint", "owner"):
        op.drop_column("predictions", column)
