# The front doors. Needs make and Python 3.11 or newer, nothing else: the first call sets up .venv, later ones are instant.
#
#   PYTHON   the interpreter to set up with                         make run PYTHON=python3.12
#   PHOTOS   files, folders or patterns; quote names with spaces    make run PHOTOS="'my dog.jpg' holiday/"
#   REMOVE   what to remove                                         make run PHOTOS=dog.jpg REMOVE=dog
#   OUT      where results go                                       make run OUT=/tmp/cleaned
#   STACK    a stack deployed to AWS                                make doctor STACK=cleanplate
#   PORT     where Adobe's stand-in listens                         make adobe PORT=8085
#   ARGS     more words for the program behind the door             make up ARGS=--help

PYTHON ?= python3
PORT ?= 8085
ARGS ?=

PY := .venv/bin/python
SAM := .venv-sam/bin/python -m local.dev.sam

# Names with spaces and quotes travel in the environment, where no shell takes them apart.
export PHOTOS REMOVE OUT STACK FUNCTION EVENT
export SAM_CLI_TELEMETRY := 0

.DEFAULT_GOAL := help
.PHONY: help run up adobe test unit check format bench prove build deploy doctor invoke clean setup

help:
	@echo 'make run      clean sample photos, or PHOTOS="path ..." REMOVE="dog", on this machine; results in OUT (out/)'
	@echo 'make up       keep the same stack running until interrupted; .local/stack.json says where it is'
	@echo 'make adobe    only the stand-in for Adobe, on PORT=8085'
	@echo 'make test     everything that CI runs'
	@echo 'make unit     the tests that need no sockets'
	@echo 'make check    lint, format, types, template and state machine'
	@echo 'make format   let the linter and the formatter fix what they can'
	@echo 'make bench    measure speed'
	@echo 'make prove    break it on purpose and count what comes of it'
	@echo 'make build    build for AWS (sam build)'
	@echo 'make deploy   build, then deploy to AWS; the first time it asks, and remembers in samconfig.local.toml'
	@echo 'make invoke   one FUNCTION=CheckJobFunction from this checkout, beside a running make up; EVENT=file (its sample)'
	@echo 'make doctor   check a deployed STACK=name and its Adobe account without paying; without a name, that of make up'
	@echo 'make clean    remove what was built and written'

run: .venv/.ready-to-run
	@$(PY) -m local run $(ARGS)

up: .venv/.ready-to-run
	@$(PY) -m local up $(ARGS)

adobe: .venv/.ready-to-run
	@$(PY) -m local adobe --port $(PORT) $(ARGS)

test: check
	@$(PY) -m pytest -n 2 --dist loadgroup $(ARGS)

unit: .venv/.ready-to-test
	@$(PY) -m pytest -q -n 2 --dist loadgroup -m "not stack and not slow" tests/unit $(ARGS)

check: .venv/.ready-to-test .venv-sam/.ready
	@$(PY) -m local check

format: .venv/.ready-to-test
	@$(PY) -m ruff check --quiet --fix .
	@$(PY) -m ruff format --quiet .

bench: .venv/.ready-to-test
	@$(PY) -m tests.benchmarks $(ARGS)

prove: .venv/.ready-to-test
	@$(PY) -m tests.chaos $(ARGS)

doctor: .venv/.ready-to-run
	@$(PY) -m local doctor $(ARGS)

invoke: .venv/.ready-to-run .venv-sam/.ready
	@$(PY) -m local invoke $(ARGS)

build: .venv-sam/.ready
	@$(SAM) build $(ARGS)

deploy: build
	@$(SAM) deploy $(ARGS)

clean:
	@$(PYTHON) local/dev/clean.py

setup: .venv/.ready-to-test .venv-sam/.ready

# ----------------------------------------------------------------------------------------------------------------------

.venv/.ready-to-run: requirements/local.txt requirements/model.txt requirements/uv.txt local/dev/install.py
	@$(PYTHON) local/dev/install.py run
	@touch $@

.venv/.ready-to-test: requirements/test.txt requirements/model.txt requirements/uv.txt local/dev/install.py
	@$(PYTHON) local/dev/install.py test
	@touch $@ .venv/.ready-to-run

.venv-sam/.ready: requirements/sam.txt requirements/uv.txt local/dev/install.py
	@$(PYTHON) local/dev/install.py sam
	@touch $@
