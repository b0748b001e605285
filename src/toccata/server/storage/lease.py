"""The lease that ensures one server per database, and fences every write.

The row `owner` names the server that holds the lease, and `owner_beat` changes with each renewal.
Another server takes over only after the owner released the lease, or after `owner_beat` was
unchanged for LEASE_S, by the clock of the server that waits. Every write checks in its own
transaction that its server still holds the lease, so that a server that was replaced, however late
it notices, changes nothing. The lease needs no open connection: a restart of the database, a
failover or a pooler in transaction mode does not end it.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field

from sqlalchemy import select, update
from sqlalchemy.engine import Connection, Engine

from toccata.errors import InputError, ToccataError
from toccata.server.storage.tables import OWN

OWNER, BEAT = "owner", "owner_beat"
RENEW_INTERVAL_S = 2.0
LEASE_S = 10.0
POLL_INTERVAL_S = 0.25


class SupersededError(ToccataError):
    """Another server has taken over the database; nothing was written."""

    http_status = 503

    def __init__(self) -> None:
        super().__init__("another server has taken over the database; this one is to be stopped")


@dataclass(frozen=True)
class Claim:
    """How a lease was taken.

    Attributes:
        crashed: Whether the server before this one did not release it.
    """

    crashed: bool


@dataclass(frozen=True)
class Lease:
    """The right of one server process to write.

    Args:
        identity: The id of the server's data folder. The instance lock ensures one process for
            each folder, so a new process of the same folder need not wait until the lease expires.
        instance: The id of this process.
    """

    identity: str
    instance: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def value(self) -> str:
        """The value of the row `owner` while this server holds the lease."""
        return f"{self.identity} {self.instance}"

    def claim(self, database: Engine, shown: str) -> Claim:
        """Take the lease, after the lease of a server that died has expired.

        Args:
            database: The database that holds the lease.
            shown: The URL of the database as messages may show it.

        Raises:
            InputError: Another server renews its lease.
            SQLAlchemyError: The database does not answer.
        """
        before = self.wait(database, shown, LEASE_S)
        self._take(database)
        return Claim(crashed=bool(before))

    def wait(self, database: Engine, shown: str, duration_s: float) -> str:
        """Watch for `duration_s` whether another server renews its lease, and change nothing.

        Args:
            database: The database that holds the lease.
            shown: The URL of the database as messages may show it.
            duration_s: How long to watch; less if the lease is free or of the same data folder.

        Returns:
            The value of the server that holds the lease and does not renew it; empty if none does.

        Raises:
            InputError: Another server renews its lease.
            SQLAlchemyError: The database does not answer.
        """
        before, beat = self._read(database)
        deadline_s = time.monotonic() + duration_s
        folder = f"{self.identity} "
        while before and not before.startswith(folder) and time.monotonic() < deadline_s:
            time.sleep(POLL_INTERVAL_S)
            before, now = self._read(database)
            if before and now != beat:
                why = "another server uses it; stop that one, or give another database"
                raise InputError("database", shown, why)
        return before

    def renew(self, database: Engine) -> None:
        """Extend the lease. Raises SupersededError, SQLAlchemyError."""
        with database.begin() as connection:
            self.check(connection)
            beat = secrets.token_hex(8)
            connection.execute(update(OWN).where(OWN.c.name == BEAT).values(value=beat))

    def release(self, database: Engine) -> None:
        """End the lease, so that the next server starts at once. Raises SQLAlchemyError."""
        mine = (OWN.c.name == OWNER) & (OWN.c.value == self.value)
        with database.begin() as connection:
            connection.execute(update(OWN).where(mine).values(value=""))

    def check(self, connection: Connection) -> None:
        """Prevent other servers from taking over until the transaction ends.

        Raises:
            SupersededError: Another server has taken over.
        """
        if connection.dialect.name == "sqlite":  # in SQLite a read begins no transaction
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        query = select(OWN.c.value).where(OWN.c.name == OWNER).with_for_update(read=True)
        if connection.scalar(query) != self.value:
            raise SupersededError

    def _read(self, database: Engine) -> tuple[str, str]:
        with database.begin() as connection:
            found = connection.execute(select(OWN).where(OWN.c.name.in_((OWNER, BEAT))))
            rows = {row.name: row.value for row in found}
        return rows.get(OWNER) or "", rows.get(BEAT) or ""

    def _take(self, database: Engine) -> None:
        values = {OWNER: self.value, BEAT: secrets.token_hex(8)}
        with database.begin() as connection:
            for name, value in values.items():
                row = OWN.c.name == name
                if not connection.execute(update(OWN).where(row).values(value=value)).rowcount:
                    connection.execute(OWN.insert().values(name=name, value=value))
