"""`toccata serve`: run the HTTP server."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from toccata.cli.report import say
from toccata.cli.setting_flags import takes_settings
from toccata.extras import missing_extra
from toccata.settings import common_settings, read, server_settings

if TYPE_CHECKING:
    from toccata.server.config import ServerSettings

EXAMPLES = """
Every flag but --lora can also be a variable: --data-dir is TOCCATA_DATA_DIR. Examples:

  toccata serve

  toccata serve --host 0.0.0.0 --token-file tokens.txt --public-url https://music.example.org

  toccata serve --stand-in mini
"""


@takes_settings((*common_settings(), *server_settings()))
def serve(given: dict[str, Any]) -> None:
    """Serve models over HTTP, with the APIs of Replicate and of a Cog container."""
    if find_spec("fastapi") is None:
        raise missing_extra("the server", "server")
    from toccata.server.app import check_start
    from toccata.server.config import read_server

    machine = read(**{one.name: given.pop(one.name) for one in common_settings()})
    config = read_server(machine, given.pop("token") or (), **given)
    _log_to_stderr()
    check_start(config)
    _start(config)


def _greet(config: ServerSettings) -> None:
    """Say where everything is, and which models are really here."""
    from toccata.models import hub
    from toccata.models.registry import KNOWN

    scheme = "https" if config.tls_cert else "http"
    base = config.public_url or f"{scheme}://{config.host}:{config.port}"
    here = [known.name for known in KNOWN.values() if hub.find(known.hub_id) is not None]
    say(f"API   {base}/v1   (set REPLICATE_BASE_URL to it)")
    if config.page:
        say(f"page  {base}/ui")
    say(f"docs  {base}/docs")
    say(f"models on this machine: {', '.join(here)}; at start: {', '.join(config.models)}")
    if config.machine.lora:
        say(f"with {', '.join(config.machine.lora)}: {config.machine.model}")
    if config.stand_in:
        say(f"{config.stand_in} stands in for all others")
    if not config.tokens:
        say("no token is set: every client that reaches this address may use the API")


def _run(config: ServerSettings) -> None:
    from toccata.server import program
    from toccata.server.app import create_app

    program.run(create_app(config), config)


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    # What a start does to the schema is one line of our own.
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _start(config: ServerSettings) -> None:
    _greet(config)
    _run(config)
