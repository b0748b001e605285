"""Parameters of the routes, with what the OpenAPI document says about them.

Headers and most queries are plain strings: the routes parse them, because the contract fixes the
words and the status code of each error.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Path, Query

from toccata.server.api.schemas import Absent
from toccata.server.worker.live_audio import FORMATS

Owner = Annotated[str, Path(description="The owner of the model, such as `meta`.")]
ModelName = Annotated[str, Path(description="The name of the model, such as `musicgen`.")]
VersionId = Annotated[str, Path(description="The id of the version: 64 hexadecimal digits.")]
PredictionId = Annotated[str, Path(description="The id of the prediction.")]
FileId = Annotated[str, Path(description="The id of the uploaded file.")]
FileName = Annotated[str, Path(description="The name of the file, such as `output.wav`.")]
Key = Annotated[
    str, Path(description="The secret key of the prediction. Its `output` and `urls` contain it.")
]

Cursor = Annotated[
    str | Absent, Query(description="Where the page begins. `next` of the page before has it.")
]
CreatedAfter = Annotated[
    str | Absent,
    Query(
        description="List only predictions that were created at this time (ISO 8601) or later.",
        json_schema_extra={"format": "date-time"},
    ),
]
CreatedBefore = Annotated[
    str | Absent,
    Query(
        description="List only predictions that were created before this time (ISO 8601).",
        json_schema_extra={"format": "date-time"},
    ),
]
AudioFormat = Annotated[
    str, Query(description="The format of the audio.", json_schema_extra={"enum": [*FORMATS]})
]
Variation = Annotated[int, Query(description="Which variation to play, from 1 on.")]

Prefer = Annotated[
    str | Absent,
    Header(
        alias="Prefer",
        description="`wait` or `wait=SECONDS`: answer when the prediction has ended, or after this "
        "time, which is at most 55 s. Without it the server answers at once.",
    ),
]
PreferAsync = Annotated[
    str | Absent,
    Header(
        alias="Prefer",
        description="`respond-async`: answer at once. Without it the server answers when the "
        "prediction has ended.",
    ),
]
CancelAfter = Annotated[
    str | Absent,
    Header(
        alias="Cancel-After",
        description="Cancel the prediction after this time: `30`, `30s`, `5m` or `2h30m`. "
        "The shortest is 5 s.",
    ),
]
LastEventId = Annotated[
    str | Absent,
    Header(alias="Last-Event-ID", description="Send only the events after the one with this id."),
]
ByteRange = Annotated[
    str | Absent,
    Header(alias="Range", description="`bytes=FIRST-LAST`: send only this part of the file."),
]
