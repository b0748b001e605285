"""Rename the column of predictions whose last webhook is not delivered yet."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Upgrade from revision 0004."""
    op.alter_column("predictions", "owed", new_column_name="webhook_pending")


def downgrade() -> None:
    """Return to revision 0004."""
    op.alter_column("predictions", "webhook_pending", new_column_name="owed")
