# Two commands on a bare Debian 12 with root: `make demo` and `make test`. Everything else is a part of them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
LAB := deploy/lab/lab
BASE_URL ?= https://localhost

.PHONY: help demo demo-down test unit lab-test lint format crds docs site sbom bundle krew lock bench clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | column -t -s "$$(printf '\t')" 2>/dev/null || grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST)

demo: $(VENV)/.stamp ## Bring up the lab and the operator, and converge a real swarm from one manifest
	@$(PY) deploy/demo/demo.py up

demo-down: ## Take the demo and the lab down; leaves no process, namespace, bridge, mount or iptables rule
	@$(PYTHON) deploy/demo/demo.py down

test: $(VENV)/.stamp ## Lint, unit, property and simulation tests, then the tests on the real lab
	@$(PY) tests/run.py all

unit: $(VENV)/.stamp ## Only what needs no lab
	@$(PY) tests/run.py fast

lab-test: $(VENV)/.stamp ## Only the tests on the real lab
	@$(PY) tests/run.py lab

lint: $(VENV)/.stamp ## ruff, mypy --strict, import-linter
	@$(PY) tests/run.py lint

format: $(VENV)/.stamp ## Format the code
	@$(VENV)/bin/ruff format operator tests deploy
	@$(VENV)/bin/ruff check --fix -q operator tests deploy

crds: $(VENV)/.stamp ## Generate crds/, the references and the chart's list of kinds from the types
	@$(PY) -m swarm_operator.api.crd --write crds
	@$(PY) -m swarm_operator.api.reference --write docs
	@$(PY) -m swarm_operator.telemetry.reference --write docs
	@$(PY) deploy/olm/bundle.py --chart deploy/helm/swarm-operator/Chart.yaml

bundle: $(VENV)/.stamp ## The bundle for the Operator Lifecycle Manager, in build/
	@$(PY) deploy/olm/bundle.py --write build/olm
	@echo "build/olm"

site: $(VENV)/.stamp ## The documentation as a site, in site/
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict
	@echo "site/index.html"

sbom: $(VENV)/.stamp ## What is in the image's Python environment, as CycloneDX, in build/
	@mkdir -p build && $(VENV)/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --of JSON -o build/swarm-operator.cdx.json requirements.txt
	@echo "build/swarm-operator.cdx.json"

krew: $(VENV)/.stamp ## The kubectl plugin as an archive, and its krew manifest, in build/krew/ (BASE_URL: where it will be)
	@$(PY) deploy/krew/build.py "$(BASE_URL)"

lock: $(VENV)/.stamp ## Renew requirements.txt and requirements-dev.txt (hashes, no URLs)
	@$(VENV)/bin/pip-compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --strip-extras --allow-unsafe --no-header -o requirements.txt pyproject.toml
	@$(VENV)/bin/pip-compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --strip-extras --allow-unsafe --no-header --extra dev -c requirements.txt -o requirements-dev.txt pyproject.toml

bench: $(VENV)/.stamp ## What it costs the engine to keep services as declared, beside the same by docker stack deploy
	@PYTHONPATH=operator:deploy/lab:tests $(PY) tests/bench/services.py

clean: ## Remove what make made in this directory
	@rm -rf $(VENV) build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis

# A stamp per lock file: a changed lock makes the environment anew. python3-venv is the one thing a bare Debian lacks here.
$(VENV)/.stamp: requirements-dev.txt pyproject.toml
	@if ! $(PYTHON) -c 'import ensurepip, venv, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  echo "[make] installing python3 and python3-venv"; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3 python3-venv >/dev/null; fi
	@echo "[make] python environment in $(VENV) ..."; start=$$SECONDS; \
	  $(PYTHON) -m venv $(VENV) && $(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.txt && \
	  $(PY) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e . && touch $@ && echo "[make] python environment ready ($$((SECONDS-start)) s)"
