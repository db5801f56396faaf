# The same targets for people and CI. `make run` and `make test` install what is missing first.
#   VENV         where the environment lives                     (default .venv)
#   PYTHON       the Python that creates it, 3.11 or newer       (default: the first one found)
#   TORCH_INDEX  a package index that has CPU builds of torch    (optional; see README.md)
#   KB_HOME      where documents, database and index are stored  (default ~/.kb)

VENV ?= .venv
PYTHON ?= $(shell scripts/find_python.sh)
# pip caches the wheel of hnswlib, and a wheel made for this very processor could die on another one: build for every
# processor with AVX2 instead.
export HNSWLIB_NO_NATIVE ?= 1
export CXXFLAGS += $(shell grep -q -m1 avx2 /proc/cpuinfo 2>/dev/null && echo -march=x86-64-v3)

BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
SOURCES := kb ingest retrieval llm ui
MODELS := $(if $(KB_MODELS),$(KB_MODELS),$(VENV)/share/kb/models)
GOLDEN := tests/evals/golden.jsonl
EVAL_HOME := $(CURDIR)/.eval

.PHONY: run install test check fix eval bench lock clean

run: $(VENV)/.installed models ## install, ingest docs/, answer one question, start API and UI
	@$(BIN)/kb run

install: $(VENV)/.installed-test models ## everything that running and testing need

test: $(VENV)/.installed-test models ## the test suite
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.installed-test ## lint and types
	$(BIN)/ruff check .
	$(BIN)/mypy

fix: $(VENV)/.installed-test ## let the linter mend what it can
	$(BIN)/ruff check --fix .

eval: $(VENV)/.installed-test models ## the golden questions over docs/ against the committed baselines
	$(BIN)/kb ingest docs --collection guide --prune --home $(EVAL_HOME)
	$(BIN)/kb eval answers $(GOLDEN) --collection guide --mode quote --budget-ms 0 --baseline tests/evals/baseline.quote.json --home $(EVAL_HOME)
	$(BIN)/kb eval answers $(GOLDEN) --collection guide --mode write --budget-ms 0 --baseline tests/evals/baseline.write.json --home $(EVAL_HOME)

bench: $(VENV)/.installed models ## latency over HTTP at 1, 4 and 16 clients, both modes
	$(BIN)/python bench/latency.py

$(VENV)/bin/python:
	@scripts/check_machine.sh "$(PYTHON)"
	@echo "creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing kb into $(VENV) (several minutes the first time)"
	@$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/.installed-test: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing kb and its test tools into $(VENV) (several minutes the first time)"
	@$(PIP_INSTALL) -e '.[test]'
	@touch $@ $(VENV)/.installed

.PHONY: models
models:
	@[ -f $(MODELS)/encoder/model.safetensors ] && [ -f $(MODELS)/writer/model.safetensors ] || $(BIN)/kb model install

lock: ## constraints.txt from this environment, after `pip install --upgrade` and a green `make test` in it
	@{ echo "# The versions the tests passed with; written by 'make lock'. torch is pinned in pyproject.toml."; \
	$(BIN)/python -m pip --disable-pip-version-check freeze --exclude-editable --exclude torch --exclude kb; } > constraints.tmp
	@mv constraints.tmp constraints.txt

clean: ## remove caches and builds; the environment and stored documents stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info .eval
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
