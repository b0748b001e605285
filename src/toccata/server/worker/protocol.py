"""The messages between server and worker: one JSON object each.

    to the worker      run, cancel, stop
    from the worker    alive, ready, started, warning, progress, done, failed, canceled, blocked,
                       postponed, setup_failed

No pickle: the pipe carries nothing but data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from toccata.generation.schema import ENCODE_DECODE, MAX_SEED


@dataclass(frozen=True)
class Job:
    """One piece of music to make; everything it depends on is in here.

    inputs: the fields of `toccata.generation.inputs.Inputs`, the audio as the path of a local
    file. model: what is loaded for it, which is not what was asked for on a server with a
    stand-in. folder: where its files are written. count: how many variations of it are made;
    width: how many of them at once, 0: all. owner: who created it, as Prediction has it.
    memory_bytes: what its audio takes while it is decoded, as the worker measured; None: not yet.
    """

    id: str
    model: str
    inputs: Mapping[str, Any]
    folder: str
    count: int = 1
    width: int = 0
    owner: str = ""
    memory_bytes: int | None = None

    @property
    def stand_in(self) -> str | None:
        """The model that is not what was asked for; None if it is, or if no model is needed."""
        asked = self.inputs["model_version"]
        return None if asked in (self.model, ENCODE_DECODE) else self.model

    @property
    def marks(self) -> dict[str, Any]:
        """What its metrics say of it besides what the worker measured."""
        return {} if self.stand_in is None else {"stand_in": self.stand_in}


@dataclass(frozen=True)
class Message:
    """`kind` is one of the words above; `id` is the prediction's, "" where it is of none."""

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
    """Raises OSError if nobody listens any more."""
    pipe.send_bytes(json.dumps([kind, prediction_id, data]).encode())


def receive(pipe: Pipe) -> Message:
    """The next message. Raises EOFError once the other side is gone."""
    kind, prediction_id, data = json.loads(pipe.recv_bytes())
    return Message(kind, prediction_id, data)


def seeds_of(seed: int, count: int) -> list[int]:
    """Those of all variations; after the largest comes 0."""
    return [(seed + i) % (MAX_SEED + 1) for i in range(count)]


def out_name(variation: int, count: int, suffix: str) -> str:
    """What the file of a variation is called, counted from 1."""
    return f"out.{suffix}" if count == 1 else f"out-{variation}.{suffix}"


def run_message(job: Job) -> dict[str, Any]:
    return asdict(job)
