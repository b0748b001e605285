"""Connect to the database: SQLite, or PostgreSQL with the extra `postgres`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from toccata.errors import InputError
from toccata.extras import missing_extra
from toccata.server.storage import schema_history

# What connects if an address names no driver.
DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
CURES = {
    "sqlite": "check that its folder is there, and may be written to",
    "postgresql": "check that it runs, and its host, port, name, user and password",
}
TIMEOUT_S = 5  # with a machine that does not answer
# A machine that is gone without a word is noticed by its silence.
KEEP_ALIVE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
STATEMENT_S = 4  # for one statement, so that no call holds its thread for longer
POOL = 16
LISTS = 2  # further connections, for pages of lists alone
LIKE = "it must be like postgresql://USER:PASSWORD@HOST/NAME, @ and / in a password as %40 and %2F"


def connect(address: str) -> Engine:
    """Connect to a database, and bring its schema to the newest revision.

    Args:
        address: An SQLAlchemy URL; no message ever shows its password.

    Raises:
        InputError: The address is not valid, or the database cannot be used.
        MissingExtraError: The driver for PostgreSQL is not installed.
    """
    url = _parsed(address)
    try:
        database = _engine(url)
    except ModuleNotFoundError as error:
        raise missing_extra("the driver for PostgreSQL", "postgres") from error
    try:
        schema_history.upgrade(database, shown(url))
    except SQLAlchemyError as error:
        database.dispose()
        reason = f"it cannot be used ({_reason(url, error)}); {CURES[url.get_backend_name()]}"
        raise InputError("database", shown(url), reason) from None
    except InputError:
        database.dispose()
        raise
    return database


def _parsed(address: str) -> URL:
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise InputError("database", "…", LIKE) from None
    url = url.set(drivername=DRIVERS.get(url.drivername, url.drivername))
    if url.get_backend_name() not in CURES:
        raise InputError("database", "…", f"{LIKE}, or like sqlite:///PATH")
    if url.get_backend_name() == "sqlite" and not url.database:
        raise InputError("database", "…", "it must be kept in a file, like sqlite:///PATH")
    if url.get_backend_name() == "postgresql" and address.count("@") > (url.username is not None):
        raise InputError("database", "…", LIKE)  # a piece of the password became the host
    return url


def _engine(url: URL) -> Engine:
    # What a prediction holds is not for the log: parameters stay out of errors.
    options: dict[str, Any] = {"hide_parameters": True, "pool_timeout": STATEMENT_S}
    options |= {"pool_size": POOL + LISTS, "max_overflow": 0}
    if url.get_backend_name() == "postgresql":
        arguments = {
            "connect_timeout": TIMEOUT_S,
            "tcp_user_timeout": 1000 * TIMEOUT_S,
            "client_encoding": "utf8",
            **KEEP_ALIVE,
        }
        # It may have been restarted since the last call.
        database = create_engine(url, pool_pre_ping=True, connect_args=arguments, **options)
        event.listen(database, "connect", _limit_statements)
        return database
    database = create_engine(url, **options)
    event.listen(database, "connect", _use_wal)
    return database


def _limit_statements(connection: Any, _: Any) -> None:
    """Not as a parameter of the connection, which poolers refuse."""
    with connection.cursor() as cursor:
        for setting in ("statement_timeout", "lock_timeout"):
            cursor.execute(f"SET {setting} = '{STATEMENT_S}s'")
    connection.commit()


def _use_wal(connection: Any, _: Any) -> None:
    """Readers and the writer do not wait for each other; a commit survives a killed process."""
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", f"busy_timeout={1000 * STATEMENT_S}"):
        connection.execute(f"PRAGMA {pragma}")


def shown(url: URL) -> str:
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
