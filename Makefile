# SPDX-License-Identifier: GPL-2.0-or-later
# Everything a person does with this checkout; `make` alone lists it.

CACHE := $(or $(filter /%,$(XDG_CACHE_HOME)),$(HOME)/.cache)/gdbfpu
# Python without its suffix, which ruff does not find by itself.
SCRIPTS := scripts/setup scripts/install scripts/draw-leak
PY := $(CACHE)/venv/bin/python
# Empty: qemu/choice.py and qemu/cpus.py choose.
export KERNEL ?=
export CPU ?=
# No folder of the sources gets a __pycache__, and a GDB of the tests finds its Python compiled.
export PYTHONPYCACHEPREFIX := $(CURDIR)/build/pycache

# Chooses, makes and boots a kernel first, so that pytest's own output is of tests only.
WITH_KERNEL = $(PY) -m qemu.ready

# For tests that mostly wait for GDB, a browser or a terminal: two files of them at a time.
PARALLEL = -n 2 --dist loadfile

.PHONY: help setup kernel demo interact test test-unit test-pages test-gdb test-vm test-newest test-gdbs test-kernels torture bench \
	docs lint install uninstall clean

help:
	@echo 'make setup      install what the following need (Debian packages, a Python environment)'
	@echo 'make demo       boot a kernel, trace its FPU use over KGDB, print the report, make its page'
	@echo 'make interact   boot the same machine and leave you in GDB, attached'
	@echo 'make test       all tests; test-unit, test-pages, test-gdb, test-vm: one tier of them'
	@echo 'make test-gdbs  the gdb tier and a trace over KGDB with the GDB of each newer Debian suite'
	@echo 'make test-kernels  every kernel of qemu/catalogue.toml over each of its stubs, as a matrix'
	@echo 'make torture    faults, load and hostile input, many times each; TENTH=1: a tenth as often'
	@echo 'make bench      measure gdbfpu beside its rivals: a table, build/bench.json, two pictures'
	@echo 'make docs       write the pages of the commands and the pictures; build the site, build/docs'
	@echo 'make lint       ruff and mypy'
	@echo 'make install    have GDB find `source gdbfpu` of this checkout, a shell `gdbfpu`, from any'
	@echo '                directory; uninstall undoes it; docs/install.md: without a checkout'
	@echo 'make clean      remove what tools left in the checkout'
	@echo
	@echo 'KERNEL=NAME chooses a kernel of qemu/catalogue.toml; without it: kgdb-4.4 if it can be had.'
	@echo 'KERNEL_TARBALL=PATH gives the source of kgdb-4.4 by hand, any 4.4.y; VMLINUX=PATH and'
	@echo 'BZIMAGE=PATH give a finished kernel. CPU=MODEL chooses what QEMU emulates (its -cpu).'
	@echo 'GDB=PATH chooses another GDB, whose Python has to have the packages that gdbfpu needs.'
	@echo 'Downloads and kernels are kept in $(CACHE).'

setup:
	@scripts/setup

kernel: setup
	@$(WITH_KERNEL)

demo: setup
	@$(PY) -m qemu.demo

interact: setup
	@$(PY) -m qemu.interact

test: setup
	@$(PY) -m pytest $(PARALLEL) tests/unit tests/golden tests/pages tests/gdb
	@$(MAKE) --no-print-directory --jobs=2 test-vm test-newest

test-unit: setup
	$(PY) -m pytest tests/unit tests/golden

test-pages: setup
	$(PY) -m pytest tests/pages

test-gdb: setup
	$(PY) -m pytest $(PARALLEL) tests/gdb

test-vm: setup
	@$(WITH_KERNEL) $(PY) -m pytest tests/vm

# Beside test-vm, which leaves half a core.
test-newest: setup
	@nice $(PY) -m tests.gdb.suites --newest

test-gdbs: setup
	@$(WITH_KERNEL) $(PY) -m tests.gdb.suites

test-kernels: setup
	@$(PY) -m tests.vm.matrix

torture: setup
	@$(PY) -m tests.torture $(if $(TENTH),--tenth)

bench: setup
	@$(WITH_KERNEL) $(PY) -m tests.bench

docs: setup
	$(PY) -m docs.site.command_pages
	$(PY) -m docs.site.pictures
	$(PY) -m mkdocs build --strict -f docs/site/mkdocs.yml
	@echo 'the site is build/docs/index.html'

lint: setup
	$(PY) -m ruff check . $(SCRIPTS)
	$(PY) -m ruff format --check . $(SCRIPTS)
	$(PY) -m mypy --strict gdbfpu

install:
	@scripts/install

uninstall:
	@scripts/install --remove

clean:
	@rm -rf build .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	@find . -name __pycache__ -prune -exec rm -rf {} +
	@echo 'kernels and downloads stay in $(CACHE): remove that directory to be rid of them'
