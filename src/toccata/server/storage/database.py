"""Connect to the database: SQLite, or PostgreSQL with the extra `postgres`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from toccata.errors import InputError
from toccata.extras import missing_extra
from toccata.server.storage import schema_history

# The drivers of URLs that name none.
DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
HINTS = {
    "sqlite": "check that its folder is there, and may be written to",
    "postgresql": "check that it runs, and its host, port, name, user and password",
}
CONNECT_TIMEOUT_S = 5
# They detect a host that disappeared without closing its connections.
TCP_KEEPALIVE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
STATEMENT_TIMEOUT_S = 4  # no call blocks its thread for longer
POOL_SIZE = 16  # connections
LIST_POOL_SIZE = 2  # further connections, for pages of lists only
URL_FORM = (
    "it must be like postgresql://USER:PASSWORD@HOST/NAME, @ and / in a password as %40 and %2F"
)


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
        reason = f"it cannot be used ({_reason(url, error)}); {HINTS[url.get_backend_name()]}"
        raise InputError("database", shown(url), reason) from None
    except InputError:
        database.dispose()
        raise
    return database


def _parsed(address: str) -> URL:
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise InputError("database", "…", URL_FORM) from None
    url = url.set(drivername=DRIVERS.get(url.drivername, url.drivername))
    if url.get_backend_name() not in HINTS:
        raise InputError("database", "…", f"{URL_FORM}, or like sqlite:///PATH")
    if url.get_backend_name() == "sqlite" and not url.database:
        raise InputError("database", "…", "it must be kept in a file, like sqlite:///PATH")
    if url.get_backend_name() == "postgresql" and address.count("@") > (url.username is not None):
        raise InputError("database", "…", URL_FORM)  # a part of the password was parsed as the host
    return url


def _engine(url: URL) -> Engine:
    # Parameters hold the contents of predictions, which must not reach the log in errors.
    options: dict[str, Any] = {"hide_parameters": True, "pool_timeout": STATEMENT_TIMEOUT_S}
    options |= {"pool_size": POOL_SIZE + LIST_POOL_SIZE, "max_overflow": 0}
    if url.get_backend_name() == "postgresql":
        arguments = {
            "connect_timeout": CONNECT_TIMEOUT_S,
            "tcp_user_timeout": 1000 * CONNECT_TIMEOUT_S,
            "client_encoding": "utf8",
            **TCP_KEEPALIVE,
        }
        # The database may have been restarted since the last call.
        database = create_engine(url, pool_pre_ping=True, connect_args=arguments, **options)
        event.listen(database, "connect", _limit_statements)
        return database
    database = create_engine(url, **options)
    event.listen(database, "connect", _use_wal)
    return database


def _limit_statements(connection: Any, _: Any) -> None:
    """Set the timeouts of a new connection; poolers refuse them as connection parameters."""
    with connection.cursor() as cursor:
        for setting in ("statement_timeout", "lock_timeout"):
            cursor.execute(f"SET {setting} = '{STATEMENT_TIMEOUT_S}s'")
    connection.commit()


def _use_wal(connection: Any, _: Any) -> None:
    """Use a write-ahead log, so that readers and the writer do not wait for each other."""
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        f"busy_timeout={1000 * STATEMENT_TIMEOUT_S}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def shown(url: URL) -> str:
    """Write a URL without user, password and options, as messages may show it."""
    place = (url.host, url.port, url.database)
    return URL.create(url.drivername, None, None, *place).render_as_string()


def _reason(url: URL, error: SQLAlchemyError) -> str:
    """Return the first line of the driver's message, without the secrets of the URL."""
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    reason = lines[0] if lines else type(error).__name__
    for secret in (url.password, *map(str, url.query.values())):
        reason = reason.replace(str(secret), "***") if secret else reason
    return reason
