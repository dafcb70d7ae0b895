# The front doors. Needs make and Python 3.11 or newer, nothing else: the first call sets up .venv, later ones are instant.
#
#   PYTHON   the interpreter to set up with                         make run PYTHON=python3.12
#   PHOTOS   files, folders or patterns; quote names with spaces    make run PHOTOS="'my dog.jpg' holiday/"
#   REMOVE   what to remove                                         make run PHOTOS=dog.jpg REMOVE=dog
#   GROW     by how many pixels the mask is grown                   make redo PHOTOS=dog.jpg GROW=40
#   REVIEW   only make the masks, to be approved                    make run PHOTOS=dog.jpg REVIEW=1
#   STACK    a deployed stack, or the stack.json of another one     make run STACK=cleanplate PHOTOS=holiday/
#   TO       the folder in the uploads bucket                       make run STACK=cleanplate PHOTOS=holiday/ TO=anna
#   YES      do not ask before many photos are paid for             make run STACK=cleanplate PHOTOS=holiday/ YES=1
#   OUT      where results go                                       make run OUT=/tmp/cleaned
#   PORT     where Adobe's stand-in listens                         make adobe PORT=8085
#   ARGS     more arguments of the command                         make up ARGS=--help

PYTHON ?= python3
PORT ?= 8085
ARGS ?=

PY := .venv/bin/python
SAM := .venv-sam/bin/python -m local.dev.sam

# Names with spaces and quotes travel in the environment, where no shell takes them apart.
export PHOTOS REMOVE GROW REVIEW OUT STACK TO YES FUNCTION EVENT CALLED_FROM
export SAM_CLI_TELEMETRY := 0
# Each of the many processes would compile again all that it imports.
unexport PYTHONDONTWRITEBYTECODE

# A misspelt name would be passed over without a word.
KNOWN := PYTHON PORT ARGS PHOTOS REMOVE GROW REVIEW OUT STACK TO YES FUNCTION EVENT
UNKNOWN := $(filter-out $(KNOWN),$(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name))))
$(if $(strip $(UNKNOWN)),$(error There is no $(UNKNOWN); the names are $(KNOWN)))

# With `make -C`, names of files are meant from where make was called.
ifneq (,$(findstring w,$(firstword -$(MAKEFLAGS))))
CALLED_FROM := $(PWD)
endif

.DEFAULT_GOAL := help
.PHONY: help run redo retry approve status up adobe test unit check format bench prove build deploy doctor dead-letters invoke clean setup

help:
	@echo 'make run      clean sample photos, or PHOTOS="path ..." REMOVE="dog", on this machine; results in OUT (out/)'
	@echo '              the same with STACK=name on a deployed stack'
	@echo 'make redo     PHOTOS="name ..." once more, with other options: REMOVE="leash" GROW=40'
	@echo 'make approve  PHOTOS="name ...": fill the masks that make run REVIEW=1 has made, as they are or edited in OUT'
	@echo 'make retry    once more what failed in OUT; make status: how far it is'
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
	@echo 'make dead-letters   list what could not be delivered or read; ARGS=delete or ARGS=redrive'
	@echo 'make clean    remove what was built and written'

run: .venv/.ready-to-run
	@$(PY) -m local run $(ARGS)

redo: .venv/.ready-to-run
	@$(PY) -m local redo $(ARGS)

retry: .venv/.ready-to-run
	@$(PY) -m local retry $(ARGS)

approve: .venv/.ready-to-run
	@$(PY) -m local approve $(ARGS)

status: .venv/.ready-to-run
	@$(PY) -m local status $(ARGS)

up: .venv/.ready-to-run
	@$(PY) -m local up $(ARGS)

adobe: .venv/.ready-to-run
	@$(PY) -m local adobe --port $(PORT) $(ARGS)

test: check
	@$(PY) -m pytest -n 8 --dist loadgroup --no-loadscope-reorder $(ARGS)

unit: .venv/.ready-to-test
	@$(PY) -m pytest -q -n 2 --dist loadgroup -m "not stack and not slow" tests/unit $(ARGS)

check: setup
	@$(PY) -m local check

format: .venv/.ready-to-test
	@$(PY) -m ruff check --quiet --fix .
	@$(PY) -m ruff format --quiet .

bench: .venv/.ready-to-test
	@$(PY) -m tests.benchmarks $(ARGS)

prove: .venv/.ready-to-test
	@$(PY) -m tests.chaos $(ARGS)

invoke: .venv/.ready-to-run .venv-sam/.ready
	@$(PY) -m local invoke $(ARGS)

build: .venv-sam/.ready
	@$(SAM) build $(ARGS)

deploy: build
	@$(SAM) deploy $(ARGS)

doctor: .venv/.ready-to-run
	@$(PY) -m local doctor $(ARGS)

dead-letters: .venv/.ready-to-run
	@$(PY) -m local dead-letters $(ARGS)

clean:
	@$(PYTHON) local/dev/clean.py

setup:
	@$(MAKE) --silent --no-print-directory -j3 .venv/.ready-to-test .venv-sam/.ready .venv-audit/.ready

# ----------------------------------------------------------------------------------------------------------------------

.venv/.installers: requirements/installers.txt local/dev/install.py
	@$(PYTHON) local/dev/install.py installers
	@touch $@

.venv/.ready-to-run: .venv/.installers requirements/local.txt requirements/model.txt
	@$(PYTHON) local/dev/install.py run
	@touch $@

.venv/.ready-to-test: .venv/.installers requirements/test.txt requirements/model.txt
	@$(PYTHON) local/dev/install.py test
	@touch $@ .venv/.ready-to-run

.venv-sam/.ready: .venv/.installers requirements/sam.txt
	@$(PYTHON) local/dev/install.py sam
	@touch $@

.venv-audit/.ready: .venv/.installers requirements/audit.txt
	@$(PYTHON) local/dev/install.py audit
	@touch $@
