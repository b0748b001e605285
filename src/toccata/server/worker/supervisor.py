"""Supervise the worker process, and exchange messages with it.

Everything here runs in the event loop, but for two threads: one waits for messages, one sends them,
because a worker that hangs takes none. A worker that
dies is replaced after a pause that grows while it keeps dying; whoever listens is told, and sends
again what was under way. A worker that sends no heartbeat, or whose jobs make no step, is killed
and replaced. One that cannot load its models says why, and is started again from time to time.
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
PAUSES_S = (0.0, 0.5, 2.0, 10.0)
STEADY_S = 60.0  # a worker that lived this long did not die of starting
LOST = "lost"  # the kind of message that says the worker died
BURIED_S = 10.0
EXIT_S = 2.0  # between the end of a worker's pipe and that of its process
SETUP_RETRY_S = 30.0
HEARTBEAT_TIMEOUT_S = 30.0
STALL_TIMEOUT_S = 180.0  # a step takes seconds on the slowest machine
WATCH_S = 1.0

OnMessage = Callable[[Message], None]
Work = Callable[[Connection, Settings], None]
# What is to be sent; None: nothing more.
Outbox = SimpleQueue[Callable[[], None] | None]


class Supervisor:
    """`on_message` gets every message of the worker, and one of kind LOST when it died."""

    def __init__(self, machine: Settings, on_message: OnMessage, work: Work | None = None) -> None:
        """`work` is what the process runs; None: the real worker."""
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
        self._heard_s = 0.0
        self._stalled_s = 0.0
        self._hung = False
        self._oom_kills: int | None = None
        self.state = STOPPED
        self.device = ""
        self.setup_error: str | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start a worker; called in the event loop. Raises OSError."""
        if self.state != FAILED:  # which holds until a worker is ready
            self.state = STARTING
        self._started_s = self._heard_s = time.monotonic()
        self._stalled_s, self._hung, self._oom_kills = 0.0, False, count_oom_kills()
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
        self._pipe, self._process, self._outbox = ours, process, SimpleQueue()
        self._threads = [
            threading.Thread(target=self._listen, args=(process, ours, loop), daemon=True),
            threading.Thread(target=_speak, args=(self._outbox,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        self._watch = loop.call_later(WATCH_S, self._look)

    def run(self, job: Job) -> None:
        """Tell the worker to make `job`. Nothing happens if it has just died: LOST follows."""
        self._send("run", job.id, **job.to_message())

    def cancel(self, prediction_id: str) -> None:
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

    def _look(self) -> None:
        """Kill a worker that hangs; that it died is then noticed as always."""
        silent_s = time.monotonic() - self._heard_s
        if silent_s > HEARTBEAT_TIMEOUT_S or self._stalled_s > STALL_TIMEOUT_S:
            what = f"said nothing for {silent_s:.0f} s, no step for {self._stalled_s:.0f} s"
            log.error("the worker hangs (%s) and is killed", what)
            self._hung, self._stalled_s = True, 0.0
            if self._process is not None:
                self._process.kill()
        self._watch = asyncio.get_running_loop().call_later(WATCH_S, self._look)

    def _send(self, kind: str, prediction_id: str = "", **data: object) -> None:
        if self._pipe is not None:
            self._outbox.put(partial(send, self._pipe, kind, prediction_id, **data))

    def _listen(
        self, process: BaseProcess, pipe: Connection, loop: asyncio.AbstractEventLoop
    ) -> None:
        """In its own thread: hand on every message until the worker is gone, which comes last."""
        try:
            while True:
                self._hand_on(loop, pipe, receive(pipe))
        except (EOFError, OSError, ValueError):
            process.join(EXIT_S)  # it may be about to end, with a code that says why
            process.kill()
            process.join()
            self._hand_on(loop, pipe, Message(LOST))

    def _hand_on(self, loop: asyncio.AbstractEventLoop, pipe: Connection, message: Message) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody wants to know
            loop.call_soon_threadsafe(self._take, pipe, message)

    def _take(self, pipe: Connection, message: Message) -> None:
        if pipe is not self._pipe:
            return  # of a worker that was stopped
        self._heard_s = time.monotonic()
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
        """Start another worker in a while; what is told of the death of this one."""
        lived_s = time.monotonic() - self._started_s
        self._failures = 1 if lived_s > STEADY_S else self._failures + 1
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
        pause_s = PAUSES_S[min(self._failures, len(PAUSES_S)) - 1]
        if self.state == FAILED:
            pause_s = SETUP_RETRY_S
        log.info("a new worker starts in %g s", pause_s)
        self._restart = asyncio.get_running_loop().call_later(pause_s, self._start_again)

    def _start_again(self) -> None:
        try:
            self.start()
        except OSError as error:
            log.error("no worker could be started: %s", error)
            self._failures += 1
            self._start_later()

    def _reap(self) -> int | None:
        """Let go of a worker that was killed; its exit code.

        The pipe is closed once nobody reads it: its number may be another file's right afterwards.
        """
        process, pipe, threads = self._process, self._pipe, self._threads
        self._process, self._pipe, self._threads = None, None, []
        self._outbox.put(None)
        if process is None or pipe is None:
            return None
        for thread in threads:
            thread.join(BURIED_S)
        code = process.exitcode
        if code is not None:
            pipe.close()
            process.close()
        return code


def _speak(outbox: Outbox) -> None:
    """In its own thread: send what is put into the outbox, until the worker is gone."""
    with suppress(OSError):
        while (message := outbox.get()) is not None:
            message()
