# Each target sets up what it needs in .venv of this checkout. `make help` lists them.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
PIP_INSTALL := $(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

BACKENDS := tensorflow jax torch
# Whether BACKEND was given decides what `make test` tests; else it is what Keras would take.
TESTED := $(or $(BACKEND),$(BACKENDS))
ifndef BACKEND
BACKEND := $(shell $(PYTHON) -c "from recipes.__main__ import default_backend; print(default_backend())")
endif
ifeq ($(BACKEND),)
$(error cannot run $(PYTHON): name a Python 3.11 or newer, as in make PYTHON=python3.12)
endif
ifneq ($(filter-out $(BACKENDS),$(BACKEND)),)
$(error there is no backend $(BACKEND): choose BACKEND=tensorflow, jax or torch)
endif

.PHONY: help recipe list test lint bench name-needed $(BACKENDS:%=test-%)
.DEFAULT_GOAL := help

help:
	@echo "make recipe NAME=cnn_mnist [BACKEND=tensorflow|jax|torch] [ARGS=\"--epochs 2\"]"
	@echo "                     train a recipe; ARGS=--help lists its options"
	@echo "make list            list the recipes"
	@echo "make test            run all tests on all three backends (BACKEND=jax: on one)"
	@echo "make lint            check style"
	@echo "make bench NAME=training_step [BACKEND=...]"
	@echo "                     run a benchmark; results go to benchmarks/results/"
	@echo "make help            print this"
	@echo
	@echo "BACKEND defaults to KERAS_BACKEND, then Keras's config file, then tensorflow: $(BACKEND)."
	@echo "PYTHON=python3.12 chooses the Python that .venv is made with (3.11 or newer)."

recipe: name-needed $(VENV)/installed-$(BACKEND)
	@KERAS_BACKEND=$(BACKEND) $(RUN) -m recipes run $(NAME) $(ARGS)

list:
	@$(PYTHON) -m recipes list

test: $(TESTED:%=test-%)

$(BACKENDS:%=test-%): test-%: $(VENV)/installed-% $(VENV)/installed-dev
	KERAS_BACKEND=$* $(RUN) -m pytest $(ARGS)

lint: $(VENV)/installed-dev
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check

bench: name-needed $(VENV)/installed-$(BACKEND)
	@KERAS_BACKEND=$(BACKEND) $(RUN) -m benchmarks $(NAME)

name-needed:
	$(if $(NAME),,$(error give a name, as in make recipe NAME=cnn_mnist; make list lists the recipes))

# The extra of pyproject.toml that stands behind a backend here: TensorFlow's smaller build.
extra = $(if $(filter tensorflow,$(1)),tensorflow-cpu,$(1))

$(VENV)/installed-%: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing $* into $(VENV)"
	@$(PIP_INSTALL) --editable ".[$(call extra,$*)]"
	@touch $@

$(VENV)/bin/python:
	@$(PYTHON) -c "import sys; sys.version_info >= (3, 11) or sys.exit('$(PYTHON) is Python ' + sys.version.split()[0] + ', and 3.11 or newer is needed: name one, as in make PYTHON=python3.12')"
	@$(PYTHON) -m venv $(VENV)
