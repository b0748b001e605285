"""Run the migrations on the connection of `schema_history.upgrade`; Alembic executes this file.

There is no engine here and no alembic.ini: the caller has the connection, with its transaction and
its lock, in `Config.attributes["connection"]`.
"""

from __future__ import annotations

from alembic import context

from toccata.server.storage.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
