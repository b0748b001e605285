"""The repository of predictions, uploads and settings of the server.

SQLite (WAL) or PostgreSQL through SQLAlchemy. A prediction's row is written before its creation is
answered, and a terminal status never changes again.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import and_, select
from sqlalchemy.engine import Connection, RowMapping
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from toccata.errors import ToccataError
from toccata.server.storage import database
from toccata.server.storage.lease import RENEW_INTERVAL_S, Claim, Lease
from toccata.server.storage.prediction_logs import read_logs, take_logs
from toccata.server.storage.tables import FILES, LOGS, OWN, PREDICTIONS

STARTING, PROCESSING = "starting", "processing"
SUCCEEDED, FAILED, CANCELED, ABORTED = "succeeded", "failed", "canceled", "aborted"
OPEN = (STARTING, PROCESSING)
REPLICATE, COG = "replicate", "cog"
# Prefix of the names of rows of OWN that have the owner and the time of an upload.
UPLOAD_PREFIX = "upload:"
DAMAGED = ("malformed", "not a database")  # in messages of SQLite


def new_id() -> str:
    """Make a random id of 26 letters and digits, like those of the hosted service."""
    return base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()


def new_key() -> str:
    """Make a random key for URLs, which give access without a token."""
    return secrets.token_urlsafe(32)


@dataclass(frozen=True)
class Prediction:
    """A prediction, as its row has it. Times are seconds since 1970.

    Attributes:
        status: STARTING, PROCESSING, or one of the terminal ones.
        model: The model, as owner/name.
        input: The requested inputs, validated.
        seed: The seed, fixed at its creation, so that it can be generated again.
        key: The unguessable part of its URLs.
        base: The base URL at which its client reaches this server.
        deadline: When it is aborted, if it has not ended.
        output: The name of its output file in the storage.
        more_outputs: The names of the files of its further variations.
        logs: Its logs, which are in LOGS while it is open.
        webhook: The URL of its webhook.
        as_data: Whether the outputs are returned as data URIs.
        attempts: How many processes died of it.
        api: The API that created it, REPLICATE or COG, which defines the payload of its webhooks.
        output_prefix: The URL prefix that its output is uploaded to.
        delivered: The URL that its output was uploaded to.
        data_removed: Whether inputs, outputs and logs were removed by the retention.
        webhook_pending: Whether the webhook of its end is not delivered yet.
        owner: A hash of the token or of the IP address of its client, for fairness.
        fingerprint: The request fingerprint, by which a retry is recognised.
        running_at: When the worker began with it; None: it does not run.
        quarantined: Whether it runs alone, because a process died while it and others ran.
        trace: Headers of W3C Trace Context that its webhooks get.
    """

    id: str
    created_at: float
    status: str
    model: str
    version: str
    input: Mapping[str, Any]
    seed: int
    key: str
    base: str
    started_at: float | None = None
    completed_at: float | None = None
    deadline: float | None = None
    output: str | None = None
    more_outputs: Sequence[str] | None = None
    error: str | None = None
    logs: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    webhook: str | None = None
    webhook_events: Sequence[str] = ()
    as_data: bool = False
    attempts: int = 0
    api: str = REPLICATE
    output_prefix: str | None = None
    delivered: str | None = None
    data_removed: bool = False
    webhook_pending: bool | None = None
    owner: str | None = None
    fingerprint: str | None = None
    running_at: float | None = None
    quarantined: bool | None = None
    trace: Mapping[str, str] | None = None

    @property
    def ended(self) -> bool:
        """Whether it has a terminal status."""
        return self.status not in OPEN

    @property
    def count(self) -> int:
        """The number of variations."""
        return int(self.input.get("count", 1))

    @property
    def outputs(self) -> Sequence[str]:
        """The names of all its output files."""
        return () if self.output is None else (self.output, *(self.more_outputs or ()))

    @property
    def has_data(self) -> bool:
        """Whether it has an output that is returned as data URIs."""
        return self.output is not None and self.as_data and self.delivered is None


@dataclass(frozen=True)
class StoredFile:
    """An upload, as its row has it; its bytes are in the storage under its id."""

    id: str
    created_at: float
    expires_at: float | None
    name: str
    content_type: str
    size: int
    sha256: str
    md5: str
    metadata: Mapping[str, Any]


class RepositoryError(ToccataError):
    """The database does not answer, or fails."""

    http_status = 503


class AlreadyExistsError(RepositoryError):
    """A row with this id exists; nothing was written."""

    http_status = 409


class Repository:
    """The rows of predictions and uploads, and values of the server.

    Calls block for a short time, from any thread; the event loop uses AsyncRepository. Each is one
    transaction, and raises RepositoryError if the database does not answer.

    Args:
        url: The URL of the database.

    Raises:
        InputError: The database cannot be used.
        MissingExtraError: Its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self._database = database.connect(url)
        self._lease: Lease | None = None

    def claim(self, identity: str) -> Claim:
        """Take the lease of the database; `renew` must be called periodically afterwards.

        Args:
            identity: The id of the data folder of this server; see Lease.

        Raises:
            InputError: Another server uses it.
        """
        lease = Lease(identity)
        with _database_errors():
            claim = lease.claim(self._database, database.shown(self._database.url))
        self._lease = lease
        return claim

    def check_claim(self, identity: str) -> None:
        """Check that no other server uses the database, and change nothing.

        Raises:
            InputError: Another server uses it.
        """
        with _database_errors():
            shown = database.shown(self._database.url)
            Lease(identity).wait(self._database, shown, 1.5 * RENEW_INTERVAL_S)

    def renew(self) -> None:
        """Renew the lease. Raises SupersededError if another server has it."""
        if self._lease is not None:
            with _database_errors():
                self._lease.renew(self._database)

    def release(self) -> None:
        """Release the lease, so that the next server starts at once."""
        if self._lease is not None:
            with _database_errors():
                self._lease.release(self._database)
            self._lease = None

    def close(self) -> None:
        """Close the connections."""
        self._database.dispose()

    def add(self, prediction: Prediction) -> None:
        """Add a prediction. Raises AlreadyExistsError if its id is used."""
        try:
            with self._writing() as connection:
                connection.execute(PREDICTIONS.insert().values(_row(prediction)))
        except RepositoryError as error:
            if isinstance(error.__cause__, IntegrityError):
                raise AlreadyExistsError(f"there is a prediction {prediction.id}") from error
            raise

    def get(self, prediction_id: str) -> Prediction | None:
        """Find a prediction by its id."""
        return self._one(PREDICTIONS.c.id == _text(prediction_id))

    def by_key(self, key: str) -> Prediction | None:
        """Find a prediction by the key in its URLs."""
        return self._one(PREDICTIONS.c.key == _text(key))

    def by_fingerprint(self, fingerprint: str, created_after: float) -> Prediction | None:
        """Find the newest prediction of a request fingerprint that was not aborted."""
        table = PREDICTIONS.c
        where = and_(
            table.created_at > created_after,
            table.fingerprint == fingerprint,
            table.status != ABORTED,
        )
        found = self._many(select(PREDICTIONS).where(where).order_by(table.created_at.desc()))
        return found[0] if found else None

    def change(self, prediction_id: str, **values: Any) -> Prediction | None:
        """Set fields of an open prediction, and return its row; None: none is open under the id."""
        where = and_(PREDICTIONS.c.id == prediction_id, PREDICTIONS.c.status.in_(OPEN))
        with self._writing() as connection:
            if values.get("status", STARTING) not in OPEN:
                values["logs"] = take_logs(connection, prediction_id)
            done = connection.execute(PREDICTIONS.update().where(where).values(_clean(values)))
            return _get(connection, prediction_id) if done.rowcount else None

    def disown(self, prediction_id: str) -> None:
        """Remove a prediction that was not started, if it exists."""
        row = PREDICTIONS.c
        statement = PREDICTIONS.delete().where(row.id == prediction_id, row.status == STARTING)
        with self._writing() as connection:
            connection.execute(statement)

    def add_logs(self, prediction_id: str, text: str) -> bool:
        """Add text to the logs of an open prediction; return False if it is not open."""
        table = PREDICTIONS.c
        where = and_(table.id == prediction_id, table.status.in_(OPEN))
        open_one = select(table.id).where(where).with_for_update(read=True)
        with self._writing() as connection:
            if connection.scalar(open_one) is None:
                return False
            connection.execute(LOGS.insert().values(prediction_id=prediction_id, text=_text(text)))
            return True

    def ended_before(self, before: float) -> list[Prediction]:
        """List the predictions that ended before a time and whose data is not removed."""
        table = PREDICTIONS.c
        ended = and_(table.completed_at < before, table.data_removed.is_(False))
        return self._many(select(PREDICTIONS).where(ended))

    def forget(self, prediction_id: str) -> None:
        """Remove the inputs, outputs and logs of a prediction that has ended."""
        wiped: dict[str, Any] = {"input": {}, "logs": "", "data_removed": True}
        wiped |= {"output": None, "more_outputs": None, "output_prefix": None, "delivered": None}
        with self._writing() as connection:
            connection.execute(
                PREDICTIONS.update().where(PREDICTIONS.c.id == prediction_id).values(wiped)
            )

    def undelivered(self) -> list[Prediction]:
        """List the ended predictions whose last webhook is pending, oldest first."""
        row = PREDICTIONS.c
        pending = and_(row.webhook_pending.is_(True), row.status.not_in(OPEN))
        return self._many(select(PREDICTIONS).where(pending).order_by(row.completed_at))

    def mark_delivered(self, prediction_id: str) -> None:
        """Record that the last webhook of a prediction was delivered or given up."""
        row = PREDICTIONS.c.id == prediction_id
        with self._writing() as connection:
            connection.execute(PREDICTIONS.update().where(row).values(webhook_pending=False))

    def open_ones(self) -> list[Prediction]:
        """List the predictions that have not ended, oldest first."""
        query = select(PREDICTIONS).where(PREDICTIONS.c.status.in_(OPEN))
        return self._many(query.order_by(PREDICTIONS.c.created_at, PREDICTIONS.c.id))

    def page(
        self,
        limit: int,
        before: tuple[float, str] | None = None,
        created_after: float | None = None,
        created_before: float | None = None,
    ) -> list[Prediction]:
        """List predictions, newest first, that follow one with (created_at, id) `before`."""
        table = PREDICTIONS.c
        query = select(PREDICTIONS)
        if before is not None:
            at, last = before
            older = table.created_at < at
            query = query.where(older | and_(table.created_at == at, table.id < _text(last)))
        if created_after is not None:
            query = query.where(table.created_at >= created_after)
        if created_before is not None:
            query = query.where(table.created_at < created_before)
        return self._many(query.order_by(table.created_at.desc(), table.id.desc()).limit(limit))

    def add_file(self, file: StoredFile) -> None:
        """Add an upload."""
        with self._writing() as connection:
            connection.execute(FILES.insert().values(_clean(vars(file))))

    def file(self, file_id: str) -> StoredFile | None:
        """Find an upload by its id."""
        with self._transaction() as connection:
            found = connection.execute(select(FILES).where(FILES.c.id == _text(file_id))).mappings()
            row = found.first()
        return None if row is None else StoredFile(**row)

    def files(self, limit: int, before: tuple[float, str] | None = None) -> list[StoredFile]:
        """List uploads, newest first, that follow one with (created_at, id) `before`."""
        table = FILES.c
        query = select(FILES)
        if before is not None:
            at, last = before
            older = table.created_at < at
            query = query.where(older | and_(table.created_at == at, table.id > _text(last)))
        query = query.order_by(table.created_at.desc(), table.id).limit(limit)
        with self._transaction() as connection:
            return [StoredFile(**row) for row in connection.execute(query).mappings()]

    def note_upload(self, file_id: str, owner: str, now: float) -> None:
        """Record the owner of an upload before its bytes are stored; `remove_file` removes it.

        Args:
            file_id: The id of the upload.
            owner: The client whose quota it uses.
            now: The time, in seconds since 1970.
        """
        row = {"name": UPLOAD_PREFIX + file_id, "value": json.dumps([now, owner])}
        with self._writing() as connection:
            connection.execute(OWN.insert().values(row))

    def upload_owners(self) -> dict[str, str]:
        """Return the owners of uploads, by upload id, as far as they are known."""
        with self._transaction() as connection:
            return {file_id: owner for file_id, _, owner in _upload_owners(connection)}

    def lost_uploads(self, noted_before: float) -> list[str]:
        """List the ids of uploads that were begun before a time and that have no row."""
        with self._transaction() as connection:
            known = set(connection.execute(select(FILES.c.id)).scalars())
            begun = list(_upload_owners(connection))
        return [one for one, noted_at, _ in begun if one not in known and noted_at < noted_before]

    def remove_file(self, file_id: str) -> bool:
        """Remove the row of an upload; return False if there is none."""
        statement = FILES.delete().where(FILES.c.id == _text(file_id))
        with self._writing() as connection:
            connection.execute(OWN.delete().where(OWN.c.name == UPLOAD_PREFIX + _text(file_id)))
            return bool(connection.execute(statement).rowcount)

    def expired_files(self, now: float) -> list[str]:
        """List the ids of expired uploads that no open prediction uses."""
        query = select(FILES.c.id).where(FILES.c.expires_at < now)
        with self._transaction() as connection:
            expired = list(connection.execute(query).scalars())
        used = self.audio_in_use() if expired else ""
        return [file_id for file_id in expired if file_id not in used]

    def audio_in_use(self) -> str:
        """Return the URLs of the input audio of all open predictions, as one text."""
        inputs = select(PREDICTIONS.c.input).where(PREDICTIONS.c.status.in_(OPEN))
        with self._transaction() as connection:
            named = list(connection.execute(inputs).scalars())
        return " ".join(str(one.get("input_audio") or "") for one in named)

    def own(self, name: str, make: Callable[[], str]) -> str:
        """Return a value of the server, such as its webhook secret, made at its first use."""
        value = self._own(name)
        if value is None:
            try:
                with self._writing() as connection:
                    connection.execute(OWN.insert().values(name=name, value=make()))
            except RepositoryError as error:
                if not isinstance(error.__cause__, IntegrityError):  # others may be faster
                    raise
            value = self._own(name)
        return str(value)

    def _own(self, name: str) -> str | None:
        with self._transaction() as connection:
            return connection.scalar(select(OWN.c.value).where(OWN.c.name == name))

    def _one(self, where: Any) -> Prediction | None:
        found = self._many(select(PREDICTIONS).where(where))
        return found[0] if found else None

    def _many(self, query: Any) -> list[Prediction]:
        with self._transaction() as connection:
            found = [_prediction(row) for row in connection.execute(query).mappings()]
            later = read_logs(connection, [one.id for one in found if not one.ended])
        return [replace(one, logs=one.logs + later.get(one.id, "")) for one in found]

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Run the block in a transaction. Raises RepositoryError."""
        with _database_errors(), self._database.begin() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Run the block in a transaction that holds the lease. Raises SupersededError."""
        with self._transaction() as connection:
            if self._lease is not None:
                self._lease.check(connection)
            yield connection


