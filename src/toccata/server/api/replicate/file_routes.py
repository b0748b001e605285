"""Routes of /v1/files: audio that clients upload and then name in the inputs of predictions."""

from __future__ import annotations

import hashlib
import re
import time
import unicodedata
from collections.abc import Mapping
from functools import partial
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import Response

from toccata.server.api.body_limits import client_of, too_many
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
from toccata.server.api.openapi import files, problems, request_body
from toccata.server.api.parameters import ByteRange, Cursor, FileId
from toccata.server.api.replicate import schemas
from toccata.server.predictions.kept_files import full_disk
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
MAX_FIELDS = 100
MAX_FIELD_BYTES = MAX_METADATA + 1024
KEPT_S = 24 * 3600.0
PAGE_SIZE = 100
BLOCK_BYTES = 2**20
UNKNOWN_TYPE = "application/octet-stream"
_BRACKETS = re.compile(r"\[([^\[\]]{0,200})\]")

router = APIRouter(dependencies=[Depends(authorize)])


@router.post(
    "/files",
    summary="Upload a file.",
    status_code=201,
    response_model=schemas.File,
    response_description="The file was stored.",
    responses=problems(413),
    openapi_extra=request_body(schemas.Upload, "multipart/form-data"),
)
async def upload(request: Request) -> JSONResponse:
    """Prediction inputs can name the file by its URL. It is deleted after a day."""
    declared = int(request.headers.get("content-length") or 0)
    if declared > MAX_BYTES + 2**20:
        raise _too_large()
    app_state(request).uploads.quota.check(owner_of(request), declared)
    with app_state(request).forms.hold(client_of(request.scope)) as is_granted:
        if not is_granted:
            raise too_many()
        return await _upload(request)


async def _upload(request: Request) -> JSONResponse:
    """Read a form to its end. Files go to the disk, and fields, which are short, to the memory."""
    limits = {"max_files": 2, "max_fields": MAX_FIELDS, "max_part_size": MAX_FIELD_BYTES}
    try:
        async with request.form(**limits) as form:
            return JSONResponse(await _keep(request, form), 201)
    except HTTPException as error:  # starlette's, for what its parser does not take
        detail = f"The form is refused: {error.detail.rstrip('.')}; its fields are short"
        raise refuse(400, f"{detail}, metadata has at most {MAX_METADATA} bytes") from error
    except OSError as error:  # of the temporary files of the form
        raise full_disk(error) from error


@router.get(
    "/files",
    summary="List the uploaded files, newest first.",
    response_model=schemas.FilePage,
    response_description="A page of the list.",
)
async def list_files(request: Request, cursor: Cursor = None) -> Response:
    own = address(request)
    read = partial(app_state(request).store.files, PAGE_SIZE + 1, cursor_of(cursor))
    return page_of(request, "/v1/files", read, lambda file: file_json(file, own), PAGE_SIZE)


@router.get(
    "/files/{file_id}",
    summary="Describe an uploaded file.",
    response_model=schemas.File,
    response_description="The description of the file.",
    responses=problems(404),
)
async def get(request: Request, file_id: FileId) -> JSONResponse:
    """`/v1/files/{file_id}/download` has the content of the file."""
    return JSONResponse(file_json(await _find(request, file_id), address(request)))


@router.head("/files/{file_id}/download", include_in_schema=False)
@router.get(
    "/files/{file_id}/download",
    summary="Download an uploaded file.",
    response_class=Response,
    response_description="The file.",
    responses={**files(UNKNOWN_TYPE), **problems(404)},
)
async def download(request: Request, file_id: FileId, byte_range: ByteRange = None) -> Response:
    file = await _find(request, file_id)
    # Never shown as a page: what one client uploaded must not run in the browser of another.
    response = await stored_response(
        request,
        f"files/{file.id}",
        byte_range,
        saved_as=file.name,
        modified_at=file.created_at,
        kind="attachment",
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@router.delete(
    "/files/{file_id}",
    summary="Delete an uploaded file.",
    status_code=204,
    response_class=Response,
    response_description="The file was deleted.",
    responses=problems(404),
)
async def delete(request: Request, file_id: FileId) -> Response:
    await _find(request, file_id)
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
    """Store an upload for a day. Raises ProblemError if it exceeds the size limit or the quota."""
    file_id = new_key()
    with server.uploads.receiving() as folder:
        local = folder / "content"
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
    """Copy an upload; return its size, SHA-256 and MD5. Raises ProblemError if it is too large."""
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
    """Read the metadata: clients send a JSON text, a JSON file or fields metadata[a][b]."""
    value = form.get("metadata")
    if value is None:
        return _bracketed(form)
    text = await value.read(MAX_METADATA + 1) if isinstance(value, UploadFile) else value
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
    """The last part of a path, without control characters."""
    last = PurePosixPath(name.replace("\\", "/")).name
    clean = "".join(c for c in last if unicodedata.category(c)[0] != "C")
    return clean[:200] if clean.strip(".") else "upload"


def _plain_type(kind: str | None) -> str:
    return kind if kind and kind.isascii() and kind.isprintable() else UNKNOWN_TYPE


async def _find(request: Request, file_id: str) -> StoredFile:
    file = await app_state(request).store.file(file_id)
    if file is None:
        raise refuse(404, "File not found")
    return file


def _too_large() -> Exception:
    return refuse(413, "Files must be less than 100MB in size")
