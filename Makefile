# Everything here needs only python3 (>= 3.11) and make; .venv is made from requirements/*.txt.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

INVENTORY ?= inventories/local
ARGS ?=
TESTS ?= tests/unit
# Percent of the pure core's lines and branches that the unit tests reach; it only goes up.
COVERAGE ?= 97
# molecule/README.md says what each proves. Those of the second list have aarch64 hosts.
SCENARIOS ?= fleet apt_cache weights cpu rollback drift offline reprovision workstation_rtx50 amd_rocm wsl_directml speech
SCENARIOS_ARM64 ?= conda arm64 thor dgx_spark

# What a user set for other Pythons, and a locale that Ansible refuses, must not reach the tools in .venv.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP PIP_TARGET PIP_PREFIX VIRTUAL_ENV
export PYTHONNOUSERSITE := 1
ifneq ($(filter C POSIX,$(LC_ALL)),)
export LC_ALL := C.UTF-8
endif
ifeq ($(LC_ALL)$(LC_CTYPE)$(LANG),)
export LC_ALL := C.UTF-8
endif
# A checkout that others may write to would else make Ansible ignore its own settings without a word.
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help
help: ## List the targets
	@printf 'Wavesmith\n\n'
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 24
	@printf '\n  ARGS="-l thor01 --check"  goes to ansible-playbook (provision, plan) or to the tool below it\n'
	@printf '  INVENTORY=inventories/fleet   another inventory\n'
	@printf '  PYTHON=/path/to/python3.12    another Python for .venv\n'

.PHONY: venv
venv: ## Make .venv for running playbooks (the other targets do it by themselves)
	@requirements/venv.sh controller

.PHONY: venv-dev
venv-dev: ## Make .venv for working on the project
	@requirements/venv.sh dev

.PHONY: plan
plan: venv ## Show what provision would do
	@wavesmith plan -i $(INVENTORY) -- $(ARGS)

.PHONY: provision
provision: venv ## Provision this machine, or the hosts of INVENTORY
	@wavesmith provision -i $(INVENTORY) -- $(ARGS)

.PHONY: test
test: lint coverage test-hosts ## Lint, unit tests with coverage, and a provisioning of real SSH hosts
	@tail -n 1 .cache/test-unit.log

.PHONY: test-unit
test-unit: venv-dev ## The inner loop, under a minute: make test-unit TESTS=tests/unit/test_plan.py ARGS='-k digest'
	@pytest $(TESTS) -m 'not slow and not process' -n 2 --dist worksteal $(ARGS)

.PHONY: coverage
coverage: venv-dev ## All unit tests but the slow ones, and how much of the pure core they reach
	@mkdir -p .cache
	@pytest $(TESTS) -m 'not slow' -n 2 --dist worksteal --cov=ansible_collections.wavesmith.provision.plugins.module_utils \
		--cov-branch --cov-report= $(ARGS) | tee .cache/test-unit.log
	@coverage report --include="$$(python tests/pure_core.py)" --skip-covered --fail-under=$(COVERAGE)

.PHONY: mutation
mutation: venv-dev ## Change the code that decides, a little at a time, and list what no test notices (an hour)
	@tests/mutation.sh

.PHONY: packages-table
packages-table: venv ## Resolve, install and import every package of the catalog, and write docs/packages.md (an hour, 25 GiB)
	@wavesmith packages --write $(ARGS)

.PHONY: benchmark
benchmark: venv-dev ## Measure what has a bound, in one run with what it is compared with, and write docs/performance.md
	@python benchmarks/performance.py $(ARGS)

.PHONY: faults
faults: venv-dev ## Kill, fill the disk and damage what is kept, at some two hundred places, and write artifacts/faults.md
	@python tests/faults.py $(ARGS)

.PHONY: docs
docs: venv-dev ## Build the documentation as a site in .cache/site
	@docs/build.sh

.PHONY: first-hour
first-hour: venv-dev ## Play README's first hour on three SSH hosts, then provision ten at once with bad indexes, and write docs/first-hour.md
	@molecule/resources/hosts.sh python -m tests.first_hour $(ARGS)

.PHONY: release
release: venv-dev ## Make artifact, wheel, site, SBOM and changelog in .cache/release, and use them installed in empty environments
	@python release/make.py

.PHONY: test-hosts
test-hosts: venv-dev
	@status=0; molecule/resources/hosts.sh molecule test --scenario-name provision || status=$$?; \
	if [ $$status -eq 77 ]; then echo 'SKIPPED: the tests on real SSH hosts (the reason stands above)' >&2; else exit $$status; fi

.PHONY: acceptance
acceptance: venv-dev ## The slow tests, and every scenario of molecule/ on real SSH hosts: make acceptance SCENARIOS='rollback drift' SCENARIOS_ARM64=
	@pytest tests/unit -m slow $(ARGS) || [ $$? -eq 5 ]
	@for name in $(SCENARIOS); do molecule/resources/hosts.sh molecule test --scenario-name $$name; done
	@for name in $(SCENARIOS_ARM64); do molecule/resources/hosts.sh --arm64 molecule test --scenario-name $$name; done

.PHONY: lint
lint: venv-dev ## Check style and types
	ruff check
	ruff format --check
	mypy
	vulture
	yamllint --strict .
	codespell
	antsibull-changelog lint
	ansible-lint --offline --strict

.PHONY: advisories
advisories: venv ## Look up known vulnerabilities of the locked tools, where an index of advisories answers
	@requirements/advisories.sh uv

.PHONY: format
format: venv-dev ## Format the Python files and fix what can be fixed without thought
	ruff check --fix-only --quiet
	ruff format

.PHONY: catalog-check
catalog-check: venv ## Compare what the catalog pins with the package index and upstream: make catalog-check ARGS=--large
	@python -m wavesmith catalog check $(ARGS)

.PHONY: lock
lock: venv ## Resolve requirements/*.txt again: make lock ARGS=--upgrade
	@requirements/lock.sh .venv/bin/uv $(ARGS)

.PHONY: clean
clean: ## Remove what make made here; nothing on a host
	rm -rf .venv .cache .coverage .ansible .pytest_cache .mypy_cache .ruff_cache .hypothesis .molecule wavesmith-provision-*.tar.gz
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
