"""The inputs of a prediction: checked, with their audio in a local file."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from toccata.audio.audio_input import AudioPart
from toccata.errors import InputError
from toccata.generation.schema import ENCODE_DECODE
from toccata.generation.values import draw_seed
from toccata.models import hub
from toccata.models.registry import KNOWN
from toccata.server.concurrency import BlockingCalls
from toccata.server.config import ServerSettings
from toccata.server.hosted_inputs import HostedRequest, read_inputs
from toccata.server.outbound import MAX_URL_CHARACTERS
from toccata.server.predictions.kept_files import KeptFiles
from toccata.server.storage.async_repository import AsyncRepository
from toccata.server.storage.blobs import AsyncBlobStorage
from toccata.server.storage.repository import Prediction, Repository, StoredFile, new_key
from toccata.server.versions import COUNT, VERSIONS

Fetch = Callable[[str, Path], Awaitable[Path]]

DIFFUSION = "multi_band_diffusion"
AUDIO = "input_audio"
# Marks, in the metadata of an upload, that it was part of a request, and goes when that is wiped.
INLINE = "inline"
# Our own addresses, by whatever name the client knows this server.
_FILES = "/v1/files/"
_FILE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DATA_URI = re.compile(r"data:([^,;]{0,100})[^,]{0,200}?(;base64)?,", re.IGNORECASE)
_WHITE = b" \t\r\n"
# What is decoded at a time: other threads get their turn in between. A multiple of 4.
SLICE = 2**18
MAX_QUOTED_BYTES = 2**20
# What base64 consists of besides letters and digits, as percent-encoding writes it.
_ESCAPES = {b"%2B": b"+", b"%2F": b"/", b"%3D": b"=", b"%0A": b"", b"%0D": b"", b"%20": b""}
KEPT_S = 24 * 3600.0  # and as long as a prediction that uses it is open


def seed_of(given: Mapping[str, Any]) -> int:
    """The seed that was asked for, or one that is drawn now."""
    seed = given.get("seed")
    return int(seed) if isinstance(seed, int | float) and seed >= 0 else draw_seed()


def is_inline(given: Mapping[str, Any]) -> bool:
    """Whether the audio is in the request itself, as a data URI."""
    return str(given.get(AUDIO) or "")[:5].lower() == "data:"


async def keep_inline(
    given: Mapping[str, Any],
    uploads: KeptFiles,
    local: BlockingCalls,
    owner: str,
) -> str | None:
    """Make an upload of the audio that a request holds, so that its row need not hold it.

    Args:
        given: The inputs of a request.
        uploads: Where it goes.
        local: Where blocking calls for local files run.
        owner: Whose upload it is.

    Returns:
        The id of the upload; None if there is no audio in the request itself.

    Raises:
        InputError: The data URI is damaged.
        QuotaError: There is no room for it.
        StorageError: The storage does not answer.
        RepositoryError: The database does not answer.
    """
    if not is_inline(given):
        return None
    file_id, now = new_key(), time.time()
    with uploads.receiving() as folder:
        file = folder / "input"
        kind, sha256, md5 = await local.run(_decode_into, str(given[AUDIO]), file)
        size = file.stat().st_size
        kept = StoredFile(
            id=file_id,
            created_at=now,
            expires_at=now + KEPT_S,
            name="input",
            content_type=kind or "application/octet-stream",
            size=size,
            sha256=sha256,
            md5=md5,
            metadata={INLINE: True},
        )
        await uploads.keep(owner, kept, file)
    return file_id


async def resolve(
    prediction: Prediction,
    folder: Path,
    storage: AsyncBlobStorage,
    store: AsyncRepository,
    *,
    local: BlockingCalls,
    fetch: Fetch,
) -> HostedRequest:
    """Check the inputs of a prediction, and bring its audio into a file in `folder`.

    Raises InputErrors for inputs that do not go together, ToccataError for audio that cannot be
    had.
    """
    values = {**prediction.input, "seed": prediction.seed}
    if values.pop(DIFFUSION, False):
        raise InputError(DIFFUSION, True, "leave it out", "is not supported")
    values.pop(COUNT.name, None)
    schema = VERSIONS[prediction.version].schema
    known = [field for field in schema.fields if field.name not in (DIFFUSION, COUNT.name)]
    inputs = read_inputs(values, replace(schema, fields=tuple(known)))
    part = inputs.request.audio
    if not isinstance(part, AudioPart):
        return inputs
    address, file = str(part.file), folder / "input"
    if is_inline(values):  # in a row of an earlier version
        await local.run(_decode_into, address, file)
    elif (own := await uploaded(address, store)) is not None:
        await _copy(storage, own, file)
    else:
        await fetch(address, file)
    return replace(inputs, request=inputs.request.with_audio(replace(part, file=str(file))))


def model_of(requested: str, settings: ServerSettings) -> str:
    """The model to load: the requested one, or its stand-in if it is not on this machine."""
    if requested == ENCODE_DECODE:
        return settings.machine.model
    missing = requested in KNOWN and hub.find(KNOWN[requested].hub_id) is None
    return settings.stand_in if missing and settings.stand_in else requested


async def uploaded(address: str, store: AsyncRepository) -> str | None:
    """The id of the file that was uploaded here, if the address is one's."""
    own = _own_file(address)
    return None if own is None or await store.file(own) is None else own


