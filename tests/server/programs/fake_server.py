"""A server with the fake worker, as a process: python -m ...fake_server PORT DATA_DIR SLOTS"""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn

from tests.server import fake_worker
from toccata.server.app import create_app
from toccata.server.config import ServerSettings
from toccata.settings import Settings


def main(port: str, data_dir: str, slots: str) -> None:
    machine = Settings(slots=int(slots))
    settings = ServerSettings(machine=machine, data_dir=Path(data_dir), drain_s=0.0)
    app = create_app(settings, fake_worker.run)
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_config=None, access_log=False)


if __name__ == "__main__":  # its worker imports this file too
    main(*sys.argv[1:])
