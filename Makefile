# `make train` and `make test` are each enough by themselves on a machine with Python 3.11 or newer, git and make.
# The environment is made once, in .venv, and again when pyproject.toml or constraints.txt change.

# Another phrase, or real recordings to measure on: make train PHRASE="ok house" REAL=recordings/manifest.csv
PHRASE ?=
REAL ?=
export PHRASE REAL

# The first of these that is new enough; PYTHON=/path/to/python chooses another.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)

BIN := $(CURDIR)/.venv/bin
export PATH := $(BIN):$(PATH)
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help train quick test

help:
	@echo 'make train                       from the phrase in params.yaml to a model and its report'
	@echo 'make train PHRASE="ok house"     the same for another phrase, in workspaces/ok_house'
	@echo 'make train REAL=manifest.csv     the same, measured on real recordings'
	@echo 'make quick [PHRASE=] [REAL=]     the same with the settings of quick.yaml: minutes, and a weaker model'
	@echo 'make test                        lint, types, import law, tests'

train: .venv/.train
	@$(call pipeline,)

quick: .venv/.train
	@$(call pipeline,--settings quick.yaml)

test: .venv/.dev
	@ruff check .
	@ruff format --check .
	@mypy
	@lint-imports
	@pytest --numprocesses=2 --dist=loadfile

# Options go through the environment, so that no phrase can be taken for a part of the shell's command.
define pipeline
set -eu; \
folder=$$(python -m steps workspace $(1) $${PHRASE:+--phrase "$$PHRASE"} $${REAL:+--real "$$REAL"}); \
cd "$$folder"; \
dvc repro; \
python -m steps report
endef

# The development set contains the training set.
.venv/.dev: pyproject.toml constraints.txt
	@$(call install,dev)
	@touch .venv/.train $@

.venv/.train: pyproject.toml constraints.txt
	@$(call install,train)
	@touch $@

define install
set -eu; \
if [ ! -x .venv/bin/pip ]; then \
	if [ -z "$(PYTHON)" ]; then \
		echo 'error: no Python 3.11 or newer was found; install one, or give its path: make PYTHON=/path/to/python' >&2; \
		exit 1; \
	fi; \
	rm -rf .venv; \
	$(PYTHON) -m venv .venv || { \
		rm -rf .venv; \
		echo 'error: $(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv' >&2; \
		exit 1; \
	}; \
fi; \
echo 'installing the packages into .venv (about two minutes the first time)'; \
.venv/bin/pip install -qq --constraint constraints.txt --editable '.[$(1)]'
endef