def inline_upload(given: Mapping[str, Any], store: Repository) -> str | None:
    """The id of the upload that came in these inputs themselves. Raises RepositoryError."""
    own = _own_file(str(given.get(AUDIO) or ""))
    file = None if own is None else store.file(own)
    return file.id if file is not None and file.metadata.get(INLINE) is True else None


def _own_file(address: str) -> str | None:
    """The id in an address that is like one of ours, whatever is before the last part of it."""
    if len(address) > MAX_URL_CHARACTERS:
        return None
    try:
        _, found, file_id = urlsplit(address).path.rpartition(_FILES)
    except ValueError:
        return None
    return file_id if found and _FILE_ID.fullmatch(file_id) else None


async def _copy(storage: AsyncBlobStorage, file_id: str, to: Path) -> None:
    try:
        await storage.get(f"files/{file_id}", to)
    except FileNotFoundError as error:
        raise InputError(AUDIO, file_id, "it is here no more; upload it again") from error


def _decode_into(uri: str, file: Path) -> tuple[str, str, str]:
    """Write the bytes of a data URI, white space in its base64 ignored.

    Returns:
        Its media type, and the SHA-256 and MD5 of the bytes.

    Raises:
        InputError: It is damaged.
    """
    head = _DATA_URI.match(uri)
    if head is None:
        raise InputError(AUDIO, uri[:80], "a data URI is data:TYPE;base64,BYTES")
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    text = uri[head.end() :].encode()
    with file.open("wb") as out:
        for block in _decoded(text, uri) if head[2] else _unquoted(text, uri):
            sha256.update(block)
            md5.update(block)
            out.write(block)
    return head[1][:100], sha256.hexdigest(), md5.hexdigest()


def _unquoted(text: bytes, uri: str) -> list[bytes]:
    """A text without base64, of which each escape becomes an object of its own for a while."""
    if len(text) > MAX_QUOTED_BYTES:
        raise InputError(AUDIO, uri[:80], "it is too long for percent-encoding: use base64")
    return [unquote_to_bytes(text)]


def _decoded(text: bytes, uri: str) -> Iterator[bytes]:
    """The bytes of base64, a slice at a time."""
    carried = b""
    for start in range(0, len(text), SLICE):
        is_last = start + SLICE >= len(text)
        carried += text[start : start + SLICE]
        # An escape that the end of the slice cuts waits for the next one.
        escape = -1 if is_last else carried.find(b"%", len(carried) - 2)
        cut = len(carried) if escape < 0 else escape
        piece, carried = _plain(carried[:cut]), carried[cut:]
        whole = len(piece) if is_last else len(piece) // 4 * 4
        piece, carried = piece[:whole], piece[whole:] + carried
        try:
            yield base64.b64decode(piece, validate=True)
        except binascii.Error as error:
            raise InputError(AUDIO, uri[:80], f"its base64 is damaged: {error}") from error
        if b"=" in piece and not is_last:
            raise InputError(AUDIO, uri[:80], "its base64 is damaged: it goes on after its end")


def _plain(text: bytes) -> bytes:
    """Base64 without white space, and with what some clients escape in it."""
    if b"%" in text:
        for escape, plain in _ESCAPES.items():
            text = text.replace(escape, plain).replace(escape.lower(), plain)
    return text.translate(None, _WHITE)
