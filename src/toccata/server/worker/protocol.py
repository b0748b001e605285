"""The messages between server and worker: one JSON object each.

    to the worker      run, cancel, stop
    from the worker    alive, ready, started, warning, progress, done, failed, canceled, blocked,
                       postponed, setup_failed

Not pickle, which could run code: the pipe carries only data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from toccata.generation.request import EncodeDecodeRequest, GenerationRequest, ModelRequest
from toccata.generation.schema import ENCODE_DECODE, MAX_SEED


@dataclass(frozen=True)
class Job:
    """One prediction to run, with everything that it depends on.

    Attributes:
        id: The id of the prediction.
        model: The name of the model to load.
        requested_model: The model that the client requested; a server with a stand-in may load
            another one.
        request: The request, its audio a local file or a part of one.
        seed: The seed of the first variation.
        output_format: The format of the output files.
        folder: Where its files are written.
        count: The number of variations.
        width: The number of variations that run at once; 0: all.
        owner: The client that created it, as Prediction has it.
        memory_bytes: The memory that its audio takes while it is decoded, as the worker measured
            it; None: not measured yet.
    """

    id: str
    model: str
    requested_model: str
    request: ModelRequest
    seed: int
    output_format: str
    folder: str
    count: int = 1
    width: int = 0
    owner: str = ""
    memory_bytes: int | None = None

    @property
    def stand_in(self) -> str | None:
        """The model that runs in place of the requested one; None where that one runs itself."""
        return None if self.requested_model in (self.model, ENCODE_DECODE) else self.model

    @property
    def metrics(self) -> dict[str, Any]:
        """The metrics that are known without the worker."""
        return {} if self.stand_in is None else {"stand_in": self.stand_in}

    def to_message(self) -> dict[str, Any]:
        """The data of a run message, as JSON has it."""
        return {**vars(self), "request": self.request.model_dump(mode="json")}

    @classmethod
    def from_message(cls, data: Mapping[str, Any]) -> Job:
        """The job of a run message."""
        values = data["request"]
        kind = EncodeDecodeRequest if "audio" in values else GenerationRequest
        return cls(**{**data, "request": kind(**values)})


@dataclass(frozen=True)
class Message:
    """A message of the worker, or to it.

    Attributes:
        kind: One of the kinds above.
        id: The id of the prediction; empty where it is about none.
        data: Further values, as JSON has them.
    """

    kind: str
    id: str = ""
    data: Mapping[str, Any] | None = None

    def __getitem__(self, name: str) -> Any:
        return (self.data or {})[name]


class Pipe(Protocol):
    """One end of a `multiprocessing.Pipe`."""

    def send_bytes(self, data: bytes, /) -> None: ...
    def recv_bytes(self) -> bytes: ...


def send(pipe: Pipe, kind: str, prediction_id: str = "", **data: Any) -> None:
    """Send a message. Raises OSError if the other process is gone."""
    pipe.send_bytes(json.dumps([kind, prediction_id, data]).encode())


def receive(pipe: Pipe) -> Message:
    """Wait for the next message. Raises EOFError, OSError if the other process is gone."""
    kind, prediction_id, data = json.loads(pipe.recv_bytes())
    return Message(kind, prediction_id, data)


def seeds_of(seed: int, count: int) -> list[int]:
    """Return the seeds of all variations, counted up from `seed`; MAX_SEED is followed by 0."""
    return [(seed + i) % (MAX_SEED + 1) for i in range(count)]


def out_name(variation: int, count: int, suffix: str) -> str:
    """Return the file name of a variation, counted from 1, of `count`."""
    return f"out.{suffix}" if count == 1 else f"out-{variation}.{suffix}"
