"""A server with the fake worker, as a process.

python -m tests.server.programs.fake_server PORT DATA_DIR SLOTS
    [page [TOKEN [PUBLIC_URL [DRAIN_S]]]]
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from tests.server import fake_worker
from toccata.server import program
from toccata.server.app import check_start, create_app
from toccata.server.config import ServerSettings
from toccata.settings import Settings


def main(port: str, data_dir: str, slots: str, page: str = "", *more: str) -> None:
    token, public_url, drain_s = (*more, *("", "", "")[len(more) :])
    logging.basicConfig(level=logging.INFO)
    machine = Settings(slots=int(slots))
    settings = ServerSettings(
        machine=machine, data_dir=Path(data_dir), drain_s=float(drain_s or 0), allow_private=True,
        page=bool(page), tokens=(token,) if token else (), public_url=public_url or None,
    )  # fmt: skip
    check_start(settings)
    app = create_app(settings, fake_worker.run)
    program.run(app, settings, port=int(port))


if __name__ == "__main__":  # its worker imports this file too
    main(*sys.argv[1:])
