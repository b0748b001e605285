"""The worker process: runs jobs on the models it has loaded.

It holds nothing that matters: killed at any moment, it is started again and told again. It ends
by itself when the HTTP process is gone.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toccata.audio.audio_input import MAX_VALUES
from toccata.audio.files import TooMuchError
from toccata.errors import AudioError, CancelledError, ToccataError
from toccata.generation.clip import Progress
from toccata.generation.source_audio import declared_values, part_in_use
from toccata.server.worker.memory_budget import MemoryBudget, MemoryFullError
from toccata.server.worker.protocol import Job, Message, Pipe, receive, send
from toccata.server.worker.variations import Variations, metrics_of
from toccata.settings import Settings, wait_passively

if TYPE_CHECKING:
    from toccata.generation.handle import Toccata

log = logging.getLogger(__name__)
PROGRESS_S = 0.5
ALIVE_S = 5.0
# For how long a job may make no step before its first one, where its model is loaded, and after
# its last one, where its file is written; counted besides what every step may take.
UNSEEN_S = 1800.0
NICENESS = 5
VALUE_BYTES = 4
# Of decoded audio: for one job, and for all that run.
MAX_INPUT_BYTES = VALUE_BYTES * MAX_VALUES
INPUT_BYTES = 3 * MAX_INPUT_BYTES
# Headers are often off by a little.
HEADER_MARGIN = 1.05
MIN_VALUES = 2**16
# What is wrong with the machine and not with the job, which is made once it is over.
BLOCKED = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE})


def run(pipe: Pipe, machine: Settings) -> None:
    """The process's main function: work until told to stop, or until nobody listens."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the HTTP process's to handle
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    wait_passively()  # before torch is imported
    os.nice(NICENESS)  # whoever asks how it goes is answered first
    worker = Worker(pipe, machine)
    try:
        worker.say_alive()
        if worker.prepare():
            worker.listen()
    except (EOFError, OSError):
        log.info("the server is gone")
    os._exit(0)  # its threads may be in the middle of a step


