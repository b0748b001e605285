"""The JSON of the API: every key is always there, URLs are absolute, `urls` has no null."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toccata.server.storage.repository import PROCESSING, STARTING, Prediction, StoredFile, iso

# The version of Cog whose container API is served.
COG_VERSION = "0.16.12"
_UNCHANGED = (
    "input", "id", "created_at", "started_at", "completed_at", "logs", "error",
)  # fmt: skip

# The types that most players and clients know; the standard library has audio/x-wav.
AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg", "flac": "audio/flac", "ogg": "audio/ogg"}


# An absolute path, or one inside a work folder, but not a URL path of the API.
_PATH = re.compile(
    r"(?<![^\s'\"(=])(?!/v1/)(?:(?:/[\w.@+-]+)+|[\w.@+/-]+/work(?:/[\w.@+-]+)*)/([\w.@+-]+)"
)


# The URI of the output, or of each variation.
Output = str | list[str]


def one_or_all(uris: list[str]) -> Output:
    """Return the only URI, or the list where there are several variations."""
    return uris[0] if len(uris) == 1 else uris


@dataclass(frozen=True)
class Address:
    """The base URL at which clients reach this server.

    Args:
        base: "https://host:port", without a slash at the end.
    """

    base: str

    def prediction(self, prediction_id: str) -> str:
        """The URL of a prediction."""
        return f"{self.base}/v1/predictions/{prediction_id}"

    def output(self, prediction: Prediction) -> Output | None:
        """The URLs of the outputs, which end in file names; None: there is no output."""
        if prediction.output is None:
            return None
        return one_or_all([f"{self.base}/{name}" for name in prediction.outputs])

    def urls(self, prediction: Prediction) -> dict[str, str]:
        """The URLs of a prediction by name, as its `urls` has them."""
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
    """Show a prediction as the hosted API does.

    Args:
        prediction: The prediction.
        address: The base URL of this server.
        data: Its output as data URIs; None: URLs are used.
    """
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
    """Reduce each path on this machine in an error to its last part."""
    return None if error is None else _PATH.sub(r"\1", error)


def content_type(name: str) -> str:
    """The content type of a file by its suffix."""
    suffix = name.rpartition(".")[2]
    return AUDIO_TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def file_json(file: StoredFile, address: Address) -> dict[str, Any]:
    """Show an upload as the hosted API does."""
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
    """Make a page of a list; `next_url` is None on the last page."""
    return {"next": next_url, "previous": None, "results": results}


def problem(status: int, detail: str, title: str | None = None) -> Mapping[str, Any]:
    """Make the body of an error response."""
    return {**({"title": title} if title else {}), "detail": detail, "status": status}


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else iso(seconds)


def cog_json(prediction: Prediction, data: Output | None) -> dict[str, Any]:
    """Show a prediction as a Cog container does.

    A container starts each prediction at once, so it has no status for one that waits.

    Args:
        prediction: The prediction.
        data: Its output as data URIs; None: URLs are used.
    """
    shown = prediction_json(prediction, Address(prediction.base), data)
    predict_s = prediction.metrics.get("predict_time")
    return {
        **{name: shown[name] for name in _UNCHANGED},
        "version": None,
        "status": PROCESSING if prediction.status == STARTING else prediction.status,
        "output": prediction.delivered or shown["output"],
        "metrics": None if predict_s is None else {"predict_time": predict_s},
    }
