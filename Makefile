# Holdfast. `make help` lists what there is to do; every target does its own set-up.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export HOLDFAST_HOME ?= $(CURDIR)/.holdfast
SANDBOX := python3 infra/sandbox
BIN := .venv/bin
# Runs a command with the addresses of the sandbox's services.
WITH := set -a; . "$(HOLDFAST_HOME)/env"; set +a;
# The demo's receiver listens on loopback, which the egress guard refuses unless told otherwise.
export HOLDFAST_EGRESS_ALLOW ?= ["127.0.0.0/8"]
PYTEST := $(BIN)/python -m pytest
MEASURING := tests:tests/chaos:loadtest:examples/demo

##@ Try it

.PHONY: demo
demo: up ## Run the main job on real input and check every result (writes out/)
	@$(WITH) $(BIN)/python examples/demo/demo.py --out out

.PHONY: story
story: up ## A thousand jobs, a worker killed in the middle, a dead letter replayed; the numbers asserted
	@$(WITH) $(BIN)/python examples/demo/story.py

.PHONY: up
up: services ## Start the platform: services, api and both workers; leaves it running
	@$(WITH) $(BIN)/holdfast db upgrade && $(BIN)/holdfast topology apply
	@$(SANDBOX) platform up

.PHONY: down
down: ## Stop the platform and its services; data stays
	@$(SANDBOX) down

.PHONY: flower
flower: up ## Celery's own monitor on http://127.0.0.1:5555, until interrupted
	@$(WITH) FLOWER_UNAUTHENTICATED_API=false $(BIN)/celery --broker "$$HOLDFAST_RABBITMQ_URL" flower --address=127.0.0.1 --port=5555 \
	  --broker-api="$$HOLDFAST_RABBITMQ_MANAGEMENT_URL/api/"

.PHONY: env
env: ## Write .env with random secrets, for Docker Compose; one that is there is kept
	@infra/make-env

.PHONY: smoke
smoke: ## Run the main job through the containers of `docker compose up --wait`, and check every result
	@HOLDFAST_API_KEY=$$(docker compose exec -T api holdfast keys create smoke --expires 1h) \
	  docker compose run --rm --no-deps smoke
	@echo "From this machine the console is at http://$$(docker compose port api 8000)/ and takes a key (docs/guides/compose.md)."

.PHONY: status
status: ## Show what runs, and where
	@$(SANDBOX) status || true
	@$(SANDBOX) platform status

.PHONY: logs
logs: ## Follow the logs of api and workers
	@tail -n 20 -F "$(HOLDFAST_HOME)"/log/{api,worker-render,worker-webhook}.log

.PHONY: wipe
wipe: ## Stop everything and remove it: services, data, virtual environment
	@$(SANDBOX) wipe && rm -rf .venv out

##@ Test it

.PHONY: test
# With cores to spare, ARGS="-n 2 --dist loadfile" shares them between two processes, each with databases of its own.
test: services chromium ## Run the tests against real RabbitMQ, Redis and PostgreSQL (AWS: make terraform-test)
	@$(WITH) $(PYTEST) --ignore=tests/terraform $(ARGS)

.PHONY: test-unit
test-unit: setup ## Run the tests that need no service
	@$(PYTEST) tests/unit $(ARGS)

.PHONY: chaos
chaos: setup ## Break everything under 10,000 jobs, then audit; beside it Celery alone (12 min; ARGS=--help)
	@PYTHONPATH=tests:tests/chaos $(BIN)/python -m campaign $(ARGS)

.PHONY: overload
overload: setup ## Offer the api three times what it sustains, and see what becomes of it (3 min; ARGS=--help)
	@PYTHONPATH=tests:tests/chaos:loadtest $(BIN)/python -m overload $(ARGS)

.PHONY: sick
sick: setup ## Measure what a sick webhook host costs a healthy one; beside it Celery alone (6 min; ARGS=--help)
	@PYTHONPATH=tests:tests/chaos $(BIN)/python -m sick $(ARGS)

.PHONY: loadtest
loadtest: setup ## Load of every shape: latency, throughput, CPU, memory, backlog (12 min; ARGS=--help)
	@PYTHONPATH=$(MEASURING) $(BIN)/python -m load $(ARGS)

