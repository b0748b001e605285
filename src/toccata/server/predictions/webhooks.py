"""Deliver webhooks: signed, in order, throttled, with retries of the last one.

Each prediction has its own line of messages, so a receiver that is slow delays only its own. The
signatures are those of Standard Webhooks: https://www.standardwebhooks.com
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import math
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

from toccata.errors import InputError, ToccataError
from toccata.server.concurrency import ConcurrencyLimit, FairThreads
from toccata.server.strict_json import encodable

# url, body, headers, owner -> status; raises ToccataError or OSError if there was no answer in time
Post = Callable[[str, bytes, Mapping[str, str], str], Awaitable[int]]

THROTTLED = frozenset({"output", "logs"})
# Messages that are being sent: receivers that hang must not take every connection there is, nor all
# of an owner's.
MAX_ATTEMPTS = 128
MAX_ATTEMPTS_PER_OWNER = 32
MAX_ATTEMPTS_PER_HOST = 8
# A message with a longer output, which is a data URI, is encoded beside the event loop.
LARGE_CHARACTERS = 2**16
UNREADABLE = "an unreadable URL"
_PREFIX = "whsec_"
log = logging.getLogger(__name__)


def new_secret() -> str:
    # Clients split the secret at "_", which the URL-safe alphabet has: the standard one, then.
    return _PREFIX + base64.b64encode(secrets.token_bytes(24)).decode()


def signature_headers(
    secret: str, message_id: str, timestamp_s: int, body: bytes
) -> dict[str, str]:
    """The headers by which a receiver checks that exactly `body` was sent. Raises InputError."""
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    digest = hmac.digest(_key(secret), signed, "sha256")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


@dataclass(frozen=True)
class Hook:
    """The receiver of a prediction's events, and which of start, output, logs and completed.

    headers: what every message carries besides its own. owner: of the prediction.
    """

    url: str
    events: frozenset[str]
    headers: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""


class Webhooks:
    """Used from one event loop. For each prediction, `completed` must be notified in the end.

    secret: None: no signatures. interval_s: the least time between two `output`, or two `logs`, of
    a prediction. retry_delays_s: before further attempts at `completed`; the others have but one.
    on_told: hears whose `completed` was delivered, or given up after the last attempt.
    """

    def __init__(
        self,
        post: Post,
        secret: str | None,
        *,
        bearer: str | None = None,
        interval_s: float = 0.5,
        retry_delays_s: Sequence[float] = (1, 2, 4, 8, 16, 30),
        now: Callable[[], float] = time.time,
        on_told: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        if secret is not None:
            _key(secret)
        self._post, self._secret, self._now, self._on_told = post, secret, now, on_told
        self._fixed = {"content-type": "application/json"}
        if bearer is not None:
            self._fixed["authorization"] = f"Bearer {bearer}"
        self._interval_s = interval_s
        self._retry_delays_s = tuple(retry_delays_s)
        self._attempts = ConcurrencyLimit(MAX_ATTEMPTS, MAX_ATTEMPTS_PER_OWNER)
        self._to_hosts = ConcurrencyLimit(math.inf, MAX_ATTEMPTS_PER_HOST)
        self._encoding = FairThreads("webhooks", 1, 1)
        self._lines: dict[str, _Line] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def notify(
        self, prediction_id: str, hook: Hook, event: str, body: Mapping[str, object]
    ) -> None:
        """Queue a message; `body` may get other values later. Only a new `start` can follow
        `completed`.
        """
        line = self._lines.setdefault(prediction_id, _Line(hook.owner))
        if line.ended and event != "start":
            return
        if event in hook.events:
            line.put(_Message(hook, event, dict(body), prediction_id))
        line.ended = event == "completed"
        if line.worker is None and (line.waiting or line.ended):
            line.worker = asyncio.create_task(self._work(prediction_id, line))
            self._tasks.add(line.worker)
            line.worker.add_done_callback(self._tasks.discard)

    def undelivered(self, owner: str) -> int:
        """How many predictions of `owner` have ended whose `completed` is not delivered yet."""
        return sum(line.ended and line.owner == owner for line in self._lines.values())

    async def drain(self, timeout_s: float) -> None:
        """Wait for what is on its way, then cancel the rest: no task of this object remains."""
        until_s = time.monotonic() + timeout_s
        while self._tasks and (left_s := until_s - time.monotonic()) > 0:
            await asyncio.wait(self._tasks, timeout=left_s)
        if late := list(self._tasks):
            log.warning("gave up on webhooks of %d predictions", len(late))
        for task in late:
            task.cancel()
        self._lines.clear()
        await asyncio.gather(*late, return_exceptions=True)
        self._encoding.close()

    async def _work(self, prediction_id: str, line: _Line) -> None:
        """Send what waits in a line; ends when nothing does."""
        try:
            while line.waiting:
                await self._send(prediction_id, await line.take(self._interval_s))
        finally:
            line.worker = None
            if line.ended and self._lines.get(prediction_id) is line:
                del self._lines[prediction_id]

    async def _send(self, prediction_id: str, message: _Message) -> None:
        """Whatever goes wrong with one message, the next one is sent."""
        try:
            await self._deliver(await self._encode(message))
            if message.event == "completed" and self._on_told is not None:
                await self._on_told(prediction_id)
        except Exception:
            log.exception("webhook %s of %s was not sent", message.event, prediction_id)

    async def _encode(self, message: _Message) -> _Encoded:
        encode = partial(_encoded, message)
        if not message.is_large:
            return encode()
        return await self._encoding.run(message.hook.owner, encode)

    async def _deliver(self, message: _Encoded) -> None:
        retries = self._retry_delays_s if message.event == "completed" else ()
        for delay_s in (0, *retries):
            await asyncio.sleep(delay_s)
            if await self._attempt(message):
                return

    async def _attempt(self, message: _Encoded) -> bool:
        """Whether there was an answer below 400; a redirect is one, but not followed."""
        hook = message.hook
        headers = {**hook.headers, **self._fixed}
        to_host = self._to_hosts.of(f"{hook.owner} {_host(message)}")
        async with to_host, self._attempts.of(hook.owner):
            if self._secret is not None:
                now_s = int(self._now())
                headers |= signature_headers(self._secret, message.id, now_s, message.body)
            try:
                status = await self._post(hook.url, message.body, headers, hook.owner)
            except (ToccataError, OSError) as error:
                _warn(message, type(error).__name__)
                return False
        if not 200 <= status < 300:
            _warn(message, f"status {status}")
        return status < 400


@dataclass(frozen=True)
class _Message:
    hook: Hook
    event: str
    body: Mapping[str, object]
    prediction_id: str

    @property
    def is_large(self) -> bool:
        output = self.body.get("output")
        texts = output if isinstance(output, list) else [output]
        return sum(len(text) for text in texts if isinstance(text, str)) > LARGE_CHARACTERS


@dataclass(frozen=True)
class _Encoded:
    """A message as it is sent, in every attempt."""

    hook: Hook
    event: str
    body: bytes
    id: str


@dataclass
class _Line:
    """The messages of one prediction, in order. `ended`: `completed` was notified."""

    owner: str = ""
    waiting: list[_Message] = field(default_factory=list)
    free_at_s: dict[str, float] = field(default_factory=dict)  # event -> monotonic time
    ended: bool = False
    worker: asyncio.Task[None] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, message: _Message) -> None:
        """Queue it, in place of those waiting that it makes pointless."""
        pointless = {"logs"} if message.event == "completed" else THROTTLED & {message.event}
        self.waiting = [other for other in self.waiting if other.event not in pointless]
        self.waiting.append(message)
        self.changed.set()

    async def take(self, interval_s: float) -> _Message:
        """Wait until the first message may be sent; another may become the first meanwhile."""
        while not self.ended and (left_s := self._held_s(self.waiting[0].event)) > 0:
            self.changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self.changed.wait()
        message = self.waiting.pop(0)
        if message.event in THROTTLED:
            self.free_at_s[message.event] = time.monotonic() + interval_s
        return message

    def _held_s(self, event: str) -> float:
        return self.free_at_s.get(event, 0.0) - time.monotonic()


def _encoded(message: _Message) -> _Encoded:
    body = _json(message.body)
    message_id = _message_id(message.prediction_id, message.event, body)
    return _Encoded(message.hook, message.event, body, message_id)


def _json(body: Mapping[str, object]) -> bytes:
    """JSON, also of a row from a time when NaN and half surrogates came in."""
    to_json = partial(json.dumps, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        text = to_json(body)
    except ValueError:
        text = to_json(encodable(body))
    return text.encode(errors="replace")


def _message_id(prediction_id: str, event: str, body: bytes) -> str:
    """The id of a message; that of the end stays the same when a restart sends it again."""
    if event != "completed":
        return f"msg_{secrets.token_hex(16)}"
    return f"msg_{hashlib.sha256(prediction_id.encode() + body).hexdigest()[:32]}"


def _warn(message: _Encoded, failure: str) -> None:
    """The URL may hold secrets, and errors may quote it: its host is all that is logged."""
    log.warning("webhook %s to %s failed: %s", message.event, _host(message), failure)


def _host(message: _Encoded) -> str:
    with suppress(ValueError):
        return urlsplit(message.hook.url).hostname or UNREADABLE
    return UNREADABLE


def _key(secret: str) -> bytes:
    """Raises InputError, which does not quote the secret."""
    with suppress(ValueError):
        if key := base64.b64decode(secret.removeprefix(_PREFIX), validate=True):
            return key
    raise InputError("webhook secret", "...", f'it must be "{_PREFIX}" and standard base64')
