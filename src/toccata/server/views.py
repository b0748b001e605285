"""Rows as the API shows them: every key always there, addresses absolute, no null in `urls`."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toccata.server.storage.repository import PROCESSING, STARTING, Prediction, StoredFile, iso

# The version of Cog whose container API is served.
COG_VERSION = "0.16.12"
_SHOWN_AS_THEY_ARE = (
    "input", "id", "created_at", "started_at", "completed_at", "logs", "error",
)  # fmt: skip

# What players and clients know best; the standard library says audio/x-wav.
AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg", "flac": "audio/flac", "ogg": "audio/ogg"}


# A path that is absolute, or inside a work folder; an address of the API is none.
_PATH = re.compile(
    r"(?<![^\s'\"(=])(?!/v1/)(?:(?:/[\w.@+-]+)+|[\w.@+/-]+/work(?:/[\w.@+-]+)*)/([\w.@+-]+)"
)


# The URI of what was made, or those of all variations.
Output = str | list[str]


def one_or_all(uris: list[str]) -> Output:
    return uris[0] if len(uris) == 1 else uris


@dataclass(frozen=True)
class Address:
    """Where a client reaches this server: "https://host:port", without a slash at the end."""

    base: str

    def prediction(self, prediction_id: str) -> str:
        return f"{self.base}/v1/predictions/{prediction_id}"

    def output(self, prediction: Prediction) -> Output | None:
        """Of what was made; its last part is a real file name."""
        if prediction.output is None:
            return None
        return one_or_all([f"{self.base}/{name}" for name in prediction.outputs])

    def urls(self, prediction: Prediction) -> dict[str, str]:
        get = self.prediction(prediction.id)
        return {
            "get": get,
            "cancel": f"{get}/cancel",
            "stream": f"{self.base}/v1/files/{prediction.key}/stream",
            "audio": f"{self.base}/outputs/{prediction.key}/audio",
            "web": f"{self.base}/ui?prediction={prediction.id}",
        }


def prediction_json(
    prediction: Prediction, address: Address, data: Output | None = None
) -> dict[str, Any]:
    """`data` is its output as data URIs, if it is shown so."""
    shown: dict[str, Any] = {
        "id": prediction.id,
        "model": prediction.model,
        "version": prediction.version,
        "status": prediction.status,
        "input": dict(prediction.input),
        "output": data or address.output(prediction),
        "error": without_paths(prediction.error),
        "logs": prediction.logs,
        "metrics": dict(prediction.metrics),
        "created_at": iso(prediction.created_at),
        "started_at": _time(prediction.started_at),
        "completed_at": _time(prediction.completed_at),
        "data_removed": prediction.data_removed,
        "source": "api",
        "urls": address.urls(prediction),
    }
    if prediction.deadline is not None:
        shown["deadline"] = iso(prediction.deadline)
    if prediction.webhook is not None:
        shown["webhook"] = prediction.webhook
        shown["webhook_events_filter"] = list(prediction.webhook_events)
    return shown


def without_paths(error: str | None) -> str | None:
    """An error as clients see it: of a path on this machine, its last part."""
    return None if error is None else _PATH.sub(r"\1", error)


def content_type(name: str) -> str:
    suffix = name.rpartition(".")[2]
    return AUDIO_TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def file_json(file: StoredFile, address: Address) -> dict[str, Any]:
    return {
        "id": file.id,
        "name": file.name,
        "content_type": file.content_type,
        "size": file.size,
        "etag": file.md5,
        "checksums": {"sha256": file.sha256, "md5": file.md5},
        "metadata": dict(file.metadata),
        "created_at": iso(file.created_at),
        "expires_at": _time(file.expires_at),
        "urls": {"get": f"{address.base}/v1/files/{file.id}"},
    }


def page_json(results: list[Any], next_url: str | None = None) -> dict[str, Any]:
    return {"next": next_url, "previous": None, "results": results}


def problem(status: int, detail: str, title: str | None = None) -> Mapping[str, Any]:
    """The body of an error."""
    return {**({"title": title} if title else {}), "detail": detail, "status": status}


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else iso(seconds)


def cog_json(prediction: Prediction, data: Output | None) -> dict[str, Any]:
    """A prediction as a container shows it, nulls among it. `data`: its output as a data URI.

    A container starts what it accepts at once, so it has no word for one that is about to start.
    """
    shown = prediction_json(prediction, Address(prediction.base), data)
    predict_s = prediction.metrics.get("predict_time")
    return {
        **{name: shown[name] for name in _SHOWN_AS_THEY_ARE},
        "version": None,
        "status": PROCESSING if prediction.status == STARTING else prediction.status,
        "output": prediction.delivered or shown["output"],
        "metrics": None if predict_s is None else {"predict_time": predict_s},
    }
