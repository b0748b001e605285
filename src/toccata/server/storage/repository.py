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
from toccata.server.storage.tables import FILES, LOGS, OWN, PREDICTIONS

STARTING, PROCESSING = "starting", "processing"
SUCCEEDED, FAILED, CANCELED, ABORTED = "succeeded", "failed", "canceled", "aborted"
OPEN = (STARTING, PROCESSING)
REPLICATE, COG = "replicate", "cog"
# Rows of OWN whose names begin so tell whose an upload is, and since when it has been kept.
NOTES = "upload:"
DAMAGED = ("malformed", "not a database")  # as SQLite says it


def new_id() -> str:
    """26 letters and digits, as the hosted service's are."""
    return base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()


def new_key() -> str:
    """Not to be guessed: whoever knows an address that holds it may use it."""
    return secrets.token_urlsafe(32)


@dataclass(frozen=True)
class Prediction:
    """One row. Times are seconds since 1970. `input` is what was asked for, checked.

    seed: what is drawn with, fixed when it was created, so that it can be made again. key: the
    unguessable part of its addresses. base: how its creator reaches this server. output: the name
    of the file it made; more_outputs: of its further variations. as_data: they are given as data
    URIs. api: by which one it was created, whose words its webhooks use.
    output_prefix: what its creator wants the output uploaded under. delivered: the address that it
    was uploaded to. webhook_pending: whether the webhook of its end is still to be delivered.
    owner: who created it, for fairness: a hash of the token or of the address. fingerprint: a hash
    of the request, by which a retry is recognised. running_at: since when the worker generates it;
    None: it does not. quarantined: a process died while it and others ran; it runs alone. trace:
    headers of W3C Trace Context that its webhooks carry.
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
        return self.status not in OPEN

    @property
    def count(self) -> int:
        """How many variations were asked for."""
        return int(self.input.get("count", 1))

    @property
    def outputs(self) -> Sequence[str]:
        """The names of all files that it made."""
        return () if self.output is None else (self.output, *(self.more_outputs or ()))

    @property
    def has_data(self) -> bool:
        """Whether it has an output that is to be given as data URIs."""
        return self.output is not None and self.as_data and self.delivered is None


@dataclass(frozen=True)
class StoredFile:
    """An uploaded file; its bytes are in the storage under its id."""

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
    """The database does not answer as it should; what was to be done is not."""

    http_status = 503


class AlreadyExistsError(RepositoryError):
    """There is a row with this id; nothing was written."""

    http_status = 409


class Repository:
    """Short blocking calls, from any thread; each is one transaction, and raises RepositoryError.

    The event loop calls them through AsyncRepository.
    """

    def __init__(self, url: str) -> None:
        """Raises InputError for a database that cannot be used, MissingExtraError."""
        self._database = database.connect(url)
        self._lease: Lease | None = None

    def claim(self, identity: str) -> Claim:
        """Keep other servers off the database from now on; `renew` must follow.

        Args:
            identity: Names the data folder of this server; see Lease.

        Raises:
            InputError: Another server uses it.
        """
        lease = Lease(identity)
        with _answers():
            claim = lease.claim(self._database, database.shown(self._database.url))
        self._lease = lease
        return claim

    def check_claim(self, identity: str) -> None:
        """Look whether another server uses the database, and change nothing.

        Raises:
            InputError: Another server uses it.
        """
        with _answers():
            shown = database.shown(self._database.url)
            Lease(identity).wait(self._database, shown, 1.5 * RENEW_INTERVAL_S)

    def renew(self) -> None:
        """Keep the claim alive. Raises SupersededError if another server has the database."""
        if self._lease is not None:
            with _answers():
                self._lease.renew(self._database)

    def release(self) -> None:
        """Let go of the claim: this server stops as it should."""
        if self._lease is not None:
            with _answers():
                self._lease.release(self._database)
            self._lease = None

    def close(self) -> None:
        self._database.dispose()

    def add(self, prediction: Prediction) -> None:
        """Raises AlreadyExistsError if its id is taken."""
        try:
            with self._writing() as connection:
                connection.execute(PREDICTIONS.insert().values(_row(prediction)))
        except RepositoryError as error:
            if isinstance(error.__cause__, IntegrityError):
                raise AlreadyExistsError(f"there is a prediction {prediction.id}") from error
            raise

    def get(self, prediction_id: str) -> Prediction | None:
        return self._one(PREDICTIONS.c.id == _text(prediction_id))

    def by_key(self, key: str) -> Prediction | None:
        return self._one(PREDICTIONS.c.key == _text(key))

    def by_fingerprint(self, fingerprint: str, created_after: float) -> Prediction | None:
        """The newest that the same request created since then, and that was not aborted."""
        table = PREDICTIONS.c
        where = and_(
            table.created_at > created_after,
            table.fingerprint == fingerprint,
            table.status != ABORTED,
        )
        found = self._many(select(PREDICTIONS).where(where).order_by(table.created_at.desc()))
        return found[0] if found else None

    def change(self, prediction_id: str, **values: Any) -> Prediction | None:
        """Set fields of an open prediction; its row as it then is. None: it is none, or ended."""
        where = and_(PREDICTIONS.c.id == prediction_id, PREDICTIONS.c.status.in_(OPEN))
        with self._writing() as connection:
            if values.get("status", STARTING) not in OPEN:
                values["logs"] = _take_logs(connection, prediction_id)
            done = connection.execute(PREDICTIONS.update().where(where).values(_clean(values)))
            return _get(connection, prediction_id) if done.rowcount else None

    def disown(self, prediction_id: str) -> None:
        """Remove one that was never begun; there may be none."""
        row = PREDICTIONS.c
        gone = PREDICTIONS.delete().where(row.id == prediction_id, row.status == STARTING)
        with self._writing() as connection:
            connection.execute(gone)

    def add_logs(self, prediction_id: str, text: str) -> bool:
        """Whether it is open, so that they were added."""
        table = PREDICTIONS.c
        where = and_(table.id == prediction_id, table.status.in_(OPEN))
        open_one = select(table.id).where(where).with_for_update(read=True)
        with self._writing() as connection:
            if connection.scalar(open_one) is None:
                return False
            connection.execute(LOGS.insert().values(prediction_id=prediction_id, text=_text(text)))
            return True

    def ended_before(self, before: float) -> list[Prediction]:
        """Those that ended before a time, and were not forgotten."""
        table = PREDICTIONS.c
        ended = and_(table.completed_at < before, table.data_removed.is_(False))
        return self._many(select(PREDICTIONS).where(ended))

    def forget(self, prediction_id: str) -> None:
        """Wipe input, output and logs of one that has ended."""
        wiped: dict[str, Any] = {"input": {}, "logs": "", "data_removed": True}
        wiped |= {"output": None, "more_outputs": None, "output_prefix": None, "delivered": None}
        with self._writing() as connection:
            connection.execute(
                PREDICTIONS.update().where(PREDICTIONS.c.id == prediction_id).values(wiped)
            )

    def undelivered(self) -> list[Prediction]:
        """Ended predictions whose last webhook is not delivered yet, oldest first."""
        row = PREDICTIONS.c
        pending = and_(row.webhook_pending.is_(True), row.status.not_in(OPEN))
        return self._many(select(PREDICTIONS).where(pending).order_by(row.completed_at))

    def mark_delivered(self, prediction_id: str) -> None:
        """Note that the last webhook of a prediction is delivered, or given up."""
        row = PREDICTIONS.c.id == prediction_id
        with self._writing() as connection:
            connection.execute(PREDICTIONS.update().where(row).values(webhook_pending=False))

    def open_ones(self) -> list[Prediction]:
        """Everything that has not ended, oldest first."""
        query = select(PREDICTIONS).where(PREDICTIONS.c.status.in_(OPEN))
        return self._many(query.order_by(PREDICTIONS.c.created_at, PREDICTIONS.c.id))

    def page(
        self,
        limit: int,
        before: tuple[float, str] | None = None,
        created_after: float | None = None,
        created_before: float | None = None,
    ) -> list[Prediction]:
        """The newest first, from just before (created_at, id) on."""
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
        with self._writing() as connection:
            connection.execute(FILES.insert().values(_clean(vars(file))))

    def file(self, file_id: str) -> StoredFile | None:
        with self._transaction() as connection:
            found = connection.execute(select(FILES).where(FILES.c.id == _text(file_id))).mappings()
            row = found.first()
        return None if row is None else StoredFile(**row)

    def files(self, limit: int, before: tuple[float, str] | None = None) -> list[StoredFile]:
        """The newest first, from just before (created_at, id) on."""
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
        """Note whose an upload is, before its bytes are stored; `remove_file` forgets it.

        Args:
            file_id: Of the upload.
            owner: Whose share of the quota it takes.
            now: Seconds since 1970.
        """
        note = {"name": NOTES + file_id, "value": json.dumps([now, owner])}
        with self._writing() as connection:
            connection.execute(OWN.insert().values(note))

    def upload_owners(self) -> dict[str, str]:
        """Whose each upload is, by its id, as far as that is known."""
        with self._transaction() as connection:
            return {file_id: owner for file_id, _, owner in _notes(connection)}

    def lost_uploads(self, noted_before: float) -> list[str]:
        """The ids of uploads that were begun before then, and that no row of a file tells of."""
        with self._transaction() as connection:
            known = set(connection.execute(select(FILES.c.id)).scalars())
            notes = list(_notes(connection))
        return [one for one, noted_at, _ in notes if one not in known and noted_at < noted_before]

    def remove_file(self, file_id: str) -> bool:
        gone = FILES.delete().where(FILES.c.id == _text(file_id))
        with self._writing() as connection:
            connection.execute(OWN.delete().where(OWN.c.name == NOTES + _text(file_id)))
            return bool(connection.execute(gone).rowcount)

    def expired_files(self, now: float) -> list[str]:
        """Those whose time is over and that no open prediction names in its inputs."""
        query = select(FILES.c.id).where(FILES.c.expires_at < now)
        with self._transaction() as connection:
            expired = list(connection.execute(query).scalars())
        used = self.audio_in_use() if expired else ""
        return [file_id for file_id in expired if file_id not in used]

    def audio_in_use(self) -> str:
        """All addresses that open predictions name as their audio, in one text."""
        inputs = select(PREDICTIONS.c.input).where(PREDICTIONS.c.status.in_(OPEN))
        with self._transaction() as connection:
            named = list(connection.execute(inputs).scalars())
        return " ".join(str(given.get("input_audio") or "") for given in named)

    def own(self, name: str, make: Callable[[], str]) -> str:
        """A value that the server made for itself once, such as its webhook secret."""
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
            later = _logs(connection, [one.id for one in found if not one.ended])
        return [replace(one, logs=one.logs + later.get(one.id, "")) for one in found]

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """All that the block does is done, or nothing."""
        with _answers(), self._database.begin() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction of the server that has the database. Raises SupersededError."""
        with self._transaction() as connection:
            if self._lease is not None:
                self._lease.check(connection)
            yield connection


