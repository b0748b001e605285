"""What a prediction is made from: its inputs checked together, and its audio in a local file."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from toccata import hub
from toccata.errors import InputError
from toccata.families.known import KNOWN
from toccata.inputs import Inputs, check, draw_seed
from toccata.schema import ENCODE_DECODE
from toccata.server.config import ServerSettings
from toccata.server.storage import Storage
from toccata.server.store import Prediction, Store
from toccata.server.versions import COUNT, VERSIONS

Fetch = Callable[[str, Path], Awaitable[Path]]

DIFFUSION = "multi_band_diffusion"
# Our own addresses, by whatever name the client knows this server.
_OWN_FILE = re.compile(r"/v1/files/([A-Za-z0-9_-]{1,64})")
_DATA_URI = re.compile(r"data:[^,]{0,200}?(;base64)?,", re.IGNORECASE)


def seed_of(given: Mapping[str, Any]) -> int:
    """The seed that was asked for, or one that is drawn now."""
    seed = given.get("seed")
    return int(seed) if isinstance(seed, int | float) and seed >= 0 else draw_seed()


async def resolve(
    prediction: Prediction, folder: Path, storage: Storage, store: Store, fetch: Fetch
) -> Inputs:
    """Checked inputs, `input_audio` being a file in `folder`.

    Raises InputErrors for inputs that do not go together, ToccataError for audio that cannot be
    had.
    """
    values = {**prediction.input, "seed": prediction.seed}
    if values.pop(DIFFUSION, False):
        raise InputError(DIFFUSION, True, "it is not supported; leave it out")
    values.pop(COUNT.name, None)
    schema = VERSIONS[prediction.version].schema
    known = [field for field in schema.fields if field.name not in (DIFFUSION, COUNT.name)]
    inputs = check(values, replace(schema, fields=tuple(known)))
    if inputs.input_audio is None:
        return inputs
    audio, file = str(inputs.input_audio), folder / "input"
    if audio[:5].lower() == "data:":
        await asyncio.to_thread(lambda: file.write_bytes(_decoded(audio)))
    elif (own := uploaded(audio, store)) is not None:
        await asyncio.to_thread(_copy, storage, own, file)
    else:
        await fetch(audio, file)
    return replace(inputs, input_audio=file)


def model_of(inputs: Inputs, settings: ServerSettings) -> str:
    """The model to load: the one asked for, or its stand-in if it is not on this machine."""
    name = inputs.model_version
    if name == ENCODE_DECODE:
        return settings.machine.model
    missing = name in KNOWN and hub.find(KNOWN[name].hub_id) is None
    return settings.stand_in if missing and settings.stand_in else name


def uploaded(address: str, store: Store) -> str | None:
    """The id of the file that was uploaded here, if the address is one's."""
    try:
        path = urlsplit(address).path
    except ValueError:
        return None
    own = _OWN_FILE.fullmatch(path.replace("/v1/v1/", "/v1/"))
    return None if own is None or store.file(own[1]) is None else own[1]


def _copy(storage: Storage, file_id: str, to: Path) -> None:
    try:
        storage.get(f"files/{file_id}", to)
    except FileNotFoundError as error:
        raise InputError("input_audio", file_id, "it is here no more; upload it again") from error


def _decoded(uri: str) -> bytes:
    head = _DATA_URI.match(uri)
    if head is None:
        raise InputError("input_audio", uri[:80], "a data URI is data:TYPE;base64,BYTES")
    rest = unquote_to_bytes(uri[head.end() :])
    if head[1] is None:
        return rest
    plain = rest.translate(None, b" \t\r\n")  # `base64` of GNU breaks lines
    try:
        return base64.b64decode(plain, validate=True)
    except binascii.Error as error:
        raise InputError("input_audio", uri[:80], f"its base64 is damaged: {error}") from error
