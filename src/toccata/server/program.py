"""The server process: listen, and stop without cutting off requests.

SIGTERM -> nothing more is accepted, who waits is answered -> what is under way may end, and can
be asked for meanwhile -> nobody is listened to any more -> streams are cut -> the parts stop
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

from toccata.server.api.connections import Complaints, Limits, build, connection_limit, quiet_logs
from toccata.server.api.path_prefix import TrustedProxy
from toccata.server.config import ServerSettings
from toccata.server.predictions.lifecycle import Predictions

log = logging.getLogger(__name__)

INTERRUPTED = 130  # as shells call the end by Ctrl-C
# For answers that are being written; streams of what was not finished do not end by themselves.
LAST_WORDS_S = 1
# Longer than official clients keep an idle connection: they end it, and no request is lost.
KEEP_ALIVE_S = 30


class Program(uvicorn.Server):
    """Between uvicorn's two steps of a stop, which would each wait for so long, there is but one
    wait: before the first of them.
    """

    def __init__(self, app: FastAPI, settings: ServerSettings, *, port: int | None = None) -> None:
        """port: in place of that of the settings; 0: any that is free."""
        limits = Limits(connections=connection_limit(settings.max_connections))
        config = uvicorn.Config(
            TrustedProxy(cast(Any, app), os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1")),
            http=build(limits),
            ws="none",
            proxy_headers=False,  # TrustedProxy does it
            timeout_keep_alive=KEEP_ALIVE_S,
            host=settings.host,
            port=settings.port if port is None else port,
            ssl_certfile=settings.tls_cert,
            ssl_keyfile=settings.tls_key,
            timeout_graceful_shutdown=LAST_WORDS_S,
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
        asyncio.get_running_loop().set_exception_handler(Complaints())
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        predictions: Predictions = self._app.state.parts.predictions
        await predictions.drain(self._drain_s, lambda: self.force_exit)
        await super().shutdown(sockets)
        if self.force_exit:
            await self._hurry(predictions)

    async def _hurry(self, predictions: Predictions) -> None:
        """Stop the parts, for which uvicorn leaves no time after a second Ctrl-C."""
        predictions.give_up()
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):
                await self.lifespan.shutdown()


def run(app: FastAPI, settings: ServerSettings, *, port: int | None = None) -> None:
    """Until a signal says stop. Ends the process if it cannot start, or is to end at once."""
    program = Program(app, settings, port=port)
    with suppress(KeyboardInterrupt):
        program.run()
    if not program.started:
        sys.exit(3)
    if program.force_exit:
        log.error("stopped at once: what was under way is made again at the next start")
        sys.exit(INTERRUPTED)
