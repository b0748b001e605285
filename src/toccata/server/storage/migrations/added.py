"""Add what a database may have already.

Before Alembic, a server added missing columns one by one when it started. One that was killed
meanwhile left a database between two revisions, so the revisions of that time add what is missing.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, inspect


def add_missing_columns(table: str, *columns: Column[object]) -> None:
    """Add those of `columns` that the table does not have."""
    known = {column["name"] for column in inspect(op.get_bind()).get_columns(table)}
    for column in columns:
        if column.name not in known:
            op.add_column(table, column)


def has_table(name: str) -> bool:
    """Tell whether the database has a table of this name."""
    return inspect(op.get_bind()).has_table(name)
