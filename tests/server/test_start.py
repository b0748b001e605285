"""What is wrong with what the server depends on is said before it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from toccata.errors import InputError, ToccataError
from toccata.server.app import check_start
from toccata.server.config import ServerSettings
from toccata.settings import Settings


def test_a_wrong_storage_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = ServerSettings(machine=Settings(), data_dir=tmp_path / "data")
    for wrong in ("nothing://x", "memory://", str(tmp_path / "file")):
        with pytest.raises(InputError, match="storage"):
            check_start(ServerSettings(data_dir=settings.data_dir, storage=wrong))


def test_a_damaged_database_is_said_at_the_start(tmp_path: Path) -> None:
    settings = ServerSettings(data_dir=tmp_path)
    check_start(settings)
    database = tmp_path / "server.db"
    whole = bytearray(database.read_bytes())
    whole[100:] = b"\xff" * (len(whole) - 100)
    database.write_bytes(whole)
    with pytest.raises(ToccataError, match=r"database.*(damaged|malformed)"):
        check_start(settings)
