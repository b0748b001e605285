"""`toccata serve`: run the HTTP server."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from toccata import settings
from toccata.cli import completion, flags
from toccata.cli.report import say
from toccata.extras import missing_extra

if TYPE_CHECKING:
    from toccata.server.config import ServerSettings

EXAMPLES = """
Every flag can also be a variable: --data-dir is TOCCATA_DATA_DIR. Examples:

  toccata serve

  toccata serve --host 0.0.0.0 --token-file tokens.txt --public-url https://music.example.org

  toccata serve --stand-in mini
"""

# What the worker is told; the rest is the server's own.
MACHINE = ("model", "device", "precision", "slots", "lora")

Text = str | None
Model = Annotated[
    Text,
    typer.Option(
        "--model",
        "-m",
        help="Model to load at start. Default: mini.",
        autocompletion=completion.models,
    ),
]
Models = Annotated[
    Text,
    typer.Option(
        metavar="NAME,NAME",
        help="Further models to load at start. Default: on their first request.",
        autocompletion=completion.lists_of(completion.MODELS),
    ),
]
Slots = Annotated[
    int | None,
    typer.Option(min=1, help="Number of clips that are generated at the same time. Default: 8."),
]
Host = Annotated[
    Text, typer.Option(help="Address to listen on. Default: 127.0.0.1, this machine only.")
]
Port = Annotated[int | None, typer.Option(help="Port to listen on. Default: 5000.")]
DataDir = Annotated[
    Text, typer.Option(help="Folder for results, uploads and the database. Default: toccata-data.")
]
PublicUrl = Annotated[
    Text, typer.Option(help="URL at which clients reach the server. Default: that of each request.")
]
Token = Annotated[
    list[str] | None, typer.Option(help="Bearer token that clients must send. Can be repeated.")
]
TokenFile = Annotated[Text, typer.Option(help="File with one bearer token per line.")]
NoAuth = Annotated[bool | None, typer.Option("--no-auth", help="Accept requests without a token.")]
StandIn = Annotated[
    Text,
    typer.Option(
        help="Model that serves requests for models whose weights are not on this machine.",
        autocompletion=completion.models,
    ),
]
Queue = Annotated[
    int | None, typer.Option(help="Maximum number of queued predictions. Default: 1000.")
]
DatabaseUrl = Annotated[
    Text, typer.Option(help="SQLAlchemy URL of the database. Default: SQLite in --data-dir.")
]
StorageUrl = Annotated[
    Text, typer.Option(help="fsspec URL of the storage. Default: a folder in --data-dir.")
]
OutputUrls = Annotated[
    Text,
    typer.Option(
        metavar="auto|url|data",
        help="Give outputs as URLs or data URIs. auto: data URIs to clients that need them.",
        autocompletion=completion.of(("auto", "url", "data")),
    ),
]
AllowPrivate = Annotated[
    bool | None,
    typer.Option("--allow-private", help="Allow private addresses in input_audio and webhooks."),
]
AnyVersion = Annotated[
    bool | None,
    typer.Option("--accept-any-version", help="Serve unknown version ids by the latest version."),
]
Retention = Annotated[
    float | None,
    typer.Option(
        "--retention-s", help="Seconds after which ended predictions are deleted. Default: never."
    ),
]
Drain = Annotated[
    float | None,
    typer.Option(
        "--drain-s", help="Seconds that a stop waits for running predictions. Default: 30."
    ),
]
MaxDuration = Annotated[
    float | None,
    typer.Option("--max-duration-s", help="Maximum duration of a request, in seconds."),
]
TlsCert = Annotated[Text, typer.Option(help="TLS certificate (PEM) for https.")]
TlsKey = Annotated[Text, typer.Option(help="Private key (PEM) of the certificate.")]
UploadUrl = Annotated[
    Text,
    typer.Option(
        help="URL to which outputs of the Cog API are uploaded. Default: they are data URIs."
    ),
]
Page = Annotated[bool | None, typer.Option("--page/--no-page", help="Serve the web page at /ui.")]

AllowHost = Annotated[
    Text,
    typer.Option(
        metavar="NAME,NAME",
        help="Further host names to accept in requests. Needed only without tokens.",
    ),
]
ShutdownRoute = Annotated[
    bool | None,
    typer.Option(
        "--shutdown-route",
        help="Enable POST /shutdown, which stops the server, as in a Cog container.",
    ),
]
UploadBytes = Annotated[
    int | None,
    typer.Option(help="Maximum bytes of stored uploads. Default: 10000000000."),
]
UploadBytesPerToken = Annotated[
    int | None,
    typer.Option(help="Maximum bytes of stored uploads for each token. Default: no limit."),
]
MaxConnections = Annotated[
    int | None,
    typer.Option(
        min=1, help="Maximum number of open connections. Default: what the system allows."
    ),
]


def serve(
    *,
    model: Model = None,
    models: Models = None,
    slots: Slots = None,
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    public_url: PublicUrl = None,
    token: Token = None,
    token_file: TokenFile = None,
    no_auth: NoAuth = None,
    stand_in: StandIn = None,
    queue: Queue = None,
    database: DatabaseUrl = None,
    storage: StorageUrl = None,
    output_urls: OutputUrls = None,
    allow_private: AllowPrivate = None,
    accept_any_version: AnyVersion = None,
    retention_s: Retention = None,
    drain_s: Drain = None,
    max_duration_s: MaxDuration = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    upload_url: UploadUrl = None,
    page: Page = None,
    allow_host: AllowHost = None,
    shutdown_route: ShutdownRoute = None,
    upload_bytes: UploadBytes = None,
    upload_bytes_per_token: UploadBytesPerToken = None,
    max_connections: MaxConnections = None,
    device: flags.Device = None,
    precision: flags.Precision = None,
    lora: flags.Lora = None,
) -> None:
    """Serve models over HTTP, with the APIs of Replicate and of a Cog container."""
    given = locals().copy()  # all flags by name
    if find_spec("fastapi") is None:
        raise missing_extra("the server", "server")
    from toccata.server.app import check_start
    from toccata.server.config import read_server

    machine = settings.read(**{name: given.pop(name) for name in MACHINE})
    config = read_server(machine, given.pop("token") or (), **given)
    _log_to_stderr()
    check_start(config)
    _start(config)


def _greet(config: ServerSettings) -> None:
    """Where everything is, and which models are really here."""
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
