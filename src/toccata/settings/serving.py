"""The settings of `toccata serve`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from toccata.errors import InputError
from toccata.settings import checks
from toccata.settings.declaration import setting
from toccata.settings.machine import Settings

OUTPUT_URLS = ("auto", "url", "data")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_SECONDS = 999_999_999


@dataclass(frozen=True)
class ServerSettings:
    """How the server listens, whom it serves and what it keeps.

    Attributes:
        machine: How the worker uses the machine, and which models it loads at start.
        tokens: Tokens that clients may send; without any, everybody may use the API, which needs a
            loopback host or `no_auth`.
        cog_webhook_token: Bearer token that webhooks of the Cog API carry.
    """

    machine: Settings = field(default_factory=Settings)
    host: str = setting("127.0.0.1", "Address to listen on.", "127.0.0.1, this machine only")
    port: int = setting(5000, "Port to listen on.", ge=0, le=2**16 - 1)
    data_dir: Path = setting(Path("toccata-data"), "Folder for results, uploads and the database.")
    public_url: str | None = setting(
        None,
        "URL at which clients reach the server.",
        "that of each request",
        check=checks.public_url,
    )
    tokens: tuple[str, ...] = setting(
        (),
        "Bearer token that clients must send. Can be repeated.",
        name="token",
        is_secret=True,
        is_repeatable=True,
    )
    token_file: Path | None = setting(
        None, "File with one bearer token per line.", check=checks.existing_file
    )
    no_auth: bool = setting(False, "Accept requests without a token.")
    stand_in: str | None = setting(
        None, "Model that serves requests for models whose weights are not on this machine."
    )
    queue: int = setting(1000, "Maximum number of queued predictions.", ge=1)
    database: str | None = setting(
        None, "SQLAlchemy URL of the database.", "SQLite in --data-dir", is_secret=True
    )
    storage: str | None = setting(
        None, "fsspec URL of the storage.", "a folder in --data-dir", is_secret=True
    )
    output_urls: str = setting(
        "auto",
        "Give outputs as URLs or data URIs. auto: data URIs to clients that wait over plain http, "
        "because they take no other URL.",
        choices=OUTPUT_URLS,
    )
    allow_private: bool = setting(False, "Allow private addresses in input_audio and webhooks.")
    accept_any_version: bool = setting(False, "Serve unknown version ids by the latest version.")
    retention_s: float | None = setting(
        None, "Seconds after which ended predictions are deleted.", "never", ge=0, le=MAX_SECONDS
    )
    drain_s: float = setting(
        30.0, "Seconds that a stop waits for running predictions.", ge=0, le=MAX_SECONDS
    )
    max_duration_s: float | None = setting(
        None,
        "Maximum duration of a request, in seconds.",
        "that of the input duration",
        ge=0,
        le=MAX_SECONDS,
    )
    tls_cert: Path | None = setting(
        None, "TLS certificate (PEM) for https.", check=checks.existing_file
    )
    tls_key: Path | None = setting(
        None, "Private key (PEM) of the certificate.", check=checks.existing_file
    )
    upload_url: str | None = setting(
        None,
        "URL to which outputs of the Cog API are uploaded.",
        "they are data URIs",
        check=checks.upload_url,
        is_secret=True,
    )
    page: bool = setting(True, "Serve the web page at /ui.")
    allow_host: tuple[str, ...] = setting(
        (),
        "Further host names to accept in requests. Needed only without tokens.",
        metavar="NAME,NAME",
        check=checks.host_names,
    )
    shutdown_route: bool = setting(
        False, "Enable POST /shutdown, which stops the server, as in a Cog container."
    )
    upload_bytes: int = setting(10 * 10**9, "Maximum bytes of stored uploads.", ge=0)
    upload_bytes_per_token: int | None = setting(
        None, "Maximum bytes of stored uploads for each token.", "no limit", ge=0
    )
    max_connections: int | None = setting(
        None, "Maximum number of open connections.", "what the system allows", ge=1
    )
    cog_webhook_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Raises InputError for settings that do not go together."""
        if not self.tokens and not self.no_auth and self.host not in LOOPBACK:
            cure = "give a token, bind 127.0.0.1, or say --no-auth if anybody may use it"
            raise InputError("host", self.host, cure)
        if (self.tls_cert is None) != (self.tls_key is None):
            given = self.tls_cert or self.tls_key
            raise InputError("tls-cert", str(given), "give both --tls-cert and --tls-key")
        if any(not token.strip() for token in self.tokens):
            raise InputError("token", "", "a token must not be empty")

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL of the database."""
        return self.database or f"sqlite:///{self.data_dir / 'server.db'}"

    @property
    def storage_url(self) -> str:
        """The fsspec URL of the storage."""
        return self.storage or str(self.data_dir / "files")

    @property
    def models(self) -> tuple[str, ...]:
        """All models that have to be on this machine, each once."""
        named = (self.machine.model, *self.machine.also, self.stand_in or self.machine.model)
        return tuple(dict.fromkeys(named))

    @property
    def secure(self) -> bool:
        """Whether clients reach it by https."""
        return self.tls_cert is not None or (self.public_url or "").startswith("https:")
