"""A PostgreSQL of the tests' own: in a folder of its own, gone afterwards."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

OWNER = "postgres"  # it refuses to be run by root
PASSWORD = "p@ss/w:rd"
OPTIONS = ("fsync=off", "shared_buffers=16MB", "max_connections=40", "listen_addresses=127.0.0.1")


@dataclass(frozen=True)
class Postgres:
    """A server that runs. `start` and `stop` are for tests of what happens when it does not."""

    bin: Path
    folder: Path
    port: int

    def url(self, name: str = OWNER, *, password: str | None = None) -> str:
        """Of the database `name`, which it must have; password: another than the right one."""
        secret = quote(password or PASSWORD, safe="")
        return f"postgresql://{OWNER}:{secret}@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        options = [*OPTIONS, f"port={self.port}", f"unix_socket_directories={self.folder}"]
        given = " ".join(f"-c {option}" for option in options)
        self._run("pg_ctl", "start", "-w", "-s", "-l", str(self.folder / "log"), "-o", given)

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "-w", "-s", "-m", "immediate")

    def empty(self) -> None:
        """Drop everything in the database `OWNER`."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")

    def make(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        options = ["--auth=scram-sha-256", f"--pwfile={secret}", f"--username={OWNER}"]
        self._run("initdb", "--no-sync", "--encoding=UTF8", "--locale=C", *options)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.bin / program), "-D", str(self.folder / "data"), *arguments]
        if os.geteuid() == 0:
            shutil.chown(self.folder, OWNER)
            command = ["runuser", "-u", OWNER, "--", *command]
        # Not captured: the server would keep the pipes open.
        subprocess.run(command, check=True, cwd=self.folder, stdout=subprocess.DEVNULL)  # noqa: S603


def programs() -> Path | None:
    """The folder with the newest initdb and pg_ctl, as Debian installs them."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    return found[-1].parent if found else None


def _version(program: Path) -> float:
    return float(program.parts[-3])


@contextmanager
def running(bin_folder: Path) -> Iterator[Postgres]:
    folder = Path(tempfile.mkdtemp(prefix="toccata-postgres-"))
    try:
        postgres = Postgres(bin_folder, folder, _free_port())
        postgres.make()
        postgres.start()
        try:
            yield postgres
        finally:
            postgres.stop()
    finally:
        shutil.rmtree(folder)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
