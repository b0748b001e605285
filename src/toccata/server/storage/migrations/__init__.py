"""The Alembic migrations of the database, from the first schema on."""
