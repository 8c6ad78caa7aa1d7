# Everything a person types. `make up` and `make test` need nothing done before them.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ORACLES := tests/providers/oracles
# make check reads settings but no service: values that are clearly nobody's
CHECK_ENV := SECRET_KEY=$$($(BIN)/python -c "import secrets; print(secrets.token_hex(32))") \
	WEBHOOK_BEARER_KEY=$$($(BIN)/python -c "import secrets; print(secrets.token_hex(32))") \
	WEBHOOK_HMAC_SECRET=$$($(BIN)/python -c "import secrets; print(secrets.token_hex(32))") \
	DB_URL=postgresql://localhost/none REDIS_URL=redis://localhost/0

.PHONY: up test faults check format lock bench soak clean

up: $(STAMP)
	@exec $(BIN)/python manage.py up

test: $(STAMP)
	@sh deploy/system-packages
	@$(MAKE) --no-print-directory $(ORACLES)/node_modules
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(PYTEST_ARGS)
	$(BIN)/coverage report --fail-under=80 | tail -n 40

# an hour and a quarter; `make faults FAULTS="--only redis-killed --seeds 1"` for a part of it
faults: $(STAMP)
	@sh deploy/system-packages
	$(BIN)/python -m tests.faults $(FAULTS)

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(CHECK_ENV) $(BIN)/mypy
	$(CHECK_ENV) $(BIN)/lint-imports
	$(CHECK_ENV) $(BIN)/python -W ignore manage.py makemigrations --check --dry-run
	$(CHECK_ENV) APP_BASE_URL=https://autocom.example.com $(BIN)/python manage.py check --deploy --fail-level WARNING

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(STAMP)
	$(BIN)/uv pip compile requirements.in --generate-hashes --universal --python-version 3.12 --no-header -q -o requirements.txt
	$(BIN)/uv pip compile requirements-local.in --generate-hashes --universal --python-version 3.12 --no-header -q -o requirements-local.txt

bench: $(STAMP)
	@command -v npm >/dev/null || { echo "autocom: npm is missing: the peer needs Node 20 or newer" >&2; exit 1; }
	$(BIN)/python -m bench.compare

SECONDS ?= 600
RATE ?= 1000
soak: $(STAMP)
	$(BIN)/python -m bench.soak --seconds $(SECONDS) --rate $(RATE)

$(STAMP): requirements-local.txt deploy/find-python
	@python="$$(sh deploy/find-python)" || exit 1; \
	 test -x $(BIN)/python || "$$python" -m venv $(VENV) || exit 1
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-local.txt
	@touch $(STAMP)

$(ORACLES)/node_modules: $(ORACLES)/package-lock.json
	npm ci --silent --prefix $(ORACLES)
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis htmlcov .coverage artifacts
