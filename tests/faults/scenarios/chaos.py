"""30,000 events, and a fault every three seconds, drawn from those that need no service of their own."""

from __future__ import annotations

import time

from tests.faults.scenarios import postgresql, processes, valkey
from tests.faults.trial import PLAIN, Scenario, Strike

EVERY_SECONDS = 3.0
UNSUITED = {"workers-killed-at-the-end", "rolling-restart"}  # they wait for the load to end, or take as long


def drawn() -> list[Scenario]:
    every = (*processes.SCENARIOS, *valkey.SCENARIOS, *postgresql.SCENARIOS)
    return [each for each in every if each.options == PLAIN and each.id not in UNSUITED]


def storm(strike: Strike) -> None:
    faults = drawn()
    while strike.load_runs.is_set():
        due = time.monotonic() + EVERY_SECONDS
        fault = strike.rng.choice(faults)
        strike.notes.append(fault.id)
        try:
            fault.strike(strike)
        except Exception as error:  # noqa: BLE001  (the fault before may have left nothing to hit)
            strike.notes[-1] += f" (missed: {type(error).__name__})"
        time.sleep(max(0.0, due - time.monotonic()))
    strike.stack.wait_until_ready()


SCENARIOS = (
    Scenario(
        id="chaos-30000",
        title="30,000 events at 1,000/s with a random fault every 3 s",
        strike=storm,
        load={"count": 30_000, "in_flight_count": 0, "retries": 20},
    ),
)
