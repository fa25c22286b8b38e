# `make` or `make help` lists what can be done here.
.DEFAULT_GOAL := help
.PHONY: help setup setup-tests run test endure test-long simulate simulate-long lint bench prove soak clean

FOR ?=
AGENTS ?=
SEED ?=
ARGS ?=
CALLS ?= 80

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  Options: make run FOR=60 (seconds) AGENTS=8 SEED=1; make test ARGS='-m \"not live\"' or any other of pytest's"

setup: ## prepare .venv; implied by the others, takes no time when all is there
	@scripts/setup

setup-tests: ## the same with what only tests and the benchmark need: PostgreSQL's programs, Chromium, strace, libfaketime
	@scripts/setup --tests

run: setup ## a shift on a real Asterisk with real SIP callers, until Ctrl-C; FOR=60 ends it after a minute
	@.venv/bin/hwtest shift $(if $(FOR),--for $(FOR)) $(if $(AGENTS),--agents $(AGENTS)) $(if $(SEED),--seed $(SEED)) $(ARGS)

test: setup-tests ## all tests, the live ones included, those that measure last and alone
	@.venv/bin/python -m tests $(ARGS)

endure: setup-tests ## the tests that take minutes, such as three of silence on a call
	@.venv/bin/python -m pytest -m endurance $(ARGS)

test-long: endure ## the same as endure; the million facts are among them

simulate: setup ## one night of trouble against a switch in memory; SEED=7 CALLS=80 gives the same facts each time
	@.venv/bin/python -m tests.simulation --seed $(or $(SEED),1) --calls $(CALLS) $(ARGS)

simulate-long: setup ## night after night until Ctrl-C or a broken promise; adds its figures to docs/simulation.md
	@.venv/bin/python -m tests.simulation --seed $(or $(SEED),1) --seeds 0 --calls $(CALLS) --record docs/simulation.md $(ARGS)

lint: setup ## style and types
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

bench: setup-tests ## the figures: how fast a caller gets an agent, against app_queue on the same switch
	@.venv/bin/hwtest bench $(ARGS)

prove: setup-tests ## does hwtest find every fault that is seeded, and blame nobody in 20 runs without one? An hour
	@.venv/bin/hwtest prove $(ARGS)

soak: setup ## ten minutes of calls with a fault of the daemon every few seconds: is every call accounted for? FOR=60
	@.venv/bin/hwtest soak $(if $(FOR),--for $(FOR)) $(if $(SEED),--seed $(SEED)) $(ARGS)

clean: ## remove what was made here; caches outside the checkout stay
	@rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
