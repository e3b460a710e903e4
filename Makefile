# Everything goes into .venv in this checkout; nothing else on the machine is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help setup demo test test-system lint format campaign fuzz manifests kills soak clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "p2penergy needs Python 3.11 or newer; name one with make PYTHON=..."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

setup: $(STAMP)  ## make .venv with everything that is needed

demo: $(STAMP)  ## a neighbourhood trades for a day; more options: .venv/bin/p2penergy demo --help
	$(BIN)/p2penergy demo $(ARGS)

test: $(STAMP) lint  ## lint, types, and the default tests (under 10 minutes on 2 cores)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m 'not system and not campaign' $(ARGS)

test-system: $(STAMP)  ## tests that need programs beyond Python, make and git
	./tests/system/require.sh
	$(BIN)/python -m pytest -m system $(ARGS)

campaign: $(STAMP)  ## half a million simulated schedules
	$(BIN)/python -m tests.compiled out/compiled
	PYTHONPATH=out/compiled PYTHONSAFEPATH=1 $(BIN)/python -m p2penergy simulate \
	  --seeds 0..499999 --members 4,5,6,7,10 --profile chaos --jobs 2 $(ARGS)

fuzz: $(STAMP)  ## every decoder for a minute each; atheris where it is installed; ARGS="--seconds 600 message"
	$(BIN)/python -m tests.fuzz $(ARGS)

manifests: $(STAMP)  ## 50 networks of real processes, disturbed by seed; ARGS="--seeds 7"; cables are pulled as root only
	$(BIN)/python -m tests.manifests $(ARGS)

kills: $(STAMP)  ## 100 times kill -9 over seven validators under trade, then an audit of every ledger
	$(BIN)/python -m tests.manifests --kills 100 $(ARGS)

soak: $(STAMP)  ## 30 minutes of moderate load: memory, open files, latency per minute; ARGS="--minutes 5"
	$(BIN)/python -m bench.soak $(ARGS)

lint: $(STAMP)  ## formatting, lint, strict types
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy

format: $(STAMP)  ## rewrite the code in its one format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## remove .venv and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis out
