"""A server as users start one: `toccata serve` as a process, with the model that ships."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

STOP_S = 60.0


@dataclass(frozen=True, eq=False)
class Live:
    """Where it is. `cert`: what a client has to trust, if it speaks https."""

    url: str
    cert: Path | None
    process: subprocess.Popen[bytes]
    log: Path

    def until_ready(self, patience_s: float) -> None:
        """Until its worker has loaded the model."""
        ends_s = time.monotonic() + patience_s
        while not self._is_ready():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < ends_s, self.log.read_text()
            time.sleep(0.5)

    def _is_ready(self) -> bool:
        trust = ssl.create_default_context(cafile=self.cert)
        try:
            return httpx2.get(f"{self.url}/readyz", verify=trust).status_code == 200
        except httpx2.TransportError:
            return False


def free_port() -> int:
    """One of loopback that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@contextmanager
def starting(folder: Path, token: str, tls: tuple[Path, Path] | None = None) -> Iterator[Live]:
    """`tls`: a certificate and its key. It is ended with the block."""
    port, log = free_port(), folder / "log"
    command = [str(Path(sys.executable).with_name("toccata")), "serve", "--stand-in", "mini"]
    command += ["--port", str(port), "--allow-private"]
    if tls:
        command += ["--tls-cert", str(tls[0]), "--tls-key", str(tls[1])]
    with (
        log.open("wb") as file,
        subprocess.Popen(  # noqa: S603
            command, env=_environment(folder, token), stdout=file, stderr=file
        ) as process,
    ):
        url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        try:
            yield Live(url, tls[0] if tls else None, process, log)
        finally:
            process.terminate()
            process.wait(STOP_S)


def _environment(folder: Path, token: str) -> dict[str, str]:
    """What flags do not say, without the settings of whoever runs the tests."""
    others = {name: each for name, each in os.environ.items() if not name.startswith("TOCCATA_")}
    ours = {"DEVICE": "cpu", "OFFLINE": "1", "TOKEN": token, "DATA_DIR": str(folder / "data")}
    return {**others, **{f"TOCCATA_{name}": each for name, each in ours.items()}}