def iso(seconds: float) -> str:
    """Seconds since 1970 as the API writes times."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")[:-6] + "Z"


@contextmanager
def _answers() -> Iterator[None]:
    """Raises RepositoryError for whatever goes wrong with the database in the block."""
    try:
        yield
    except SQLAlchemyError as error:
        if any(word in str(error) for word in DAMAGED):
            raise RepositoryError("the database is damaged; restore it from a backup") from error
        raise RepositoryError("the database does not answer; try again later") from error


def _notes(connection: Connection) -> Iterator[tuple[str, float, str]]:
    """Id, time and owner of each upload that was noted."""
    query = select(OWN).where(OWN.c.name.startswith(NOTES, autoescape=True))
    for row in connection.execute(query):
        noted_at, owner = json.loads(row.value)
        yield row.name.removeprefix(NOTES), noted_at, owner


def _get(connection: Connection, prediction_id: str) -> Prediction:
    query = select(PREDICTIONS).where(PREDICTIONS.c.id == prediction_id)
    found = _prediction(connection.execute(query).mappings().one())
    later = "" if found.ended else _logs(connection, [found.id]).get(found.id, "")
    return replace(found, logs=found.logs + later)


def _logs(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    """What open predictions logged since they started, by id."""
    if not ids:
        return {}
    query = select(LOGS).where(LOGS.c.prediction_id.in_(ids)).order_by(LOGS.c.number)
    lines: dict[str, list[str]] = {}
    for row in connection.execute(query):
        lines.setdefault(row.prediction_id, []).append(row.text)
    return {prediction_id: "".join(pieces) for prediction_id, pieces in lines.items()}


def _take_logs(connection: Connection, prediction_id: str) -> str:
    """All logs of a prediction, which its row holds from now on."""
    query = select(PREDICTIONS.c.logs).where(PREDICTIONS.c.id == prediction_id)
    first = connection.scalar(query) or ""
    later = _logs(connection, [prediction_id]).get(prediction_id, "")
    connection.execute(LOGS.delete().where(LOGS.c.prediction_id == prediction_id))
    return first + later


_NAMES = [one.name for one in fields(Prediction)]


def _row(prediction: Prediction) -> dict[str, Any]:
    # Seeds reach 2^63 - 1, which JSON readers and some databases round: they are kept as text.
    events = list(prediction.webhook_events)
    return _clean({**vars(prediction), "seed": str(prediction.seed), "webhook_events": events})


def _clean(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _text(value) if isinstance(value, str) else value for name, value in values.items()
    }


def _text(text: str) -> str:
    """Without what databases do not take: NUL, and halves of surrogate pairs."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def _prediction(row: RowMapping) -> Prediction:
    values = {name: row[name] for name in _NAMES}
    events = tuple(values["webhook_events"])
    return Prediction(**{**values, "seed": int(values["seed"]), "webhook_events": events})
