# Everything goes through `setup`, which does nothing when the set-up is up to date.
PYTHON ?= python3
RUN := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup demo stop test lint images acceptance fuzz screenshots lock clean

help: ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20

setup: ## install everything into .venv from the lock files (TORCH=cpu|cuda)
	@$(PYTHON) -m demo.setup

demo: setup ## run the whole mill on the sample, or on DUMP=path-or-s3-uri
	@$(RUN) -m demo.run $(if $(DUMP),--dump "$(DUMP)")

stop: ## stop all that `make demo` started
	@test ! -x $(RUN) || $(RUN) -m demo.run --stop

test: setup ## all tests (ARGS="-k name" for some)
	@$(RUN) -m $(if $(ARGS),pytest $(ARGS),tests)

lint: setup ## ruff and mypy
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

images: setup ## build the images and write images/images.lock
	@$(RUN) -m images.build

acceptance: setup ## the long tests, whose results are committed
	@$(RUN) -m pytest tests/acceptance $(ARGS)

fuzz: setup ## 100,000 mutated inputs for every reader and kernel
	@TOKENMILL_FUZZ_INPUTS=100000 $(RUN) -m pytest -m fuzz --timeout 7200 $(ARGS)

screenshots: setup ## pictures for the docs, of a finished `make demo` (needs chromium)
	@$(RUN) -m demo.screenshots

lock: ## compile requirements/*.in to *.txt again, with newer versions where they allow
	@$(PYTHON) -m demo.setup --lock

clean: stop ## stop the demo; remove the set-up and what the demo made
	rm -rf .venv .tokenmill .pytest_cache .ruff_cache .mypy_cache .hypothesis tokenmill.egg-info
