"""What kinds of alerts there are, and for each what a person does about it and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from console.access import Permission


@dataclass(frozen=True, slots=True)
class Advice:
    """`guide` is a page of the documentation; `url_name` a page of the console, for those who hold `permission`."""

    title: str
    next_step: str
    guide: str
    page: str
    url_name: str
    permission: Permission


KINDS: Mapping[str, Advice] = {
    "burn": Advice(
        "Error budget burns",
        "See what is failing: the ledger names the minutes, providers and answers. Stop what was changed last.",
        "docs/operate.md",
        "Error budgets",
        "admin:budgets",
        Permission.BUDGET_READ,
    ),
    "guardrail": Advice(
        "Guardrail",
        "A breach takes the service back to OBSERVER by itself. Find out why before anybody decides GO again.",
        "docs/gates.md",
        "Mode",
        "admin:mode",
        Permission.MODE_READ,
    ),
    "authentication": Advice(
        "Deliveries not believed",
        "Look at the provider's refusals: a rotated secret, a clock, or somebody who tries signatures.",
        "docs/operate.md",
        "Providers",
        "admin:ingestion_provider_changelist",
        Permission.PROVIDER_READ,
    ),
    "promise": Advice(
        "Promise broken",
        "An accepted event is in no table. Stop nothing; follow its lineage, and keep Redis as it is.",
        "docs/verify.md",
        "Promises",
        "admin:evidence_promiseincident_changelist",
        Permission.PROMISE_READ,
    ),
    "lag": Advice(
        "Commits are late",
        "See whether workers run, which lane is behind, and whether PostgreSQL answers.",
        "docs/operate.md",
        "Lanes",
        "admin:ingestion_lane_changelist",
        Permission.LANE_READ,
    ),
    "dead_letters": Advice(
        "Dead letters",
        "Group them by error, mend the cause, then retry, or discard with a reason.",
        "docs/operate.md",
        "Dead letters",
        "admin:ingestion_deadletter_changelist",
        Permission.DEAD_LETTER_READ,
    ),
    "outgoing": Advice(
        "A destination does not take messages",
        "Ask its owner, then retry or discard what is dead. It closes when nothing is dead any more.",
        "docs/operate.md",
        "Outgoing",
        "admin:outgoing",
        Permission.OUTGOING_READ,
    ),
}