class Worker:
    """Makes up to `machine.slots` pieces at once; each is a thread that drives the engine."""

    def __init__(self, pipe: Pipe, machine: Settings) -> None:
        self._pipe = pipe
        self._machine = machine
        self._sending = threading.Lock()
        self._loading = threading.Lock()
        self._models: dict[str, Toccata] = {}
        self._canceled: set[str] = set()
        self._memory = MemoryBudget(INPUT_BYTES)
        self._stepped: dict[str, float] = {}  # by job: its last step, or until when it needs none
        self._threads = ThreadPoolExecutor(machine.slots, "piece")

    def say_alive(self) -> None:
        """Send a heartbeat from now on, which says for how long no job has made a step."""

        def beat() -> None:
            while True:
                stepped_s = min(self._stepped.copy().values(), default=time.monotonic())
                self._say("alive", stalled_s=time.monotonic() - stepped_s)
                time.sleep(ALIVE_S)

        threading.Thread(target=beat, name="alive", daemon=True).start()

    def prepare(self) -> bool:
        """Load the model that is used where none is named, and those to be there too; say so.

        What cannot be loaded is said too: then the worker is of no use.
        """
        try:
            model = self._model(self._machine.model)
            for name in self._machine.also:
                self._model(name)
        except Exception as error:
            log.exception("the models cannot be loaded")
            words = str(error) if isinstance(error, ToccataError) else _internal(error)
            self._say("setup_failed", error=words)
            return False
        self._say("ready", device=str(model.model.device))
        return True

    def listen(self) -> None:
        while (message := receive(self._pipe)).kind != "stop":
            self._handle(message)

    def _handle(self, message: Message) -> None:
        if message.kind == "cancel":
            self._canceled.add(message.id)
        elif message.kind == "run":
            job = Job.from_message(message.data or {})
            self._canceled.discard(job.id)
            self._threads.submit(self._make, job)

    def _make(self, job: Job) -> None:
        try:
            self._say("done", job.id, **self._piece(job))
        except CancelledError:
            self._say("canceled", job.id)
        except MemoryFullError as error:
            self._say("postponed", job.id, memory_bytes=error.size_bytes)
        except ToccataError as error:
            self._say("failed", job.id, error=str(error))
        except Exception as error:
            log.exception("%s failed", job.id)
            if isinstance(error, OSError) and error.errno in BLOCKED:
                self._say("blocked", job.id, error=os.strerror(error.errno or 0))
            else:
                self._say("failed", job.id, error=_internal(error))
        finally:
            self._stepped.pop(job.id, None)
            self._canceled.discard(job.id)

    def _piece(self, job: Job) -> dict[str, Any]:
        """Make it and write it; what there is to say about it.

        Raises MemoryFullError while others have the memory that its audio takes.
        """
        self._memory.check(job.owner, job.memory_bytes or 0)
        self._say("started", job.id)
        began_s = time.monotonic()
        self._check(job)
        self._stepped[job.id] = began_s + UNSEEN_S
        model = self._model(job.model)
        needed = _memory_of(job) if job.memory_bytes is None else job.memory_bytes
        with self._memory.reserved(job.owner, needed) as memory:
            making = self._variations(job, model, needed)
            memory.shrink(making.input_bytes)
            made = making.make()
        return {"files": [one.file for one in made], "metrics": metrics_of(made, model, began_s)}

    def _variations(self, job: Job, model: Toccata, memory_bytes: int) -> Variations:
        """What makes a job, its audio decoded.

        Raises MemoryFullError if that takes more than `memory_bytes`, because headers are wrong.
        """
        try:
            return Variations(
                job,
                model,
                self._reporter(job.id),
                stopped=lambda: self._stopped(job),
                warn=lambda text: self._say("warning", job.id, text=text),
                max_input_values=memory_bytes // VALUE_BYTES,
            )
        except TooMuchError as error:
            if memory_bytes >= MAX_INPUT_BYTES:
                raise
            raise MemoryFullError(MAX_INPUT_BYTES) from error

    def _model(self, name: str) -> Toccata:
        """Raises CheckpointError if its weights are not here."""
        import toccata

        with self._loading:
            if name not in self._models:
                machine = self._machine
                model = toccata.load(
                    name,
                    device=machine.device,
                    precision=machine.precision,
                    slots=machine.slots,
                    offline=True,
                    lora=machine.lora if name == machine.model else (),
                )
                model.warm_up()
                self._models[name] = model
            return self._models[name]

    def _reporter(self, prediction_id: str) -> Callable[[Progress], None]:
        said = time.monotonic() - PROGRESS_S

        def report(progress: Progress) -> None:
            nonlocal said
            now, finished = time.monotonic(), progress.done_frames >= progress.total_frames
            self._stepped[prediction_id] = now + (UNSEEN_S if finished else 0)
            if now - said >= PROGRESS_S or finished:
                said = now
                counts = {"done": progress.done_frames, "total": progress.total_frames}
                self._say("progress", prediction_id, **counts)

        return report

    def _stopped(self, job: Job) -> bool:
        return job.id in self._canceled

    def _check(self, job: Job) -> None:
        if self._stopped(job):
            raise CancelledError("canceled before it began")

    def _say(self, kind: str, prediction_id: str = "", **data: Any) -> None:
        try:
            with self._sending:
                send(self._pipe, kind, prediction_id, **data)
        except OSError:
            os._exit(0)  # nobody listens: whoever comes next starts anew


def _memory_of(job: Job) -> int:
    """What the audio of a job takes at most while it is decoded, the file itself included."""
    part = part_in_use(job.request, job.model)
    if part is None:
        return 0
    try:
        values = declared_values(part)
        file_bytes = Path(part.file).stat().st_size
    except (AudioError, OSError):
        return MAX_INPUT_BYTES  # decoding it will raise the error
    if values is None:
        return MAX_INPUT_BYTES
    decoded_bytes = VALUE_BYTES * (math.ceil(HEADER_MARGIN * values) + MIN_VALUES)
    return min(MAX_INPUT_BYTES, decoded_bytes + file_bytes)


def _internal(error: Exception) -> str:
    """What is told of an error that nobody foresaw; the log has the rest."""
    return f"internal error: {type(error).__name__}; the log of the server says more"
