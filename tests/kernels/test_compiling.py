"""Compiled kernels are kept between processes, and told apart by their sources."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from toccata.kernels import compiling

PROGRAM = """
import numpy as np
from toccata.kernels import compiling, packing, thread_team
from toccata.kernels.layers import PRODUCT_LOOPS, product
from toccata.kernels.rounding import Rounded
matrix = packing.int8(np.ones((16, 64), np.float32))
said = []
with compiling.announcing(lambda: said.append("compiling")):
    thread_team.run(product, PRODUCT_LOOPS, 1, np.ones((1, 64), np.float32), matrix, 1,
             Rounded.empty(1, 64), np.zeros((8, 16), np.float32))
print(sum(product.stats.cache_hits.values()), sum(product.stats.cache_misses.values()), *said)
"""
SOURCE = Path(compiling.__file__).parents[2]


def run_with(cache: Path, source: Path = SOURCE) -> str:
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(source)}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603
    return done.stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="caches lie elsewhere on other systems")
def test_the_second_process_compiles_nothing(tmp_path: Path) -> None:
    assert [run_with(tmp_path), run_with(tmp_path)] == ["0 1 compiling", "1 0"]
    assert list((tmp_path / "toccata" / "kernels").glob("*/*"))


@pytest.mark.skipif(sys.platform != "linux", reason="caches lie elsewhere on other systems")
def test_a_folder_that_cannot_be_written_to_costs_time_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "toccata").write_text("in the way")
    assert [run_with(tmp_path), run_with(tmp_path)] == ["0 1 compiling"] * 2


@pytest.mark.skipif(sys.platform != "linux", reason="caches lie elsewhere on other systems")
def test_another_environment_compiles_again_and_says_so(tmp_path: Path) -> None:
    other = tmp_path / "other"
    code_alone = shutil.ignore_patterns("*.safetensors", "__pycache__")
    shutil.copytree(SOURCE / "toccata", other / "toccata", ignore=code_alone)
    run_with(tmp_path)
    folder = tmp_path / "toccata" / "kernels"
    assert compiling.is_cold(folder) is False
    assert run_with(tmp_path, other) == "0 1 compiling"


@pytest.mark.skipif(sys.platform != "linux", reason="caches lie elsewhere on other systems")
@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
def test_a_damaged_cache_is_compiled_again(tmp_path: Path, suffix: str) -> None:
    """As a power failure leaves it."""
    run_with(tmp_path)
    files = list((tmp_path / "toccata" / "kernels").rglob(f"*.{suffix}"))
    assert files
    for file in files:
        file.write_bytes(b"")
    assert run_with(tmp_path) == "0 1 compiling"
    assert run_with(tmp_path) == "1 0"


def test_a_full_disk_keeps_no_kernels_and_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Full:
        cache_path = "somewhere"

        def save_overload(self, *_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with caplog.at_level(logging.WARNING, "toccata"):
        compiling._TolerantCache(Full()).save_overload("signature", "code")
    assert "compiled kernels are not kept" in caplog.text


def test_a_first_start_says_what_takes_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiling.cache_folder.cache_clear()
    with caplog.at_level(logging.INFO, "toccata"):
        compiling.cache_folder()
    compiling.cache_folder.cache_clear()
    assert "compiling kernels" in caplog.text


@pytest.mark.parametrize("folder", ["", "caches"])
def test_a_cache_is_never_in_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """Its files are loaded: those of a folder that somebody gave must not be."""
    monkeypatch.setenv("XDG_CACHE_HOME", folder)
    assert compiling._user_caches().is_absolute()
