"""Upload the outputs of the Cog API to the URL of the request or the operator."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urljoin, urlsplit

import httpx2

from toccata.server.concurrency import BlockingCalls, ConcurrencyLimit
from toccata.server.outbound import Answer, OutboundError, check_url
from toccata.server.storage.blobs import local_files
from toccata.server.storage.repository import COG, Prediction
from toccata.server.views import content_type

# url, body, headers -> the answer; raises OutboundError if there was none
Put = Callable[[str, bytes, Mapping[str, str]], Awaitable[Answer]]


class PutFor(Protocol):
    """As Put, for the owner of a prediction."""

    async def __call__(
        self, url: str, body: bytes, headers: Mapping[str, str], owner: str
    ) -> Answer: ...


# Before the second and the third try.
PAUSES_S = (0.2, 1.0)
TRY_AGAIN = frozenset({408, 429})
# For all tries of one upload, waiting for its turn included: a slow address must not block others.
UPLOAD_TIMEOUT_S = 120.0
MAX_UPLOADS = 64
MAX_UPLOADS_PER_OWNER = 16


@dataclass(frozen=True)
class CogOutputs:
    """put: for addresses that users give. put_trusted: for upload_url, which the operator gave and
    which may well be a private one.
    """

    put: PutFor
    put_trusted: PutFor
    upload_url: str | None
    _uploads: ConcurrencyLimit = field(
        default_factory=lambda: ConcurrencyLimit(MAX_UPLOADS, MAX_UPLOADS_PER_OWNER)
    )
    _local: BlockingCalls = field(default_factory=local_files)

    async def deliver(self, prediction: Prediction, file: Path) -> str | None:
        """The address that `file` was uploaded to; None if it is to go nowhere.

        Raises OutboundError. The prefix that a request gives wins over the server's upload_url.
        """
        prefix = prediction.output_prefix
        where = self.upload_url if prefix is None else prefix
        if prediction.api != COG or where is None:
            return None
        owner = prediction.owner or ""
        try:
            async with asyncio.timeout(UPLOAD_TIMEOUT_S), self._uploads.of(owner):
                if prefix is not None:
                    return await self._to_prefix(where, file, owner)
                return await self._to_server(where, prediction.id, file, owner)
        except TimeoutError as error:
            problem = f"did not take an output within {UPLOAD_TIMEOUT_S:g} s"
            raise OutboundError(where, f"{problem}; give one that does") from error

    async def _to_prefix(self, prefix: str, file: Path, owner: str) -> str:
        """As the field `file` of a form."""
        url = prefix + file.name
        check_url(url)
        data = await self._local.run(file.read_bytes)
        form = httpx2.Request(
            "PUT", url, files={"file": (file.name, data, content_type(file.name))}
        )
        headers = {"Content-Type": form.headers["content-type"]}
        await _uploaded(partial(self.put, owner=owner), url, form.read(), headers)
        return url

    async def _to_server(self, upload_url: str, prediction_id: str, file: Path, owner: str) -> str:
        """As it is. The answer may say where it went; what signs that address is left out."""
        url = _inside(upload_url, file.name)
        data = await self._local.run(file.read_bytes)
        headers = {"Content-Type": content_type(file.name), "X-Prediction-ID": prediction_id}
        answer = await _uploaded(partial(self.put_trusted, owner=owner), url, data, headers)
        try:
            return urlsplit(urljoin(url, answer.location))._replace(query="").geturl()
        except ValueError as error:
            raise OutboundError(url, "answered with a Location that is no address") from error


def _inside(folder: str, name: str) -> str:
    """The address of `name` in the folder at an address, whose query stays as it is."""
    split = urlsplit(folder)
    path = f"{split.path.rstrip('/')}/{quote(name, safe='')}"
    return split._replace(path=path).geturl()


async def _uploaded(put: Put, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """The answer of who took it, at the latest at the third try. Raises OutboundError."""
    for pause_s in PAUSES_S:
        answer = await _tried(put, url, body, headers)
        if answer is not None:
            return _taken(url, answer)
        await asyncio.sleep(pause_s)
    return _taken(url, await put(url, body, headers))


async def _tried(put: Put, url: str, body: bytes, headers: Mapping[str, str]) -> Answer | None:
    """None: another try may help."""
    try:
        answer = await put(url, body, headers)
    except OutboundError:
        return None
    return None if answer.status >= 500 or answer.status in TRY_AGAIN else answer


def _taken(url: str, answer: Answer) -> Answer:
    if not 200 <= answer.status < 300:
        raise OutboundError(
            url, f"answered an upload with status {answer.status}; give one that takes the output"
        )
    return answer
