# Everything runs in .venv, made from requirements.lock with pip alone. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Options of `make demo`
FOR ?=
KAFKA ?=
CANDLES ?=
SPEED ?=
SEED ?=
DATA ?= .leverloop/$(if $(KAFKA),demo-kafka,demo)

BENCHES := bench-cube bench-incremental bench-recovery bench-changelog bench-emitting bench-resolve bench-loading bench-delivery \
  bench-epoch bench-lessons bench-peers bench-uplift
PEERS := $(VENV)/bench/.installed
.PHONY: help setup demo test check format $(BENCHES) lock clean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  make $(BENCHES): see benchmarks/README.md"
	@echo "  make demo takes FOR=2m KAFKA=1 CANDLES=folder SPEED=28800 SEED=1 DATA=folder"

setup: $(STAMP) ## create .venv from the lock, with .venv/bin/leverloop

demo: $(STAMP) ## the whole loop on this machine: log, database, worker, paper PM; until Ctrl-C
	$(BIN)/leverloop demo --data-dir "$(DATA)" $(if $(FOR),--for $(FOR)) $(if $(KAFKA),--kafka) \
	  $(if $(CANDLES),--candles "$(CANDLES)") $(if $(SPEED),--speed $(SPEED)) $(if $(SEED),--seed $(SEED))

test: $(STAMP) ## all tests; those on Kafka run where there is Java 17 with Maven, or LEVERLOOP_TEST_KAFKA
	$(BIN)/python -m pytest

check: $(STAMP) ## format, lint, types, import contracts, dead code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture

format: $(STAMP) ## format the code, and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BENCHES): bench-%: $(STAMP)
	$(BIN)/python -m benchmarks.$*

bench-peers: $(PEERS)

# pysubgroup wants NumPy below 2, which is built for Python up to 3.12
$(PEERS): benchmarks/peers/requirements.lock | $(STAMP)
	@$(BIN)/python -m venv $(VENV)/bench
	@$(VENV)/bench/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes \
	  -r $< && touch $@ || { rm -rf $(VENV)/bench; echo "pysubgroup cannot be installed here: its rows will be missing"; }

lock: ## resolve the dependencies anew (needs uv)
	uv pip compile pyproject.toml --group dev --universal --generate-hashes --python-version 3.11 \
	  --no-emit-package leverloop --no-annotate --no-header -o requirements.lock
	uv pip compile --group bench --universal --generate-hashes --python-version 3.11 --no-annotate --no-header \
	  -o benchmarks/peers/requirements.lock

clean: ## remove .venv, caches and the demo's data
	rm -rf $(VENV) .leverloop .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): requirements.lock pyproject.toml client/pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 15) else "Leverloop needs Python 3.11 to 3.14, this is %d.%d: make $(MAKECMDGOALS) PYTHON=python3.13" % v)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (a minute or two)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e ./client -e .
	@echo "compiling the kernels (half a minute, once)"
	@$(BIN)/python -c "from learning.kernels import compile_kernels; compile_kernels()"
	@touch $@
