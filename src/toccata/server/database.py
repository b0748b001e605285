"""The database that the server is told to use: SQLite, or PostgreSQL with the extra `postgres`."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    MetaData,
    create_engine,
    event,
    func,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from toccata.errors import InputError
from toccata.extras import missing_extra

# What connects if an address names no driver.
DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
CURES = {
    "sqlite": "check that its folder is there, and may be written to",
    "postgresql": "check that it runs, and its host, port, name, user and password",
}
PATIENCE_S = 5  # with a machine that does not answer
# A killed server's connection, and the claim with it, ends a moment after the server.
CLAIM_S = 3.0
CLAIM = int.from_bytes(b"toccata")
LIKE = "it must be like postgresql://USER:PASSWORD@HOST/NAME, @ and / in a password as %40 and %2F"


def connect(address: str, tables: MetaData) -> Engine:
    """The database at an SQLAlchemy URL, with `tables` in it.

    Raises InputError, which never shows the password, and MissingExtraError.
    """
    url = _parsed(address)
    try:
        database = _engine(url)
        tables.create_all(database)
        _add_columns(database, tables)
    except ModuleNotFoundError as error:
        raise missing_extra("the driver for PostgreSQL", "postgres") from error
    except SQLAlchemyError as error:
        reason = f"it cannot be used ({_reason(url, error)}); {CURES[url.get_backend_name()]}"
        raise InputError("database", _shown(url), reason) from None
    return database


def claim(database: Engine) -> Connection | None:
    """Keeps other servers off it as long as this connection is open. Raises InputError.

    None: it is a file, and who has the folder that it is in has it.
    """
    if database.dialect.name != "postgresql":
        return None
    connection = database.connect().execution_options(isolation_level="AUTOCOMMIT")
    connection.detach()
    ends = time.monotonic() + CLAIM_S
    while not connection.scalar(select(func.pg_try_advisory_lock(CLAIM))):
        if time.monotonic() > ends:
            connection.close()
            why = "another server uses it; stop that one, or give another database"
            raise InputError("database", _shown(database.url), why)
        time.sleep(0.1)
    return connection


def _parsed(address: str) -> URL:
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise InputError("database", "…", LIKE) from None
    url = url.set(drivername=DRIVERS.get(url.drivername, url.drivername))
    if url.get_backend_name() not in CURES:
        raise InputError("database", "…", f"{LIKE}, or like sqlite:///PATH")
    if url.get_backend_name() == "postgresql" and address.count("@") > (url.username is not None):
        raise InputError("database", "…", LIKE)  # a piece of the password became the host
    return url


def _engine(url: URL) -> Engine:
    # What a prediction holds is not for the log: parameters stay out of errors.
    options: dict[str, Any] = {"hide_parameters": True}
    if url.get_backend_name() == "postgresql":
        arguments = {
            "connect_timeout": PATIENCE_S,
            "tcp_user_timeout": 1000 * PATIENCE_S,
            "client_encoding": "utf8",
        }
        # It may have been restarted since the last call.
        return create_engine(url, pool_pre_ping=True, connect_args=arguments, **options)
    database = create_engine(url, **options)
    event.listen(database, "connect", _use_wal)
    return database


def _add_columns(database: Engine, tables: MetaData) -> None:
    """A database of an earlier version gets the columns that it lacks: all of those may be null."""
    known = inspect(database)
    for table in tables.sorted_tables:
        there = {column["name"] for column in known.get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                kind = column.type.compile(database.dialect)
                with database.begin() as connection:
                    connection.execute(
                        text(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {kind}")
                    )


def _use_wal(connection: Any, _: Any) -> None:
    """Readers and the writer do not wait for each other; a commit survives a killed process."""
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {pragma}")


def _shown(url: URL) -> str:
    """Without user, password and options."""
    place = (url.host, url.port, url.database)
    return URL.create(url.drivername, None, None, *place).render_as_string()


def _reason(url: URL, error: SQLAlchemyError) -> str:
    """The first line of what the driver says, without anything secret of the URL."""
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    reason = lines[0] if lines else type(error).__name__
    for secret in (url.password, *map(str, url.query.values())):
        reason = reason.replace(str(secret), "***") if secret else reason
    return reason