.PHONY: peers
peers: setup ## The same work on Holdfast, Celery, Dramatiq and taskiq, in turns (12 min; ARGS=--short: 4 min)
	@PYTHONPATH=$(MEASURING) $(BIN)/python -m peers $(ARGS)

.PHONY: bench-image
bench-image: setup ## CPU of one picture, beside sharp; needs Node.js (1 min; ARGS=--help)
	@PYTHONPATH=$(MEASURING) $(BIN)/python -m pictures $(ARGS)

.PHONY: fuzz
fuzz: services ## Random hostile input and requests, for longer than make test does (ARGS="--seconds=600 --seed=7")
	@$(WITH) $(PYTEST) tests/fuzz -s --seconds=60 $(ARGS)

.PHONY: terraform-test
terraform-test: setup ## Make, check and remove both AWS environments against a stand-in (9 min on two busy cores)
	@$(PYTEST) tests/terraform -s $(ARGS)

.PHONY: checkov
checkov: ## Let checkov read the Terraform, in an environment of its own (heavy: 5 min the first time)
	@$(SANDBOX) uv tool run checkov==3.3.30 -d terraform --framework terraform --compact --quiet --skip-download

.PHONY: test-interpreters
test-interpreters: setup ## Run the unit tests on every Python >= 3.11 of this machine
	@infra/interpreters $(ARGS)

.PHONY: compose-test
compose-test: setup ## Build the images, start the stack, kill a worker and the broker, see every job finish (needs Docker; 6 min)
	@HOLDFAST_COMPOSE_TEST=1 $(PYTEST) tests/compose/stack -s $(ARGS)

.PHONY: check
check: setup ## Lint, types and import contracts
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

.PHONY: format
format: setup ## Format and fix what can be fixed
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

.PHONY: bench-telemetry
bench-telemetry: services ## Measure what metrics and logs cost on the enqueue path, with and without (1 min; ARGS=--help)
	@$(WITH) PYTHONPATH=tests $(BIN)/python -m bench.telemetry $(ARGS)

.PHONY: bench-ledger
bench-ledger: services ## Measure enqueue and settle on a ledger of a million jobs beside an empty one (4 min; ARGS=--help)
	@$(WITH) PYTHONPATH=tests $(BIN)/python -m bench.ledger $(ARGS)

##@ Set it up

.PHONY: setup
setup: ## Make the virtual environment from requirements.lock
	@$(SANDBOX) venv

.PHONY: services
services: setup ## Start RabbitMQ, Redis, PostgreSQL and Prometheus from Debian packages
	@$(SANDBOX) up

.PHONY: chromium
chromium: ## Fetch a headless Chromium for PDFs and browser tests (160 MB; name it in the env file)
	@$(SANDBOX) chromium

.PHONY: lock
lock: setup ## Resolve the dependencies anew into requirements.lock
	@UV_INDEX= UV_FIND_LINKS= $(SANDBOX) uv pip compile --universal --generate-hashes --no-emit-index-url --no-annotate --upgrade \
	  --custom-compile-command "make lock" --group dev pyproject.toml -o requirements.lock

.PHONY: peers-lock
peers-lock: setup ## Resolve what the peers run on anew into loadtest/peers/requirements.lock
	@UV_INDEX= UV_FIND_LINKS= $(SANDBOX) uv pip compile --universal --generate-hashes --no-emit-index-url --no-annotate --upgrade \
	  --custom-compile-command "make peers-lock" loadtest/peers/requirements.in -o loadtest/peers/requirements.lock

.PHONY: dashboards
dashboards: setup ## Regenerate dashboards, rules and alerts from dashboards/
	@$(BIN)/python dashboards/generate.py

.PHONY: docs
docs: setup ## Regenerate the generated parts of docs/
	@$(BIN)/python docs/generate.py

.PHONY: screenshots
screenshots: demo chromium ## Photograph every page of the console for the docs
	@$(WITH) $(BIN)/python docs/screenshots.py

.PHONY: help
help: ## Show this page
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  \033[36mmake %-18s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)
