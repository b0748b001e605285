"""${message}."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "${up_revision}"
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Upgrade from revision ${down_revision}."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Return to revision ${down_revision}."""
    ${downgrades if downgrades else "pass"}
