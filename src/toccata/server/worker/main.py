"""The worker process: runs jobs on the models it has loaded.

It keeps no state that would be lost: killed at any moment, it is replaced, and its jobs are sent
again. It exits when the HTTP process is gone.
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
PROGRESS_INTERVAL_S = 0.5
HEARTBEAT_INTERVAL_S = 5.0
# How long a job may take without a step before its first one, while its model is loaded, and after
# its last one, while its file is written. STALL_TIMEOUT_S of the supervisor comes on top.
STEPLESS_TIMEOUT_S = 1800.0
NICENESS = 5
VALUE_BYTES = 4
# Memory of decoded audio: of one job, and of all running jobs.
MAX_INPUT_BYTES = VALUE_BYTES * MAX_VALUES
MAX_TOTAL_INPUT_BYTES = 3 * MAX_INPUT_BYTES
# The length in a header is often off by a little.
HEADER_MARGIN = 1.05
MIN_VALUES = 2**16
# Errors of the machine and not of the job, which runs again once they are over.
MACHINE_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE})


def run(pipe: Pipe, machine: Settings) -> None:
    """Run the worker until a stop message comes or the server is gone.

    Args:
        pipe: The connection to the server.
        machine: The settings: models, device, precision, slots.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the HTTP process handles Ctrl-C
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    wait_passively()  # before torch is imported
    os.nice(NICENESS)  # HTTP requests come before generation
    worker = Worker(pipe, machine)
    try:
        worker.start_heartbeat()
        if worker.load_models():
            worker.listen()
    except (EOFError, OSError):
        log.info("the server is gone")
    os._exit(0)  # its threads may be in the middle of a step


class Worker:
    """Runs up to `machine.slots` jobs at once, each in a thread that drives the engine.

    Args:
        pipe: The connection to the server.
        machine: The settings: models, device, precision, slots.
    """

    def __init__(self, pipe: Pipe, machine: Settings) -> None:
        self._pipe = pipe
        self._machine = machine
        self._sending = threading.Lock()
        self._loading = threading.Lock()
        self._models: dict[str, Toccata] = {}
        self._canceled: set[str] = set()
        self._memory = MemoryBudget(MAX_TOTAL_INPUT_BYTES)
        # Job id -> time of its last step, or the time until which it may run without a step.
        self._stepped: dict[str, float] = {}
        self._threads = ThreadPoolExecutor(machine.slots, "job")

    def start_heartbeat(self) -> None:
        """Send a heartbeat from now on, with the time since the last step of the slowest job."""

        def beat() -> None:
            while True:
                stepped_s = min(self._stepped.copy().values(), default=time.monotonic())
                self._send("alive", stalled_s=time.monotonic() - stepped_s)
                time.sleep(HEARTBEAT_INTERVAL_S)

        threading.Thread(target=beat, name="heartbeat", daemon=True).start()

    def load_models(self) -> bool:
        """Load the default model and `machine.also`, and send `ready` or `setup_failed`.

        Returns:
            Whether all models are loaded; without them the worker cannot run jobs.
        """
        try:
            model = self._model(self._machine.model)
            for name in self._machine.also:
                self._model(name)
        except Exception as error:
            log.exception("the models cannot be loaded")
            message = str(error) if isinstance(error, ToccataError) else _internal(error)
            self._send("setup_failed", error=message)
            return False
        self._send("ready", device=str(model.model.device))
        return True

    def listen(self) -> None:
        """Handle messages of the server until one says stop. Raises EOFError, OSError."""
        while (message := receive(self._pipe)).kind != "stop":
            self._handle(message)

    def _handle(self, message: Message) -> None:
        if message.kind == "cancel":
            self._canceled.add(message.id)
        elif message.kind == "run":
            job = Job.from_message(message.data or {})
            self._canceled.discard(job.id)
            self._threads.submit(self._run, job)

    def _run(self, job: Job) -> None:
        """Run a job in its own thread, and send how it ended."""
        try:
            self._send("done", job.id, **self._generate(job))
        except CancelledError:
            self._send("canceled", job.id)
        except MemoryFullError as error:
            self._send("postponed", job.id, memory_bytes=error.size_bytes)
        except ToccataError as error:
            self._send("failed", job.id, error=str(error))
        except Exception as error:
            log.exception("%s failed", job.id)
            if isinstance(error, OSError) and error.errno in MACHINE_ERRORS:
                self._send("blocked", job.id, error=os.strerror(error.errno or 0))
            else:
                self._send("failed", job.id, error=_internal(error))
        finally:
            self._stepped.pop(job.id, None)
            self._canceled.discard(job.id)

    def _generate(self, job: Job) -> dict[str, Any]:
        """Generate the clips of a job and write them to files.

        Returns:
            The data of its `done` message.

        Raises:
            MemoryFullError: Other jobs hold the memory that its audio needs.
        """
        self._memory.check(job.owner, job.memory_bytes or 0)
        self._send("started", job.id)
        began_s = time.monotonic()
        self._check_not_canceled(job)
        self._stepped[job.id] = began_s + STEPLESS_TIMEOUT_S
        model = self._model(job.model)
        needed = _memory_of(job) if job.memory_bytes is None else job.memory_bytes
        with self._memory.reserved(job.owner, needed) as memory:
            variations = self._variations(job, model, needed)
            memory.shrink(variations.input_bytes)
            outputs = variations.generate()
        files = [output.file for output in outputs]
        return {"files": files, "metrics": metrics_of(outputs, model, began_s)}

    def _variations(self, job: Job, model: Toccata, memory_bytes: int) -> Variations:
        """Decode the audio of a job.

        Raises:
            MemoryFullError: It takes more than `memory_bytes`, because its header is wrong.
        """
        try:
            return Variations(
                job,
                model,
                self._reporter(job.id),
                is_canceled=lambda: self._is_canceled(job),
                warn=lambda text: self._send("warning", job.id, text=text),
                max_input_values=memory_bytes // VALUE_BYTES,
            )
        except TooMuchError as error:
            if memory_bytes >= MAX_INPUT_BYTES:
                raise
            raise MemoryFullError(MAX_INPUT_BYTES) from error

    def _model(self, name: str) -> Toccata:
        """Return a model, loaded at its first use. Raises CheckpointError without its weights."""
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
        sent_s = time.monotonic() - PROGRESS_INTERVAL_S

        def report(progress: Progress) -> None:
            nonlocal sent_s
            now, finished = time.monotonic(), progress.done_frames >= progress.total_frames
            self._stepped[prediction_id] = now + (STEPLESS_TIMEOUT_S if finished else 0)
            if now - sent_s >= PROGRESS_INTERVAL_S or finished:
                sent_s = now
                counts = {"done": progress.done_frames, "total": progress.total_frames}
                self._send("progress", prediction_id, **counts)

        return report

    def _is_canceled(self, job: Job) -> bool:
        return job.id in self._canceled

    def _check_not_canceled(self, job: Job) -> None:
        if self._is_canceled(job):
            raise CancelledError("canceled before it began")

    def _send(self, kind: str, prediction_id: str = "", **data: Any) -> None:
        try:
            with self._sending:
                send(self._pipe, kind, prediction_id, **data)
        except OSError:
            os._exit(0)  # the server is gone; the next one runs its jobs again


def _memory_of(job: Job) -> int:
    """Return the most bytes that decoding the audio of a job takes, with the file itself."""
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
    """Return the public message of an unexpected error; its details are only in the log."""
    return f"internal error: {type(error).__name__}; the log of the server has details"
