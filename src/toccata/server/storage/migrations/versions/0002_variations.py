"""Keep several outputs of a prediction, and which webhooks are still to be delivered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from toccata.server.storage.migrations.added import add_missing_columns

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Upgrade from revision 0001."""
    add_missing_columns(
        "predictions", sa.Column("more_outputs", sa.JSON), sa.Column("owed", sa.Boolean)
    )


def downgrade() -> None:
    """Return to revision 0001."""
    op.drop_column("predictions", "owed")
    op.drop_column("predictions", "more_outputs")
