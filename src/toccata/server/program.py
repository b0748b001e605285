"""The server process: listen, and stop without cutting off requests.

After SIGTERM: no prediction is accepted, and clients that wait are answered -> predictions that run
may end, and can be read meanwhile -> the socket is closed -> streams are cut -> the app stops.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from contextlib import suppress
from typing import Any, cast

import uvicorn
from fastapi import FastAPI

from toccata.server.api.connections import (
    Limits,
    LoopErrorHandler,
    build,
    connection_limit,
    quiet_logs,
)
from toccata.server.api.path_prefix import TrustedProxy
from toccata.server.config import ServerSettings
from toccata.server.predictions.lifecycle import Predictions

log = logging.getLogger(__name__)

INTERRUPTED = 130  # the exit status of shells for Ctrl-C
# For responses that are being written; streams of predictions that run do not end by themselves.
SHUTDOWN_TIMEOUT_S = 1
# Longer than official clients keep an idle connection: they close it first, and no request is lost.
KEEP_ALIVE_TIMEOUT_S = 30


class Program(uvicorn.Server):
    """The uvicorn server, which drains predictions before it closes its socket.

    Args:
        app: The app.
        settings: The settings of the server.
        port: The port, instead of the one of the settings; 0: any free port.
    """

    def __init__(self, app: FastAPI, settings: ServerSettings, *, port: int | None = None) -> None:
        limits = Limits(connections=connection_limit(settings.max_connections))
        config = uvicorn.Config(
            TrustedProxy(cast(Any, app), os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1")),
            http=build(limits),
            ws="none",
            proxy_headers=False,  # TrustedProxy does it
            timeout_keep_alive=KEEP_ALIVE_TIMEOUT_S,
            host=settings.host,
            port=settings.port if port is None else port,
            ssl_certfile=settings.tls_cert,
            ssl_keyfile=settings.tls_key,
            timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
            access_log=False,
            log_config=None,
        )
        super().__init__(config)
        quiet_logs()
        self._app = app
        self._drain_s = settings.drain_s
        app.state.stop = self._stop

    def _stop(self) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening. Called by uvicorn."""
        asyncio.get_running_loop().set_exception_handler(LoopErrorHandler())
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then stop. Called by uvicorn, whose own two waits would each be as long."""
        predictions: Predictions = self._app.state.parts.predictions
        await predictions.drain(self._drain_s, lambda: self.force_exit)
        await super().shutdown(sockets)
        if self.force_exit:
            await self._stop_now(predictions)

    async def _stop_now(self, predictions: Predictions) -> None:
        """Stop the app after a second Ctrl-C, where uvicorn skips that."""
        predictions.give_up()
        with suppress(TimeoutError):
            async with asyncio.timeout(SHUTDOWN_TIMEOUT_S):
                await self.lifespan.shutdown()


def run(app: FastAPI, settings: ServerSettings, *, port: int | None = None) -> None:
    """Serve until a signal stops it.

    Args:
        app: The app.
        settings: The settings of the server.
        port: The port, instead of the one of the settings; 0: any free port.

    Raises:
        SystemExit: It could not start, or a second Ctrl-C stopped it at once.
    """
    program = Program(app, settings, port=port)
    with suppress(KeyboardInterrupt):
        program.run()
    if not program.started:
        sys.exit(3)
    if program.force_exit:
        log.error("stopped at once: predictions that ran are run again at the next start")
        sys.exit(INTERRUPTED)
