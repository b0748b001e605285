"""Keeps one worker process alive, and carries messages to and from it.

Everything here runs in the event loop, but for one thread that waits for messages. A worker that
dies is replaced after a pause that grows while it keeps dying; whoever listens is told, and sends
again what was under way.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from toccata.server import worker
from toccata.server.jobs import Job, Message, receive, run_message, send
from toccata.settings import Settings

log = logging.getLogger(__name__)

STARTING, READY, STOPPED = "starting", "ready", "stopped"
PAUSES_S = (0.0, 0.5, 2.0, 10.0)
STEADY_S = 60.0  # a worker that lived this long did not die of starting
LOST = "lost"  # the kind of message that says the worker died
BURIED_S = 10.0

OnMessage = Callable[[Message], None]
Work = Callable[[Connection, Settings], None]


class Supervisor:
    """`on_message` gets every message of the worker, and one of kind LOST when it died."""

    def __init__(self, machine: Settings, on_message: OnMessage, work: Work | None = None) -> None:
        """`work` is what the process runs; None: the real worker."""
        self._work = work or worker.run
        self._machine = machine
        self._on_message = on_message
        self._pipe: Connection | None = None
        self._process: BaseProcess | None = None
        self._listener: threading.Thread | None = None
        self._failures = 0
        self._started_s = 0.0
        self._restart: asyncio.TimerHandle | None = None
        self.state = STOPPED
        self.device = ""

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start a worker; called in the event loop. Raises OSError."""
        self.state = STARTING
        self._started_s = time.monotonic()
        # Not forked: the worker must have nothing of this process, neither sockets nor locks.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=self._work, args=(theirs, self._machine), name="toccata-worker", daemon=True
        )
        try:
            process.start()
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        loop = asyncio.get_running_loop()
        listen = threading.Thread(target=self._listen, args=(process, ours, loop), daemon=True)
        self._pipe, self._process, self._listener = ours, process, listen
        listen.start()

    def run(self, job: Job) -> None:
        """Tell the worker to make `job`. Nothing happens if it has just died: LOST follows."""
        self._send("run", job.id, **run_message(job))

    def cancel(self, prediction_id: str) -> None:
        self._send("cancel", prediction_id)

    def stop(self) -> None:
        """End the worker now."""
        self.state = STOPPED
        if self._restart is not None:
            self._restart.cancel()
        if self._process is not None:
            self._process.kill()
        self._bury()

    def _send(self, kind: str, prediction_id: str = "", **data: object) -> None:
        if self._pipe is None:
            return
        try:
            send(self._pipe, kind, prediction_id, **data)
        except OSError:
            log.debug("the worker is gone; %s of %s was not sent", kind, prediction_id)

    def _listen(
        self, process: BaseProcess, pipe: Connection, loop: asyncio.AbstractEventLoop
    ) -> None:
        """In its own thread: hand on every message until the worker is gone, which comes last."""
        try:
            while True:
                self._hand_on(loop, pipe, receive(pipe))
        except (EOFError, OSError, ValueError):
            process.kill()
            process.join()
            self._hand_on(loop, pipe, Message(LOST))

    def _hand_on(self, loop: asyncio.AbstractEventLoop, pipe: Connection, message: Message) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody wants to know
            loop.call_soon_threadsafe(self._take, pipe, message)

    def _take(self, pipe: Connection, message: Message) -> None:
        if pipe is not self._pipe:
            return  # of a worker that was stopped
        if message.kind == "ready":
            self.state, self.device = READY, str(message["device"])
        if message.kind == LOST:
            self._replace()
        self._on_message(message)

    def _replace(self) -> None:
        lived_s = time.monotonic() - self._started_s
        self._failures = 1 if lived_s > STEADY_S else self._failures + 1
        code = self._bury()
        self.state = STARTING
        log.error("the worker died (exit code %s)", code)
        self._start_later()

    def _start_later(self) -> None:
        pause_s = PAUSES_S[min(self._failures, len(PAUSES_S)) - 1]
        log.info("a new worker starts in %g s", pause_s)
        self._restart = asyncio.get_running_loop().call_later(pause_s, self._start_again)

    def _start_again(self) -> None:
        try:
            self.start()
        except OSError as error:
            log.error("no worker could be started: %s", error)
            self._failures += 1
            self._start_later()

    def _bury(self) -> int | None:
        """Let go of a worker that was killed; its exit code.

        The pipe is closed once nobody reads it: its number may be another file's right afterwards.
        """
        process, pipe, listener = self._process, self._pipe, self._listener
        self._process = self._pipe = self._listener = None
        if process is None or pipe is None or listener is None:
            return None
        listener.join(BURIED_S)
        code = process.exitcode
        if code is not None:
            pipe.close()
            process.close()
        return code
