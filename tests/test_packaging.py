"""What is released: its version, its dependencies, and a wheel that works without a checkout."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import time
import tomllib
import venv
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

import toccata
from tests.clients.live import free_port

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
FOLDERS = ("src/toccata", "recipes", "bench", "scripts", "tests", "docs")
OURS = {"toccata", *(Path(folder).name for folder in FOLDERS)}
# Of packages that are not always installed. No extra can have the synthesizer: see docs/guide.
ABSENT = {"demucs": "demucs", "hear21passt": "hear21passt"}
UNDECLARED = {"tinysoundfont"}
START_S, STOP_S = 300, 60


def name_of(requirement: str) -> str:
    """The normalised name of a requirement such as "psycopg[binary]>=3.2"."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=!~;]", requirement)[0]).lower()


DECLARED = {
    name_of(need) for needs in (PROJECT["dependencies"], *EXTRAS.values()) for need in needs
}


def imported(folder: Path) -> set[str]:
    """The modules of other projects that files of a folder import, anywhere in them."""
    names = set()
    for path in folder.rglob("*.py"):
        if "programs" in path.parts:  # of the clients, in environments of their own
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add((node.module or "").split(".")[0])
    return names - OURS - set(sys.stdlib_module_names)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_import_is_declared(folder: str) -> None:
    found = packages_distributions()
    wanting = {
        module
        for module in imported(ROOT / folder) - UNDECLARED
        if not {name_of(name) for name in found.get(module, [ABSENT.get(module, module)])}
        & DECLARED
    }
    assert wanting == set()


def test_every_dependency_of_make_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {name_of(line) for line in lines if "==" in line}
    made = [
        PROJECT["dependencies"],
        *(EXTRAS[name] for name in ("server", "postgres", "dev", "docs")),
    ]
    assert {name_of(need) for needs in made for need in needs} - pinned <= {"toccata"}


def test_the_version_is_the_same_everywhere() -> None:
    assert PROJECT["dynamic"] == ["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {toccata.__version__}\n" in citation
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## [{toccata.__version__}] - " in changelog


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist that `make dist` builds."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment that has the wheel, and what the wheel depends on from here."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    python, (wheel,) = folder / "bin" / "python", dist.glob("*.whl")
    install = [str(python), "-m", "pip", "install", "-q", "--no-index", "--no-deps", str(wheel)]
    subprocess.run(install, check=True, env=environment(folder))  # noqa: S603
    # A folder in a .pth does not have its own .pth files read: the checkout stays outside.
    (own,) = folder.glob("lib/python*/site-packages")
    (own / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder / "bin"


def environment(home: Path) -> dict[str, str]:
    """The variables of somebody who has no checkout."""
    ours = ("PYTHONPATH", "TOCCATA_", "VIRTUAL_ENV")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
    return {**kept, "TOCCATA_OFFLINE": "1", "TOCCATA_DEVICE": "cpu", "PWD": str(home)}


def test_the_sdist_has_what_the_tests_need(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "constraints.txt", "Makefile", "tests/test_packaging.py"} <= names
    assert {"docs/conf.py", "recipes/mini/__main__.py", "src/toccata/mini/config.json"} <= names
    assert not any(".venv" in name or "__pycache__" in name for name in names)


def test_the_wheel_makes_a_clip(installed: Path, tmp_path: Path) -> None:
    code = "import toccata; print(toccata.__file__); print(toccata.__version__)"
    where = subprocess.run(  # noqa: S603
        [str(installed / "python"), "-c", code],
        cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=True,
    )  # fmt: skip
    file, version = where.stdout.split()
    assert Path(file).is_relative_to(installed.parent)
    assert version == toccata.__version__

    command = [str(installed / "toccata"), "generate", "lo-fi beat", "-d", "0.5", "-o", "clip.wav"]
    subprocess.run(command, cwd=tmp_path, env=environment(tmp_path), check=True)  # noqa: S603
    assert (tmp_path / "clip.wav").read_bytes()[:4] == b"RIFF"


def test_the_wheel_serves(installed: Path, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    command = [str(installed / "toccata"), "serve", "--stand-in", "mini", "--port", str(port)]
    with (
        log.open("wb") as out,
        subprocess.Popen(  # noqa: S603
            command, cwd=tmp_path, env=environment(tmp_path), stdout=out, stderr=out
        ) as process,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            until_ready(url, process, log)
            body = {"version": "meta/musicgen", "input": {"prompt": "lo-fi beat", "duration": 1}}
            made = call(f"{url}/v1/predictions", body)
            ends_s = time.monotonic() + START_S
            while made["status"] in ("starting", "processing"):
                assert time.monotonic() < ends_s, log.read_text()
                time.sleep(0.5)
                made = call(f"{url}/v1/predictions/{made['id']}")
            assert made["status"] == "succeeded", made
        finally:
            process.terminate()
            process.wait(STOP_S)


def until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the worker has loaded the model."""
    ends_s = time.monotonic() + START_S
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < ends_s, log.read_text()
        try:
            call(f"{url}/readyz")
        except URLError:  # also of an answer 503
            time.sleep(0.5)
        else:
            return


def call(url: str, body: object = None) -> dict[str, Any]:
    """The answer to a POST of `body`, or to a GET without one."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json"})  # noqa: S310
    with urlopen(request, timeout=STOP_S) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
    return found
