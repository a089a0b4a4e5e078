# make up: the world on this machine.   make test: everything that checks this project.
# Needs python3 (3.11 or newer, with venv) and a package index; all else comes from the lock.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MADE := $(VENV)/made-from-lock
# Tests side by side. More than the two cores: a third of their time is waiting for sockets.
WORKERS ?= 3

# What is imported a hundred times is compiled once, whatever the shell around prefers.
export PYTHONDONTWRITEBYTECODE :=

COMPILE = .venv-lock/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--fork-strategy fewest --generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock"

.PHONY: up test quick static bench-world bench-streams image test-compose lock clean
.NOTPARALLEL:

# ARGS: what tessera up takes, as in  make up ARGS="--port 9000 --bots 0"
up: $(MADE)
	@exec $(BIN)/tessera up $(ARGS)

# Side by side; but pages, which are to draw sixty frames a second, only beside one another, and what
# is promised by the clock beside nothing.
test: static
	@echo "== tests of the parts"
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal -m "not cluster and not browser and not compose"
	@echo "== tests of whole worlds"
	@$(BIN)/pytest -n 0 -m "cluster and alone" tests/ops
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal -m "cluster and not browser and not alone" tests/end_to_end tests/ops
	@echo "== tests of the pages"
	@$(BIN)/pytest -n 0 -m "browser and alone" tests/browser
	@$(BIN)/pytest -n 2 --dist loadfile -m "browser and not alone" tests/browser

# The inner loop: no servers, no processes, no browser.
quick: static
	@echo "== quick tests"
	@$(BIN)/pytest -q -n $(WORKERS) -m "not embedded and not cluster and not browser and not slow and not compose"

static: $(MADE)
	@echo "== ruff"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@echo "== mypy"
	@$(BIN)/mypy
	@echo "== import-linter"
	@$(BIN)/lint-imports

# ARGS: cases, and --quick or --report-only, as in  make bench-world ARGS="--quick walking"
bench-world: $(MADE)
	@exec $(BIN)/python -P -m ops.bench.world $(ARGS)

# The same for what is streamed, beside FastAPI; two to five minutes.
bench-streams: $(MADE)
	@exec $(BIN)/python -P -m ops.bench.streams $(ARGS)

# Once for each lock and each pyproject.toml. --no-deps: the lock is complete, so nothing is left
# to be resolved; --no-build-isolation: the build uses the locked setuptools.
$(MADE): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Tessera needs Python 3.11 or newer; name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "Python's venv is missing; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@echo "== making $(VENV) from requirements.lock (a minute the first time)"
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -P ops/install.py
	@touch $@

# APP_IMAGE, BASE_IMAGE: as in  make image APP_IMAGE=registry/tessera:1 BASE_IMAGE=python:3.13-slim
image: $(MADE)
	@$(BIN)/python -P ops/image.py

# The whole stack of compose/, on this machine's Docker engine. IMAGES=public: with the images that
# compose.yaml names, not with those of compose/base-images.sh; COMPOSE: another docker compose.
test-compose: $(MADE)
	@echo "== tests of the whole stack in containers"
	@$(BIN)/pytest -n 0 -m compose -o faulthandler_timeout=600 $(ARGS) tests/compose

# Versions and hashes only: whoever installs chooses the index. The second is what an image needs of
# the first.
lock:
	@test -x .venv-lock/bin/uv \
		|| { $(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install --disable-pip-version-check --quiet uv; }
	$(COMPILE) --upgrade --extra build --extra embedded --extra test --output-file requirements.lock
	$(COMPILE) --constraint requirements.lock --extra build --output-file compose/requirements.lock

# The world in .data stays.
clean:
	rm -rf $(VENV) .venv-lock build dist *.egg-info \
		.mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
