"""/v1/files: what clients upload, to be named in a prediction's inputs later."""

from __future__ import annotations

import hashlib
import re
import tempfile
import time
import unicodedata
from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException
from starlette.responses import Response

from toccata.server.api.cursors import cursor_of
from toccata.server.api.dependencies import (
    AppState,
    address,
    app_state,
    authorize,
    owner_of,
    refuse,
    stored_response,
)
from toccata.server.api.large_answers import page_of
from toccata.server.storage.repository import StoredFile, new_key
from toccata.server.strict_json import (
    MAX_DEPTH,
    JsonError,
    JSONResponse,
    count_values,
    read_json,
    text_problem,
)
from toccata.server.views import file_json

MAX_BYTES = 100 * 2**20
MAX_METADATA = 8192
MAX_METADATA_VALUES = 256
KEPT_S = 24 * 3600.0
LISTED = 100
BLOCK_BYTES = 2**20
UNKNOWN_TYPE = "application/octet-stream"
_BRACKETS = re.compile(r"\[([^\[\]]{0,200})\]")

api = APIRouter(dependencies=[Depends(authorize)])


@api.post("/files")
async def upload(request: Request) -> JSONResponse:
    declared = int(request.headers.get("content-length") or 0)
    if declared > MAX_BYTES + 2**20:
        raise _too_large()
    app_state(request).uploads.quota.check(owner_of(request), declared)
    try:
        async with request.form(max_files=2, max_fields=100) as form:
            return JSONResponse(await _keep(request, form), 201)
    except MultiPartException as error:
        raise refuse(400, f"The multipart body is damaged: {error.message}") from error


@api.get("/files")
async def list_files(request: Request) -> Response:
    own, cursor = address(request), cursor_of(request.query_params.get("cursor"))
    read = partial(app_state(request).store.files, LISTED + 1, cursor)
    return page_of(request, "/v1/files", read, lambda file: file_json(file, own), LISTED)


@api.get("/files/{file_id}")
async def get(request: Request, file_id: str) -> JSONResponse:
    """Always what is known of it, never its bytes."""
    return JSONResponse(file_json(await _known(request, file_id), address(request)))


@api.head("/files/{file_id}/download", include_in_schema=False)
@api.get("/files/{file_id}/download")
async def download(request: Request, file_id: str) -> Response:
    file = await _known(request, file_id)
    # Never a page: what a client uploaded must not run in another's browser.
    response = await stored_response(
        request,
        f"files/{file.id}",
        saved_as=file.name,
        modified_at=file.created_at,
        kind="attachment",
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@api.delete("/files/{file_id}")
async def delete(request: Request, file_id: str) -> Response:
    await _known(request, file_id)
    await app_state(request).uploads.remove(file_id)
    return Response(status_code=204)


async def _keep(request: Request, form: FormData) -> dict[str, Any]:
    content = form.get("content")
    if not isinstance(content, UploadFile):
        raise refuse(400, "content: the multipart body has no such file")
    name = _text(form, "filename") or content.filename or "upload"
    kind = _text(form, "type") or _plain_type(content.content_type)
    metadata, owner = await _metadata(form), owner_of(request)
    file = await keep_file(app_state(request), content, name, kind, metadata, owner=owner)
    return file_json(file, address(request))


async def keep_file(
    server: AppState,
    content: UploadFile,
    name: str,
    kind: str,
    metadata: Mapping[str, Any],
    *,
    owner: str = "",
) -> StoredFile:
    """Store what was uploaded, for a day. Raises ProblemError past the cap, or the quota."""
    file_id = new_key()
    with tempfile.TemporaryDirectory(prefix="toccata-upload-") as folder:
        local = Path(folder) / "content"
        with local.open("wb") as out:
            size, sha256, md5 = await _copy(content, out)
        now = time.time()
        file = StoredFile(
            id=file_id,
            created_at=now,
            expires_at=now + KEPT_S,
            name=_plain_name(name),
            content_type=kind[:200],
            size=size,
            sha256=sha256,
            md5=md5,
            metadata=metadata,
        )
        await server.uploads.keep(owner, file, local)
    return file


async def _copy(content: UploadFile, out: BinaryIO) -> tuple[int, str, str]:
    """Size and checksums. Raises ProblemError past the cap."""
    size, sha256, md5 = 0, hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    while block := await content.read(BLOCK_BYTES):
        size += len(block)
        if size > MAX_BYTES:
            raise _too_large()
        sha256.update(block)
        md5.update(block)
        out.write(block)
    return size, sha256.hexdigest(), md5.hexdigest()


async def _metadata(form: FormData) -> Mapping[str, Any]:
    """A field of JSON, a file of JSON, or fields metadata[a][b]: clients differ."""
    given = form.get("metadata")
    if given is None:
        return _bracketed(form)
    text = await given.read(MAX_METADATA + 1) if isinstance(given, UploadFile) else given
    _check_metadata_size(len(text))
    try:
        metadata = read_json(text or "{}")
    except JsonError as error:
        raise refuse(400, f"metadata: it is not JSON: {error}") from error
    if not isinstance(metadata, dict):
        raise refuse(400, "metadata: it must be a JSON object")
    if count_values(metadata) > MAX_METADATA_VALUES:
        raise refuse(400, f"metadata: it must have at most {MAX_METADATA_VALUES} values")
    return metadata


def _bracketed(form: FormData) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    size = 0
    for name, value in form.multi_items():
        keys = _BRACKETS.findall(name.removeprefix("metadata"))
        if not name.startswith("metadata[") or not keys or not isinstance(value, str):
            continue
        size += len(name) + len(value)
        _check_metadata_size(size)
        if problem := text_problem(name + value):
            raise refuse(400, f"metadata: {problem}")
        if len(keys) > MAX_DEPTH:
            raise refuse(400, f"metadata: it is nested more than {MAX_DEPTH} levels deep")
        inner = metadata
        for key in keys[:-1]:
            deeper = inner.setdefault(key, {})
            inner = deeper if isinstance(deeper, dict) else {}
        inner[keys[-1]] = value
    return metadata


def _check_metadata_size(size: int) -> None:
    if size > MAX_METADATA:
        raise refuse(400, f"metadata: it must have at most {MAX_METADATA} bytes")


def _text(form: FormData, name: str) -> str | None:
    value = form.get(name)
    return value[:200] if isinstance(value, str) and value.isprintable() else None


def _plain_name(name: str) -> str:
    """The last part of a path, without anything that is not to be printed."""
    last = PurePosixPath(name.replace("\\", "/")).name
    clean = "".join(c for c in last if unicodedata.category(c)[0] != "C")
    return clean[:200] if clean.strip(".") else "upload"


def _plain_type(kind: str | None) -> str:
    return kind if kind and kind.isascii() and kind.isprintable() else UNKNOWN_TYPE


async def _known(request: Request, file_id: str) -> StoredFile:
    file = await app_state(request).store.file(file_id)
    if file is None:
        raise refuse(404, "File not found")
    return file


def _too_large() -> Exception:
    return refuse(413, "Files must be less than 100MB in size")
