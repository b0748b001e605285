"""`python -m mini`."""

from mini.cli import app
from toccata.cli import run

run(app, "python -m mini")
