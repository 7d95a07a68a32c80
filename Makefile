# Three commands do the most: `make demo`, `make play` and `make test`. Everything they need goes to .venv and .state.
PYTHON  ?= python3
SECONDS ?= 10
BROKERS ?= 1
RUNS    ?= 5

VENV := .venv
BIN  := $(VENV)/bin
STACK_ENVIRONMENT := .state/stack/environment
# Nothing is compiled ahead (see $(VENV)/runtime), so what is imported must be kept: a process starts in 1.5 s, not in 4.
unexport PYTHONDONTWRITEBYTECODE
# pip would ask questions, look for a newer version of itself, and print notes on paths.
PIP  := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet

# Ctrl-C goes to the command, to this shell and to make. The shell waits for the command's own end, and hides its exit
# code 130 from make, which would print it as an error. make then ends as if Ctrl-C had ended it: with 130.
without_error_line = trap : INT; $(1) || { code=$$?; test $$code -eq 130 || exit $$code; }

.PHONY: help demo play test check format lint types imports docs reference picture pytest up service down bench bench-idle \
	bench-fanout bench-million bench-takeover slow-down bench-isolation bench-api load-test load-test-setup dockerbuild chaos chaos-soak fuzz \
	fuzz-responses lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/runtime ## deliver a topic of orders to three subscriptions, in this one process (SECONDS=10)
	@$(call without_error_line,$(BIN)/webhookd demo --seconds $(SECONDS))

# Other ports: WEBHOOKD_API_BIND=127.0.0.1:8081 FLOWER_PORT=5556 RECEIVER_PORT=9001 make play
play: $(VENV)/runtime ## webhookd on its own Kafka, Redis and Postgres, with orders, an endpoint and mails, in this terminal
	@exec $(BIN)/python -m stack play

# The checks run beside the tests, which wait often; each check's output comes in one piece, when it has ended.
# -k: every step runs and says what it found, also after one that failed.
test: $(VENV)/test ## every check and every test, on real Kafka, Redis and Postgres
	@$(MAKE) --no-print-directory -k --jobs=2 --output-sync=target check pytest || \
		{ code=$$?; echo "make test failed; above, a line with *** names each step that did"; exit $$code; }

check: $(VENV)/test ## the checks alone: seconds, no services
	@exec $(MAKE) --no-print-directory -k format lint types imports docs

reference: $(VENV)/test ## write the pages of docs/reference that come from the code, and the dashboards
	@$(BIN)/python -m documentation.reference
	@exec $(BIN)/python -m documentation.dashboards

format: $(VENV)/test
	@echo "== ruff format --check"
	@exec $(BIN)/ruff format --check .

lint: $(VENV)/test
	@echo "== ruff check"
	@exec $(BIN)/ruff check .

types: $(VENV)/test
	@echo "== mypy --strict"
	@exec $(BIN)/mypy

imports: $(VENV)/test
	@echo "== lint-imports"
	@exec $(BIN)/lint-imports

docs: $(VENV)/test ## build the documentation site into .state/docs, strictly
	@echo "== documentation"
	@exec $(BIN)/python -m documentation

# Six files at a time, as tests/harness/file_order.py orders and distributes them: while some wait, others compute. A file
# that starts processes computes for a third of its time, so three would leave one of two cores idle.
# `+` shows the output at once, in spite of --output-sync. What the tests start is not to be a part of this make.
pytest: $(VENV)/test
	@echo "== pytest"
	+@exec env -u MAKEFLAGS -u MAKELEVEL $(BIN)/python -m stack run -- $(BIN)/python -m pytest -n 6 --dist loadfile --no-loadscope-reorder --cov --cov-report=term

up: $(VENV)/runtime ## Kafka, Redis and Postgres to play with, in the background (BROKERS=1|3)
	@exec $(BIN)/python -m stack up --detach --brokers $(BROKERS)

service: $(VENV)/runtime ## API, ingest, workers and Flower in this terminal, on what `make up` started
	@test -e $(STACK_ENVIRONMENT) || { echo "nothing is up: make up"; exit 1; }
	@. $(STACK_ENVIRONMENT) && exec $(BIN)/python -m stack service

down: $(VENV)/runtime ## stop what `make up` started, and delete its data
	@exec $(BIN)/python -m stack down

picture: $(VENV)/runtime ## draw README's pictures anew, from a run of the demo and one of the play
	@$(BIN)/python -m documentation.demo_picture
	@exec $(BIN)/python -m documentation.play_picture

bench: $(VENV)/test ## the benchmark table (CASES="batch-1 filter")
	@exec $(BIN)/webhookd-load-test bench $(CASES)

bench-idle: $(VENV)/test ## what a thousand idle subscriptions cost
	@exec $(BIN)/webhookd-load-test idle

bench-fanout: $(VENV)/test ## what a thousand subscriptions with a filter each on one topic cost (ROWS="alone equality")
	@exec $(BIN)/webhookd-load-test fanout $(ROWS)

bench-million: $(VENV)/test ## a million records arrive: all, in order, also when a worker is killed
	@exec $(BIN)/webhookd-load-test million

bench-api: $(VENV)/test ## how long lists and statuses take with 10,000 subscriptions and a million activity rows
	@exec $(BIN)/webhookd-load-test api-latency

