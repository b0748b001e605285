"""`python -m recipes.mini`."""

from recipes.mini.cli import app
from toccata.cli import run

run(app, "python -m recipes.mini")
