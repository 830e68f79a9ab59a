# `make demo` and `make test` set up everything they need in .venv; nothing else has to be installed by hand.
PYTHON ?= python3
VENV   ?= .venv
# torch goes in first and by version, so that pip does not replace a CPU build by the largest GPU one.
TORCH  ?= torch==2.13.0
BIN    := $(VENV)/bin

.PHONY: setup demo test check format lint types imports bench clean

setup: $(VENV)/ready

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[dev,demo]"
	touch $@

demo: setup
	mkdir -p demo
	$(BIN)/weightaudit scan "$$($(BIN)/python -m tests.checkpoints minilm)" --out demo/report.html --csv demo/layers.csv
	@echo "Open demo/report.html in a browser; the numbers are in demo/layers.csv."

test: setup
	$(BIN)/python -m pytest

check: lint types imports test

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) demo build dist
