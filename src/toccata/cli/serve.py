"""`toccata serve`: the models over HTTP, as Replicate's API and a Cog container serve them."""

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
        "--model", "-m", help="Loaded at start. Default: mini.", autocompletion=completion.models
    ),
]
Models = Annotated[
    Text,
    typer.Option(
        metavar="NAME,NAME",
        help="More to be loaded at start. Default: when asked.",
        autocompletion=completion.lists_of(completion.MODELS),
    ),
]
Slots = Annotated[
    int | None, typer.Option(min=1, help="How many pieces are made at once. Default: 8.")
]
Host = Annotated[Text, typer.Option(help="Default: 127.0.0.1, reached from this machine only.")]
Port = Annotated[int | None, typer.Option(help="Default: 5000.")]
DataDir = Annotated[
    Text, typer.Option(help="Where results, uploads and the database are. Default: toccata-data.")
]
PublicUrl = Annotated[
    Text, typer.Option(help="How clients reach the server. Default: as each request says.")
]
Token = Annotated[list[str] | None, typer.Option(help="Who has it may use the API; repeatable.")]
TokenFile = Annotated[Text, typer.Option(help="A token a line.")]
NoAuth = Annotated[bool | None, typer.Option("--no-auth", help="Anybody may use the API.")]
StandIn = Annotated[
    Text,
    typer.Option(
        help="A model to serve in place of those whose weights are not here.",
        autocompletion=completion.models,
    ),
]
Queue = Annotated[int | None, typer.Option(help="How many predictions may wait. Default: 1000.")]
DatabaseUrl = Annotated[Text, typer.Option(help="An SQLAlchemy URL. Default: SQLite in data-dir.")]
StorageUrl = Annotated[Text, typer.Option(help="An fsspec URL. Default: a folder in data-dir.")]
OutputUrls = Annotated[
    Text,
    typer.Option(
        metavar="auto|url|data",
        help="Outputs as addresses or data URIs. auto: data URIs where clients take nothing else.",
        autocompletion=completion.of(("auto", "url", "data")),
    ),
]
AllowPrivate = Annotated[
    bool | None,
    typer.Option("--allow-private", help="input_audio and webhooks may name private addresses."),
]
AnyVersion = Annotated[
    bool | None,
    typer.Option("--accept-any-version", help="Take unknown version ids for the latest one."),
]
Retention = Annotated[
    float | None,
    typer.Option("--retention-s", help="Wipe predictions so long after their end. Default: never."),
]
Drain = Annotated[
    float | None,
    typer.Option("--drain-s", help="How long a stop waits for what is being made. Default: 30."),
]
MaxDuration = Annotated[
    float | None,
    typer.Option("--max-duration-s", help="The longest duration that a request may ask for."),
]
TlsCert = Annotated[Text, typer.Option(help="A certificate in PEM form, for https.")]
TlsKey = Annotated[Text, typer.Option(help="Its key.")]
UploadUrl = Annotated[
    Text, typer.Option(help="Outputs of the Cog API are put here. Default: data URIs.")
]
Page = Annotated[bool | None, typer.Option("--page/--no-page", help="The page for browsers.")]

AllowHost = Annotated[
    Text,
    typer.Option(
        metavar="NAME,NAME",
        help="Further host names that requests may name. Needed only without tokens.",
    ),
]
ShutdownRoute = Annotated[
    bool | None,
    typer.Option(
        "--shutdown-route", help="POST /shutdown stops the server, as Cog's directors do."
    ),
]
UploadBytes = Annotated[
    int | None,
    typer.Option(help="How many bytes of uploads are kept at a time. Default: 10000000000."),
]
UploadBytesPerToken = Annotated[
    int | None, typer.Option(help="How many bytes of uploads each token may have. Default: all.")
]
MaxConnections = Annotated[
    int | None,
    typer.Option(min=1, help="How many connections may be open. Default: as the system allows."),
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
    """Serve the models over HTTP, for the official Replicate clients and for anybody else."""
    given = locals().copy()  # all flags by name
    if find_spec("fastapi") is None:
        raise missing_extra("the server", "server")
    from toccata.server.app import check_start
    from toccata.server.config import read_server

    machine = settings.read(**{name: given.pop(name) for name in MACHINE})
    config = read_server(machine, given.pop("token") or (), **given)
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
        say("no token: anybody who reaches this address may use it")


def _run(config: ServerSettings) -> None:
    from toccata.server import program
    from toccata.server.app import create_app

    program.run(create_app(config), config)


def _start(config: ServerSettings) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    _greet(config)
    _run(config)
