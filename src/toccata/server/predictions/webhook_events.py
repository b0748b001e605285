"""The webhooks of predictions, with the payloads of each API."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial

from toccata.server.config import ServerSettings
from toccata.server.predictions.outputs import output_data
from toccata.server.predictions.retries import with_retries
from toccata.server.predictions.webhooks import Hook, Post, Webhooks
from toccata.server.storage.async_repository import AsyncRepository
from toccata.server.storage.blobs import AsyncBlobStorage
from toccata.server.storage.repository import COG, Prediction, RepositoryError
from toccata.server.views import COG_VERSION, Address, Output, cog_json, prediction_json

log = logging.getLogger(__name__)
# A prediction, the name of the event, and its output as data URIs where URLs are not used.
Publish = Callable[[Prediction, str, Output | None], None]

WEBHOOK_DRAIN_S = 5.0
COG_AGENT = f"cog-worker/{COG_VERSION}"
# Before each retry of the webhook of an end, as a Cog container has them.
COG_RETRIES_S = tuple(0.1 * 2**n for n in range(12))


class WebhookPublisher:
    """Sends the webhooks of predictions.

    Args:
        settings: The settings of the server.
        post: Sends a request to a URL that a client gave.
        secret: The key that signs webhooks of the hosted API.
        store: The database that records which ends were delivered.
    """

    def __init__(
        self, settings: ServerSettings, post: Post, secret: str, store: AsyncRepository
    ) -> None:
        on_delivered = partial(mark_delivered, store)
        self._hosted = Webhooks(post, secret, on_told=on_delivered)
        self._cog = Webhooks(
            _as_cog(post),
            None,
            bearer=settings.cog_webhook_token,
            retry_delays_s=COG_RETRIES_S,
            on_told=on_delivered,
        )

    def publish(self, prediction: Prediction, event: str, data: Output | None) -> None:
        """Queue the webhooks of an event, if the prediction has a webhook.

        Args:
            prediction: The prediction after the event.
            event: start, output, logs or completed.
            data: Its output as data URIs where URLs are not used.
        """
        if prediction.webhook is None:
            return
        events = frozenset(prediction.webhook_events)
        hook = Hook(prediction.webhook, events, prediction.trace or {}, prediction.owner or "")
        if prediction.api == COG:  # Cog sends no output event for a single output
            body = cog_json(prediction, data)
            self._cog.notify(prediction.id, hook, event, body)
            return
        body = prediction_json(prediction, Address(prediction.base), data)
        if event == "completed" and prediction.output is not None:
            self._hosted.notify(prediction.id, hook, "output", body)
        self._hosted.notify(prediction.id, hook, event, body)

    def undelivered(self, owner: str) -> int:
        """How many predictions of `owner` have ended and have a webhook that says so to send."""
        return self._hosted.undelivered(owner) + self._cog.undelivered(owner)

    async def drain(self) -> None:
        """Wait up to WEBHOOK_DRAIN_S for deliveries, and drop the rest."""
        await asyncio.gather(*(one.drain(WEBHOOK_DRAIN_S) for one in (self._hosted, self._cog)))


def _as_cog(post: Post) -> Post:
    """Wrap `post` to send the User-Agent of a Cog container."""

    async def posted(url: str, body: bytes, headers: Mapping[str, str], owner: str) -> int:
        return await post(url, body, {**headers, "User-Agent": COG_AGENT}, owner)

    return posted


async def publish_pending(
    undelivered: list[Prediction], storage: AsyncBlobStorage, publish: Publish
) -> None:
    """Publish the ends whose webhooks were pending when the server stopped.

    Args:
        undelivered: The predictions, oldest first.
        storage: The storage of their outputs; while it is down, it is retried.
        publish: Queues the webhooks of an event.
    """
    for prediction in undelivered:
        try:
            data = await with_retries(lambda one=prediction: output_data(one, storage))  # type: ignore[misc]
            publish(prediction, "completed", data)
        except Exception:
            log.exception("the webhook of %s is sent at the next start", prediction.id)


async def mark_delivered(store: AsyncRepository, prediction_id: str) -> None:
    """Record that the webhook of an end was delivered, so that the next start does not send it."""
    try:
        await store.mark_delivered(prediction_id)
    except RepositoryError as error:
        log.error("the webhook of %s is sent again at the next start: %s", prediction_id, error)