def iso(seconds: float) -> str:
    """Format seconds since 1970 as the API does: ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")[:-6] + "Z"


@contextmanager
def _database_errors() -> Iterator[None]:
    """Turn an error of the database in the block into RepositoryError."""
    try:
        yield
    except SQLAlchemyError as error:
        if any(word in str(error) for word in DAMAGED):
            raise RepositoryError("the database is damaged; restore it from a backup") from error
        raise RepositoryError("the database does not answer; try again later") from error


def _upload_owners(connection: Connection) -> Iterator[tuple[str, float, str]]:
    """Read the id, time and owner of each upload that was recorded."""
    query = select(OWN).where(OWN.c.name.startswith(UPLOAD_PREFIX, autoescape=True))
    for row in connection.execute(query):
        noted_at, owner = json.loads(row.value)
        yield row.name.removeprefix(UPLOAD_PREFIX), noted_at, owner


def _get(connection: Connection, prediction_id: str) -> Prediction:
    query = select(PREDICTIONS).where(PREDICTIONS.c.id == prediction_id)
    found = _prediction(connection.execute(query).mappings().one())
    later = "" if found.ended else read_logs(connection, [found.id]).get(found.id, "")
    return replace(found, logs=found.logs + later)


_NAMES = [one.name for one in fields(Prediction)]


def _row(prediction: Prediction) -> dict[str, Any]:
    # Seeds go up to 2^63 - 1, which JSON readers and some databases round: they are stored as text.
    events = list(prediction.webhook_events)
    return _clean({**vars(prediction), "seed": str(prediction.seed), "webhook_events": events})


def _clean(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _text(value) if isinstance(value, str) else value for name, value in values.items()
    }


def _text(text: str) -> str:
    """Replace what databases cannot store: NUL, and half surrogate pairs."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def _prediction(row: RowMapping) -> Prediction:
    values = {name: row[name] for name in _NAMES}
    events = tuple(values["webhook_events"])
    return Prediction(**{**values, "seed": int(values["seed"]), "webhook_events": events})
