"""Supervise the worker process, and exchange messages with it.

Everything here runs in the event loop, except two threads: one receives messages, and one sends
them, because a worker that hangs reads none. A worker that dies is replaced, after a delay that
grows while it keeps dying; the dispatcher gets a message of kind LOST, and runs its jobs again. A
worker that sends no heartbeat, or whose jobs make no step, is killed and replaced. A worker that
cannot load its models reports the reason, and is started again from time to time.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from queue import SimpleQueue

from toccata.server.worker import main
from toccata.server.worker.blame import can_be_caused, count_oom_kills
from toccata.server.worker.protocol import Job, Message, receive, send
from toccata.settings import Settings

log = logging.getLogger(__name__)

STARTING, READY, STOPPED, FAILED = "starting", "ready", "stopped", "setup failed"
RESTART_DELAYS_S = (0.0, 0.5, 2.0, 10.0)
STABLE_AFTER_S = 60.0  # a worker that ran for so long did not die of its start
LOST = "lost"  # the kind of the message that reports the death of the worker
JOIN_TIMEOUT_S = 10.0
EXIT_TIMEOUT_S = 2.0  # between the end of a worker's pipe and the end of its process
SETUP_RETRY_S = 30.0
HEARTBEAT_TIMEOUT_S = 30.0
STALL_TIMEOUT_S = 180.0  # a step takes seconds on the slowest machine
WATCH_INTERVAL_S = 1.0

OnMessage = Callable[[Message], None]
Work = Callable[[Connection, Settings], None]
# Calls that each send a message; None ends the thread.
Outbox = SimpleQueue[Callable[[], None] | None]


class Supervisor:
    """The worker process, which it starts, watches and replaces.

    Args:
        machine: The settings of the worker.
        on_message: Called with each message of the worker, and with one of kind LOST when it died.
        work: The main function of the worker process; None: the real one.

    Attributes:
        state: STARTING, READY, STOPPED or FAILED.
        device: The device of the last worker that was ready, such as "cuda:0".
        setup_error: Why the models could not be loaded; None: they could.
    """

    def __init__(self, machine: Settings, on_message: OnMessage, work: Work | None = None) -> None:
        self._work = work or main.run
        self._machine = machine
        self._on_message = on_message
        self._pipe: Connection | None = None
        self._process: BaseProcess | None = None
        self._outbox: Outbox = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._failures = 0
        self._started_s = 0.0
        self._restart: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._received_s = 0.0
        self._stalled_s = 0.0
        self._hung = False
        self._oom_kills: int | None = None
        self.state = STOPPED
        self.device = ""
        self.setup_error: str | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the worker; None: it does not run."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start a worker; called in the event loop. Raises OSError."""
        if self.state != FAILED:  # a failed setup is reported until a worker is ready
            self.state = STARTING
        self._started_s = self._received_s = time.monotonic()
        self._stalled_s, self._hung, self._oom_kills = 0.0, False, count_oom_kills()
        # Not forked: the worker must inherit no sockets and no locks.
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
        self._pipe, self._process, self._outbox = ours, process, SimpleQueue()
        self._threads = [
            threading.Thread(target=self._listen, args=(process, ours, loop), daemon=True),
            threading.Thread(target=_send_all, args=(self._outbox,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        self._watch = loop.call_later(WATCH_INTERVAL_S, self._check_alive)

    def run(self, job: Job) -> None:
        """Send a job to the worker. Nothing is sent if it has just died: LOST follows."""
        self._send("run", job.id, **job.to_message())

    def cancel(self, prediction_id: str) -> None:
        """Have the worker end the job of a prediction at its next step."""
        self._send("cancel", prediction_id)

    def stop(self) -> None:
        """End the worker now."""
        self.state = STOPPED
        for timer in (self._restart, self._watch):
            if timer is not None:
                timer.cancel()
        if self._process is not None:
            self._process.kill()
        self._reap()

    def _check_alive(self) -> None:
        """Kill a worker that hangs; the receiving thread then reports its death."""
        silent_s = time.monotonic() - self._received_s
        if silent_s > HEARTBEAT_TIMEOUT_S or self._stalled_s > STALL_TIMEOUT_S:
            why = f"no message for {silent_s:.0f} s, no step for {self._stalled_s:.0f} s"
            log.error("the worker hangs (%s) and is killed", why)
            self._hung, self._stalled_s = True, 0.0
            if self._process is not None:
                self._process.kill()
        self._watch = asyncio.get_running_loop().call_later(WATCH_INTERVAL_S, self._check_alive)

    def _send(self, kind: str, prediction_id: str = "", **data: object) -> None:
        if self._pipe is not None:
            self._outbox.put(partial(send, self._pipe, kind, prediction_id, **data))

    def _listen(
        self, process: BaseProcess, pipe: Connection, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Receive messages, in a thread, until the worker is gone; LOST is the last one."""
        try:
            while True:
                self._forward(loop, pipe, receive(pipe))
        except (EOFError, OSError, ValueError):
            process.join(EXIT_TIMEOUT_S)  # it may be about to exit, with a code that has the reason
            process.kill()
            process.join()
            self._forward(loop, pipe, Message(LOST))

    def _forward(self, loop: asyncio.AbstractEventLoop, pipe: Connection, message: Message) -> None:
        with suppress(RuntimeError):  # the event loop is closed
            loop.call_soon_threadsafe(self._handle, pipe, message)

    def _handle(self, pipe: Connection, message: Message) -> None:
        if pipe is not self._pipe:
            return  # a message of a worker that was stopped
        self._received_s = time.monotonic()
        if message.kind == "alive":
            self._stalled_s = float(message["stalled_s"])
            return
        if message.kind == "ready":
            self.state, self.device, self.setup_error = READY, str(message["device"]), None
        if message.kind == "setup_failed":
            self.state, self.setup_error = FAILED, str(message["error"])
            log.error("the worker cannot start: %s", self.setup_error)
        if message.kind == LOST:
            message = self._replace()
        self._on_message(message)

    def _replace(self) -> Message:
        """Reap the dead worker, schedule the next one, and return the message of its death."""
        lived_s = time.monotonic() - self._started_s
        self._failures = 1 if lived_s > STABLE_AFTER_S else self._failures + 1
        if self._watch is not None:
            self._watch.cancel()
        code = self._reap()
        suspect = can_be_caused(code, self._oom_kills, self._hung)
        if self.state != FAILED:
            self.state = STARTING
            log.error("the worker died (exit code %s)", code)
        self._start_later()
        return Message(LOST, data={"suspect": suspect})

    def _start_later(self) -> None:
        delay_s = RESTART_DELAYS_S[min(self._failures, len(RESTART_DELAYS_S)) - 1]
        if self.state == FAILED:
            delay_s = SETUP_RETRY_S
        log.info("a new worker starts in %g s", delay_s)
        self._restart = asyncio.get_running_loop().call_later(delay_s, self._start_again)

    def _start_again(self) -> None:
        try:
            self.start()
        except OSError as error:
            log.error("no worker could be started: %s", error)
            self._failures += 1
            self._start_later()

    def _reap(self) -> int | None:
        """Release the resources of a worker that was killed.

        The pipe is closed once no thread reads it: another file may get its number at once.

        Returns:
            The exit code of the process; None: it has not ended.
        """
        process, pipe, threads = self._process, self._pipe, self._threads
        self._process, self._pipe, self._threads = None, None, []
        self._outbox.put(None)
        if process is None or pipe is None:
            return None
        for thread in threads:
            thread.join(JOIN_TIMEOUT_S)
        code = process.exitcode
        if code is not None:
            pipe.close()
            process.close()
        return code


def _send_all(outbox: Outbox) -> None:
    """Send the messages of an outbox, in a thread, until the worker is gone."""
    with suppress(OSError):
        while (send_next := outbox.get()) is not None:
            send_next()
