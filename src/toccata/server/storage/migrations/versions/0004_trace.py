"""Keep the trace headers of a request, which its webhooks carry."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from toccata.server.storage.migrations.added import add_missing_columns

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Upgrade from revision 0003."""
    add_missing_columns("predictions", sa.Column("trace", sa.JSON))


def downgrade() -> None:
    """Return to revision 0003."""
    op.drop_column("predictions", "trace")