# Every scenario on one stack of its own (tests/chaos); the table and every process' log stay in .state/chaos.
CHAOS = $(BIN)/python -m pytest tests/chaos --basetemp=.state/chaos/run $(if $(SEED),--seed $(SEED))

bench-isolation: $(VENV)/test ## what other subscriptions cost ten healthy ones (ROWS="hang start held" RUNS=5)
	@exec $(BIN)/webhookd-load-test isolation --runs $(RUNS) $(ROWS)

bench-takeover: $(VENV)/test ## how long a subscription stalls when its ingest starts, stops or dies
	@exec $(BIN)/webhookd-load-test takeover

slow-down: $(VENV)/test ## draw the picture of docs/explanation/pacing.md anew, from a run of two minutes
	@exec $(BIN)/webhookd-load-test slow-down

# The duration reaches the command as it is: make and the shell do not read what is in it.
load-test: export SCENARIO ?= seed
load-test: $(VENV)/test ## a whole scenario, with a report: load-test/scenarios (SCENARIO=seed DURATION=20m)
	@$(call without_error_line,$(BIN)/webhookd-load-test run "$$SCENARIO" $(if $(value DURATION),--duration "$$DURATION"))

load-test-setup: $(VENV)/test ## all that the load test needs: environment, programs, Kafka's jars
	@echo "== the environment is in $(VENV), with the command $(BIN)/webhookd-load-test"
	@exec $(BIN)/python -m stack setup

dockerbuild: ## build the image `webhookd`, with which every process of docker-compose.yml runs
	@command -v docker >/dev/null || { echo "make dockerbuild needs docker, which is not installed"; exit 1; }
	@docker version >/dev/null 2>&1 || { echo "make dockerbuild needs Docker's daemon, which does not answer"; exit 1; }
	@exec docker build --tag webhookd .

chaos: $(VENV)/test ## nothing is lost and nothing is stuck, whatever dies: a table of scenarios (SEED=n)
	@mkdir -p .state/chaos
	@exec $(CHAOS) --chaos -m "chaos or chaos_quick"

chaos-soak: SECONDS = 600
chaos-soak: $(VENV)/test ## all those faults mixed at random (SECONDS=600 SEED=n)
	@mkdir -p .state/chaos
	@exec $(CHAOS) --soak $(SECONDS) -m soak --capture=no

# With the oldest Python there is (make lock PYTHON=…): some packages are needed there only, and harmless elsewhere.
lock: .state/lock/bin/pip-compile ## choose the newest versions setup.cfg allows, anew
	@rm -f requirements.lock requirements-test.lock
	@$(COMPILE) --output-file=requirements.lock setup.cfg
	@$(COMPILE) --extra=test --constraint=requirements.lock --output-file=requirements-test.lock setup.cfg

fuzz: SECONDS = 300
fuzz: $(VENV)/test ## generated requests to the API, against its OpenAPI document (SECONDS=300 SEED=n)
	@exec $(BIN)/python -m pytest tests/integration/api/test_fuzzing.py -q --fuzz $(SECONDS) $(if $(SEED),--seed $(SEED))

fuzz-responses: SECONDS = 300
fuzz-responses: $(VENV)/test ## generated responses to the HTTP client, split at random (SECONDS=300 SEED=n)
	@exec $(BIN)/python -m pytest tests/unit/test_response_fuzzing.py -q -s --fuzz $(SECONDS) $(if $(SEED),--seed $(SEED))

clean: ## everything made here, Kafka's jars included
	@test ! -x $(BIN)/python || $(BIN)/python -m stack down || echo "what \`make up\` started was not stopped"
	rm -rf $(VENV) .state .cache build *.egg-info load-test/build load-test/*.egg-info .coverage .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# The environments. A stamp is newer than what it was made from, so a second run installs nothing.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "webhookd needs Python 3.11 or newer; name one: make PYTHON=python3.11 …"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "needs Python's venv: apt-get install python3-venv"; exit 1; }
	@echo "== a Python environment in $(VENV); nothing outside this folder is changed"
	@$(PYTHON) -m venv $(VENV)

# The project's build needs no network: setuptools is in the lock.
# Nothing is compiled ahead (a third of the time to the demo's first delivery): Python does what it imports.
$(VENV)/runtime: requirements.lock setup.cfg pyproject.toml | $(VENV)/bin/python
	@echo "== $$(grep -c == requirements.lock) packages of requirements.lock into it; the first time this takes about a minute"
	@$(PIP) install --no-compile --no-deps --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/test: requirements-test.lock load-test/pyproject.toml $(VENV)/runtime
	@echo "== $$(grep -c == requirements-test.lock) packages of requirements-test.lock into it"
	@$(PIP) install --no-deps --require-hashes -r requirements-test.lock
	@$(PIP) install --no-deps --no-build-isolation --editable load-test
	@touch $@

# pip-tools lives apart: what it needs must not leak into the environment that is tested.
.state/lock/bin/pip-compile:
	@$(PYTHON) -m venv .state/lock
	@.state/lock/bin/python -m pip --disable-pip-version-check --quiet install pip-tools==7.6.2

COMPILE = CUSTOM_COMPILE_COMMAND="make lock" .state/lock/bin/pip-compile --quiet --generate-hashes \
	--allow-unsafe --strip-extras --build-deps-for=editable \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links
