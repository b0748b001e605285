"""Programs that use the official clients, run as their users run them.

`server` and `tls_server` have a worker without models, which does what a prompt says: see
tests/server/fake_worker.py. test_live_mini.py has the real one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.clients.live import Live
from tests.server.conftest import Served, serving
from toccata.server.config import ServerSettings
from toccata.settings import Settings

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / ".venv" / "clients"
PROGRAMS = Path(__file__).parent / "programs"
TOKEN = "r8_of_these_tests"
TIMEOUT_S = 600.0  # a busy machine is slow, not wrong

# play(client, scenario, server, **environment) -> what the program printed, read as JSON
Play = Callable[..., Any]


def with_clients(*clients: str) -> pytest.MarkDecorator:
    """Run a test with those that can do the thing: p1, p2 and js if none are named."""
    return pytest.mark.parametrize("client", clients or ("p1", "p2", "js"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Over plain http, the way a first try on one's own machine is."""
    with serving(_settings(tmp_path_factory.mktemp("plain")), TOKEN) as served:
        yield served


@pytest.fixture(scope="session")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Over https; clients that are to trust it need its certificate."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    certify(cert, key)
    with serving(_settings(folder, tls_cert=cert, tls_key=key), TOKEN) as served:
        yield served


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Run one scenario of a client's program in the test's own folder."""

    def run(client: str, scenario: str, server: Served | Live, **environment: str) -> Any:
        done = subprocess.run(  # noqa: S603
            [*_command(client, tmp_path), scenario],
            cwd=tmp_path,
            env={**_environment(server, tmp_path), **environment},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """Audio to upload, with a name that is not plain ASCII."""
    path = tmp_path / "pièce.wav"
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 20_000)
    soundfile.write(path, noise, 8000)
    return path


def _settings(folder: Path, **fields: Any) -> ServerSettings:
    return ServerSettings(
        page=False,
        machine=Settings(slots=4),
        data_dir=folder / "data",
        drain_s=0.0,
        tokens=(TOKEN,),
        allow_private=True,
        **fields,
    )


def _command(client: str, folder: Path) -> list[str]:
    """How to run a client's program, all but the scenario."""
    if client == "js":
        return [_node(), str(_beside_its_package(folder))]
    python = CLIENTS / f"python-{client[1:]}" / "bin" / "python"
    assert python.exists(), "the clients are not installed: run scripts/setup-clients"
    return [str(python), str(PROGRAMS / f"{client}.py")]


def _environment(server: Served | Live, folder: Path) -> dict[str, str]:
    """What points a client at the server, with trust in the certificate that it may have."""
    cert = server.cert if isinstance(server, Live) else server.app.state.parts.settings.tls_cert
    trust = {"SSL_CERT_FILE": str(cert), "NODE_EXTRA_CA_CERTS": str(cert)} if cert else {}
    return {
        "PATH": os.environ["PATH"],
        "TMPDIR": str(folder),
        "REPLICATE_API_TOKEN": TOKEN,
        # P1 puts another /v1 after it, P2 and JS do not.
        "REPLICATE_BASE_URL": f"{server.url}/v1",
        **trust,
    }


def _node() -> str:
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        pytest.skip("the JavaScript client needs node and npm, which this machine does not have")
    return node


def _beside_its_package(folder: Path) -> Path:
    """node looks for packages beside the program that imports them."""
    packages = CLIENTS / "js" / "node_modules"
    assert packages.exists(), "the clients are not installed: run scripts/setup-clients"
    (folder / "node_modules").symlink_to(packages)
    return Path(shutil.copy(PROGRAMS / "js.mjs", folder))


def certify(cert: Path, key: Path) -> None:
    """A key, and a certificate for loopback that is its own authority."""
    command = [
        *("openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=toccata"),
        *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-addext", "subjectAltName=IP:127.0.0.1"),
        *("-addext", "keyUsage=critical,digitalSignature,keyCertSign"),
        *("-keyout", str(key), "-out", str(cert)),
    ]
    subprocess.run(command, capture_output=True, check=True)  # noqa: S603
