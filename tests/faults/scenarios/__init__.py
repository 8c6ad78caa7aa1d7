"""Every fault of the suite, by the part that it hits."""

from tests.faults.scenarios import chaos, network, postgresql, processes, senders, valkey
from tests.faults.trial import Scenario

SCENARIOS: tuple[Scenario, ...] = (
    *processes.SCENARIOS,
    *valkey.SCENARIOS,
    *postgresql.SCENARIOS,
    *network.SCENARIOS,
    *senders.SCENARIOS,
    *chaos.SCENARIOS,
)


def named(name: str) -> Scenario:
    """Raises KeyError."""
    return {scenario.id: scenario for scenario in SCENARIOS}[name]
