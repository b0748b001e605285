"""The configuration of the server, from flags and TOCCATA_ variables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from toccata.errors import InputError
from toccata.settings import Readers, Settings, read_boolean, read_text, read_values

# As Cog calls it.
COG_WEBHOOK_VARIABLE = "WEBHOOK_AUTH_TOKEN"
OUTPUT_URLS = ("auto", "url", "data")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class ServerSettings:
    """machine: how the worker uses it, and which models it loads at start.

    public_url: how clients reach the server; None: as each request does. tokens: who may use the
    API; none: anybody, which needs a loopback host or no_auth. stand_in: the model that is served
    under the names of published ones. queue: how many predictions may wait. database: an
    SQLAlchemy URL; None: a file in data_dir. storage: an fsspec URL; None: a folder in data_dir.
    output_urls: whether outputs are given as addresses or as data URIs; auto: data URIs to clients
    that wait over plain http, because they take no other address. allow_private: input_audio and
    webhooks may name private addresses. retention_s: when input, output and logs of a prediction
    are wiped after its end; None: never. drain_s: how long SIGTERM waits for what is under way.
    upload_url: where the outputs of the Cog API are put, under their names; None: nowhere.
    max_duration_s: the longest piece that may be asked for; None: as long as the inputs allow.
    page: whether there is a page for browsers at /ui. allow_host: further names that a Host header
    may have where there is no token. shutdown_route: whether POST /shutdown stops the server, as it
    does a Cog container. upload_bytes: how much may be kept of uploads, and by one token.
    max_connections: how many may be open at once; None: as many as the system allows.
    cog_webhook_token: the Bearer token that webhooks of the Cog API carry.
    """

    machine: Settings = field(default_factory=Settings)
    host: str = "127.0.0.1"
    port: int = 5000
    data_dir: Path = Path("toccata-data")
    public_url: str | None = None
    tokens: tuple[str, ...] = ()
    no_auth: bool = False
    stand_in: str | None = None
    queue: int = 1000
    database: str | None = None
    storage: str | None = None
    output_urls: str = "auto"
    allow_private: bool = False
    accept_any_version: bool = False
    retention_s: float | None = None
    drain_s: float = 30.0
    max_duration_s: float | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    upload_url: str | None = None
    page: bool = True
    allow_host: tuple[str, ...] = ()
    shutdown_route: bool = False
    upload_bytes: int = 10 * 10**9
    upload_bytes_per_token: int | None = None
    max_connections: int | None = None
    cog_webhook_token: str | None = None

    def __post_init__(self) -> None:
        """Raises InputError for settings that do not go together."""
        if not self.tokens and not self.no_auth and self.host not in LOOPBACK:
            cure = "give a token, bind 127.0.0.1, or say --no-auth if anybody may use it"
            raise InputError("host", self.host, cure)
        if (self.tls_cert is None) != (self.tls_key is None):
            raise InputError("tls-cert", self.tls_cert, "give both --tls-cert and --tls-key")
        if self.output_urls not in OUTPUT_URLS:
            allowed = "it must be one of " + ", ".join(OUTPUT_URLS)
            raise InputError("output-urls", self.output_urls, allowed)
        if any(not token.strip() for token in self.tokens):
            raise InputError("token", "", "a token must not be empty")

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.data_dir / 'server.db'}"

    @property
    def storage_url(self) -> str:
        return self.storage or str(self.data_dir / "files")

    @property
    def models(self) -> tuple[str, ...]:
        """All that have to be on this machine, each once."""
        named = (self.machine.model, *self.machine.also, self.stand_in or self.machine.model)
        return tuple(dict.fromkeys(named))

    @property
    def secure(self) -> bool:
        """Whether clients reach it by https."""
        return self.tls_cert is not None or (self.public_url or "").startswith("https:")


def read_server(
    machine: Settings,
    tokens: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    **flags: object,
) -> ServerSettings:
    """Settings from TOCCATA_ variables, Cog's WEBHOOK_AUTH_TOKEN, and `flags` that are not None.

    Tokens may come from all of --token, TOCCATA_TOKEN and the lines of a token file.
    Raises InputError naming the variable or flag, its value and what is allowed.
    """
    environment = os.environ if environment is None else environment
    values = read_values(_READERS, environment, flags)
    values["cog_webhook_token"] = environment.get(COG_WEBHOOK_VARIABLE, "").strip() or None
    named, listed = values.pop("token", ""), values.pop("token_file", ())
    machine = replace(machine, also=values.pop("models", ()))  # type: ignore[arg-type]
    all_tokens = (*tokens, *([named] if named else []), *listed)  # type: ignore[misc]
    return ServerSettings(machine=machine, tokens=all_tokens, **values)  # type: ignore[arg-type]


def _port(source: str, text: str) -> int:
    if not text.isdecimal() or not int(text) < 2**16:
        raise InputError(source, text, "it must be a whole number from 0 to 65535")
    return int(text)


def _count(source: str, text: str) -> int:
    if not text.isdecimal():
        raise InputError(source, text, "it must be a whole number from 0 on")
    return int(text)


def _positive(source: str, text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise InputError(source, text, "it must be a whole number from 1 on")
    return int(text)


def _seconds(source: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError as error:
        raise InputError(source, text, "it must be a number of seconds") from error
    if not 0 <= seconds < 1e9:
        raise InputError(source, text, "it must be from 0 to 999999999 seconds")
    return seconds


def _path(source: str, text: str) -> Path:
    return Path(read_text(source, text)).expanduser()


def _existing(source: str, text: str) -> Path:
    path = _path(source, text)
    if not path.is_file():
        raise InputError(source, text, "there is no such file")
    return path


def _token_file(source: str, text: str) -> tuple[str, ...]:
    lines = _existing(source, text).read_text(encoding="utf-8").splitlines()
    tokens = tuple(line.strip() for line in lines if line.strip())
    if not tokens:
        raise InputError(source, text, "it must hold a token a line")
    return tokens


def _names(source: str, text: str) -> tuple[str, ...]:
    return tuple(read_text(source, name) for name in text.split(","))


def _host_names(source: str, text: str) -> tuple[str, ...]:
    return tuple(name.strip().rstrip(".").lower() for name in _names(source, text))


def _web_address(source: str, text: str) -> str:
    like = "it must be like https://music.example.org"
    try:
        split = urlsplit(text)
        is_host = bool(split.hostname) and split.port != 0
    except ValueError as error:  # brackets, or a port that is none
        raise InputError(source, text, like) from error
    if split.scheme not in ("http", "https") or not is_host or split.query or split.fragment:
        raise InputError(source, text, like)
    return text.rstrip("/")


def _public_address(source: str, text: str) -> str:
    """As `_web_address`, with a path that requests can begin with."""
    address = _web_address(source, text)
    path = urlsplit(address).path
    if not {"", ".", ".."}.isdisjoint(path.split("/")[1:]):
        raise InputError(source, text, "its path must have no empty, . or .. part")
    return address


def _upload_address(source: str, text: str) -> str:
    """As `_web_address`; it may have a query, which often is a signature."""
    split = urlsplit(text)
    address = _web_address(source, split._replace(query="").geturl())
    return f"{address}?{split.query}" if split.query else address


_READERS: Readers = {
    "host": read_text,
    "port": _port,
    "data_dir": _path,
    "public_url": _public_address,
    "token": read_text,
    "token_file": _token_file,
    "no_auth": read_boolean,
    "stand_in": read_text,
    "queue": _positive,
    "database": read_text,
    "storage": read_text,
    "output_urls": read_text,
    "allow_private": read_boolean,
    "accept_any_version": read_boolean,
    "retention_s": _seconds,
    "drain_s": _seconds,
    "max_duration_s": _seconds,
    "tls_cert": _existing,
    "tls_key": _existing,
    "upload_url": _upload_address,
    "page": read_boolean,
    "allow_host": _host_names,
    "shutdown_route": read_boolean,
    "upload_bytes": _count,
    "upload_bytes_per_token": _count,
    "max_connections": _positive,
    "models": _names,
}
