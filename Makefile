# make song    music from the model that ships     make test    all tests
# make serve   the server, on this machine         make bench   speed, beside the peers
# make lint    ruff, mypy, stale documents         make test-gpu, make bench-gpu   the same on a GPU
# make site    the documentation, into build/site  make dist    a wheel and an sdist, into dist
# make docs    the generated parts of documents
# make test-weights    tests of the published weights that the hub's cache holds
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := song

export PROMPT ?= lo-fi beat, 80 bpm, mellow piano
DURATION ?= 8
OUTPUT ?= song.wav

# The first Python that is new enough.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && \
	echo $$python && break; done)
VENV := .venv
PIP := $(VENV)/bin/pip --disable-pip-version-check

.PHONY: song serve test test-gpu test-weights lint bench bench-gpu docs site dist clean

song: $(VENV)/.installed
	$(VENV)/bin/toccata generate "$$PROMPT" --model mini --duration $(DURATION) --output $(OUTPUT) --overwrite
	@echo "Your music is in $(abspath $(OUTPUT))"

serve: $(VENV)/.server
	$(VENV)/bin/toccata serve --stand-in mini

test: $(VENV)/.dev $(VENV)/.synth $(VENV)/.clients $(VENV)/.postgres $(VENV)/.nginx $(VENV)/.browser
	$(VENV)/bin/python -m pytest

# Without a GPU these two say what they need, and are done.
test-gpu: $(VENV)/.dev
	$(VENV)/bin/python -m pytest tests/gpu

bench-gpu: $(VENV)/.dev
	$(VENV)/bin/python -m bench.gpu

# For whoever has the published weights; what is missing is skipped, with how to get it.
test-weights: $(VENV)/.dev
	$(VENV)/bin/python -m pytest tests/weights

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python scripts/reference.py --check
	$(VENV)/bin/python scripts/examples.py --check
	$(VENV)/bin/python -m bench --check
	$(VENV)/bin/python -m bench.lora --check

# Measures for a quarter of an hour, then writes docs/lab/performance.md; nothing else should run.
bench: $(VENV)/.dev
	$(VENV)/bin/python -m bench

# The parts of documents that are made from the code, and from what was measured.
docs: $(VENV)/.dev
	$(VENV)/bin/python scripts/reference.py
	$(VENV)/bin/python scripts/examples.py --page
	$(VENV)/bin/python -m bench --render
	$(VENV)/bin/python -m bench.lora --render

# Warnings are errors, and so is an internal link that leads nowhere.
site: $(VENV)/.docs
	rm -rf build/site
	$(VENV)/bin/sphinx-build -W --keep-going -q -b html -c docs -d build/doctrees . build/site
	$(VENV)/bin/python scripts/check_links.py build/site
	@echo "The site is in $(abspath build/site)/index.html"

dist: $(VENV)/.dev
	rm -rf dist
	$(VENV)/bin/python -m build --no-isolation

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis src/*.egg-info
	find src tests bench recipes scripts -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "toccata needs Python 3.11 or newer" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV): the first time, 1 to 3 GB in a few minutes"
	$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.server: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e '.[server]'
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@

$(VENV)/.docs: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e '.[docs]'
	@touch $@

# Renders the corpus. Its one dependency, pyaudio, only plays live and needs PortAudio: left out.
$(VENV)/.synth: $(VENV)/.installed scripts/setup-synth
	$(PIP) install -c constraints.txt --no-deps tinysoundfont
	scripts/setup-synth
	@touch $@

# The clients that the server is tested with.
$(VENV)/.clients: $(VENV)/.dev scripts/setup-clients scripts/cog-constraints.txt
	scripts/setup-clients
	@touch $@

# The database that the server is tested with, besides SQLite.
$(VENV)/.postgres: $(VENV)/.dev scripts/setup-postgres
	scripts/setup-postgres
	@touch $@

# The proxy that the server is tested behind.
$(VENV)/.nginx: $(VENV)/.dev scripts/setup-nginx
	scripts/setup-nginx
	@touch $@

# The browser that the page is tested with.
$(VENV)/.browser: $(VENV)/.dev scripts/setup-browser
	scripts/setup-browser
	@touch $@
