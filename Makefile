# Everything a newcomer types. `make` alone lists the targets.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: bench-upload chaos chaos-janus chaos-subset chaos-jobs chaos-storage help setup test test-slow demo up check bench-mixer bench-gateway bench-jobs bench-tenures bench-updates bench-capture soak drift soak-tenures fuzz fuzz-mixer fuzz-gateway fmt clean

PYTHON ?= # an interpreter >= 3.11; empty: the first that is found
BIN := .venv/bin
STAMP := .venv/.installed

export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := .venv
unexport VIRTUAL_ENV
# Tests and the farm start many processes: without kept bytecode each spends seconds on compiling its imports again.
unexport PYTHONDONTWRITEBYTECODE

# An interpreter is taken only after it ran: a name on PATH may be a shim with nothing behind it.
define FIND_PYTHON
for python in $(or $(strip $(PYTHON)),python3 python3.11 python3.12 python3.13 python3.14 /usr/bin/python3); do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && break; python=; \
done; \
[ -n "$$python" ] || { echo 'reelyard: Python 3.11 or newer is missing: apt install python3 python3-venv, or name one: make PYTHON=/path/to/python3.12' >&2; exit 1; }
endef

# uv from PATH, else one of our own in .uv/. A folder that did not get complete is removed: the next try starts clean.
define FIND_UV
uv=uv; \
uv --version >/dev/null 2>&1 || uv=.uv/bin/uv; \
[ $$uv = uv ] || $$uv --version >/dev/null 2>&1 || { \
	rm -rf .uv; \
	"$$python" -m venv .uv >/dev/null 2>&1 || { rm -rf .uv; echo "reelyard: $$python has no venv module: apt install python3-venv" >&2; exit 1; }; \
	.uv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1' || { rm -rf .uv; echo 'reelyard: uv could not be installed: is there a way to a Python package index?' >&2; exit 1; }; \
}
endef

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 16

setup: $(STAMP) ## everything that the other targets need, into .venv/ (and .uv/); they call it themselves

$(STAMP): uv.lock pyproject.toml
	@$(FIND_PYTHON); \
	$(FIND_UV); \
	[ -e .venv ] && fresh= || fresh=yes; \
	$$uv sync --quiet --frozen --all-extras --python "$$python" || { [ -z "$$fresh" ] || rm -rf .venv; echo 'reelyard: the dependencies of uv.lock could not be installed (see above)' >&2; exit 1; }
	@touch $@

test: $(STAMP) ## run the tests; they start the servers they need
	@verdict=0; \
	$(BIN)/pytest -n 2 --dist loadgroup -m 'not slow' || verdict=$$?; \
	echo 'client:' && cd client && PYTHONPATH=.:src ../$(BIN)/pytest tests || verdict=$$?; \
	exit $$verdict

test-slow: $(STAMP) ## the scenarios that `make test` leaves out: rollover, pauses, room, hand-over of single streams
	$(BIN)/pytest -m slow

demo: $(STAMP) ## record a call of three people and look at it
	$(BIN)/reelyard demo

up: $(STAMP) ## run the whole farm on this machine until Ctrl-C
	$(BIN)/reelyard up

chaos: $(STAMP) ## kill everything in turn, and count what the recordings lost (16 min; ARGS='--seed 2')
	$(BIN)/python -m tests.chaos $(ARGS)

chaos-storage: $(STAMP) ## fail a third of all requests to the store, and count what a recording lost (6 min; ARGS='--outage 20')
	$(BIN)/python -m tests.chaos.storage $(ARGS)

chaos-subset: $(STAMP) ## … recorders and a worker alone (90 s; ARGS='--seed 2')
	$(BIN)/python -m tests.chaos --subset $(ARGS)

chaos-janus: $(STAMP) ## a room of a real Janus: worker killed, drained, with standby, clocks 0.2 and 40 s apart (5 min; root)
	$(BIN)/python -m tests.chaos.janus $(ARGS)

check: $(STAMP) ## lint, format, types, import directions, migrations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@if [ -f client/pyproject.toml ]; then echo 'client: mypy' && cd client && ../$(BIN)/mypy; fi
	$(BIN)/lint-imports
	@if [ -f alembic.ini ]; then \
		folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && export REELYARD_DATABASE_URL="sqlite:///$$folder/check.db" && \
		echo 'alembic upgrade head && alembic check' && $(BIN)/alembic upgrade head && $(BIN)/alembic check; \
	fi

bench-mixer: $(STAMP) ## what a recorded minute costs, next to other tools (ARGS=--quick: does it run?)
	$(BIN)/python -m bench.mixer $(ARGS)

chaos-jobs: $(STAMP) ## 1 000 jobs at a gateway of which 30 % of the calls fail, each judged by its file (10 min; ARGS='--jobs 100')
	$(BIN)/python -m tests.chaos.jobs $(ARGS)

bench-jobs: $(STAMP) ## what 10 000 running jobs cost one scheduler, and how late their checks are (ARGS='--jobs 1000 --seconds 30')
	$(BIN)/python -m bench.jobs $(ARGS)

bench-capture: $(STAMP) ## what receiving one user costs, from Janus and by WHIP (ARGS='--users 8 --seconds 30')
	$(BIN)/python -m bench.capture $(ARGS)

bench-upload: $(STAMP) ## slices to a store: throughput, CPU a gigabyte, how fast a backlog goes (ARGS=--quick: does it run?)
	$(BIN)/python -m bench.upload $(ARGS)

bench-tenures: $(STAMP) ## renewing, reaping and failing over 10 000 and 100 000 recordings (ARGS='--recordings 2000 --renewals 0')
	$(BIN)/python -m bench.tenures $(ARGS)

bench-updates: $(STAMP) ## how soon a new layout is seen in the pictures, with Redis and without (2 min)
	$(BIN)/python -m bench.updates $(ARGS)

soak: $(STAMP) ## two hours of a scripted call on the virtual clock, judged from its files (ARGS='--minutes 5 --seed 3')
	$(BIN)/python -m bench.soak $(ARGS)

drift: $(STAMP) ## two hours of a sender whose clock is 200 ppm fast: sound against picture (ARGS='--minutes 10')
	$(BIN)/python -m bench.drift $(ARGS)

bench-gateway: $(STAMP) ## acquire and query a second, on SQLite and PostgreSQL (ARGS='--seconds 2')
	$(BIN)/python -m bench.gateway $(ARGS)

soak-tenures: $(STAMP) ## schedulers and workers as threads, whatever dies, on both databases (EXAMPLES=200 STEPS=60)
	REELYARD_MACHINE_EXAMPLES=$${EXAMPLES:-200} REELYARD_MACHINE_STEPS=$${STEPS:-60} $(BIN)/pytest -q -p no:xdist --timeout 0 tests/tenures

fuzz: fuzz-mixer fuzz-gateway ## both of these, ten minutes each

fuzz-gateway: $(STAMP) ## schemathesis, hypothesis and mutations against the gateway (FUZZ_SECONDS=180 FUZZ_SEED=2)
	$(BIN)/python -m tests.gateway

fuzz-mixer: $(STAMP) ## damaged units into the mixer (ARGS='--minutes 1')
	$(BIN)/python -m bench.fuzz $(ARGS)

fmt: $(STAMP) ## format, and fix what the linter can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove environments and caches; recordings and state stay
	rm -rf .venv .uv dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	rm -rf client/dist client/.pytest_cache client/.mypy_cache client/.ruff_cache client/.hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
