"""The lease that keeps two servers from one database, and fences every write.

The row `owner` names the server whose database it is, and `owner_beat` counts its renewals. Another
server takes over only after the owner let go, or after the count stood still for LEASE_S, measured
by the clock of the one that waits. Every write checks in its own transaction that the owner is
still the writer, so that a server that was replaced, however late it notices, changes nothing.
No connection has to live for the lease to hold: a restart of the database, a failover or a pooler
in transaction mode does not end it.
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
RENEW_S = 2.0
LEASE_S = 10.0
POLL_S = 0.25


class SupersededError(ToccataError):
    """Another server has taken over the database; nothing was written."""

    http_status = 503

    def __init__(self) -> None:
        super().__init__("another server has taken over the database; this one is to be stopped")


@dataclass(frozen=True)
class Claim:
    """How a lease was taken. crashed: the server before this one did not let go of it."""

    crashed: bool


@dataclass(frozen=True)
class Lease:
    """The right of one server process to write.

    Args:
        identity: Names the data folder of the server. A lock on that folder lets one process live
            at a time, so a new process of the same folder need not wait for the lease to run out.
        instance: Names this process.
    """

    identity: str
    instance: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def value(self) -> str:
        return f"{self.identity} {self.instance}"

    def claim(self, database: Engine, shown: str) -> Claim:
        """Take the database over, waiting until a dead server's lease has run out.

        Args:
            database: Where the lease is kept.
            shown: The address of the database as messages may show it.

        Raises:
            InputError: Another server renews its lease.
        """
        before = self.wait(database, shown, LEASE_S)
        self._take(database)
        return Claim(crashed=bool(before))

    def wait(self, database: Engine, shown: str, most_s: float) -> str:
        """Look for `most_s` whether another server renews its lease; nothing is changed.

        Returns:
            The value of who has the lease and does not renew it; empty if nobody has it.

        Raises:
            InputError: Another server renews its lease.
        """
        before, beat = self._read(database)
        ends = time.monotonic() + most_s
        while before and not before.startswith(f"{self.identity} ") and time.monotonic() < ends:
            time.sleep(POLL_S)
            before, now = self._read(database)
            if before and now != beat:
                why = "another server uses it; stop that one, or give another database"
                raise InputError("database", shown, why)
        return before

    def renew(self, database: Engine) -> None:
        """Say that this server lives. Raises SupersededError, SQLAlchemyError."""
        with database.begin() as connection:
            self.check(connection)
            beat = secrets.token_hex(8)
            connection.execute(update(OWN).where(OWN.c.name == BEAT).values(value=beat))

    def release(self, database: Engine) -> None:
        """Let go, so that the next server starts at once. Raises SQLAlchemyError."""
        mine = (OWN.c.name == OWNER) & (OWN.c.value == self.value)
        with database.begin() as connection:
            connection.execute(update(OWN).where(mine).values(value=""))

    def check(self, connection: Connection) -> None:
        """Keep other servers from taking over until the transaction ends.

        Raises:
            SupersededError: One has already.
        """
        if connection.dialect.name == "sqlite":  # where reading begins no transaction
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
