"""The models' pages, one module for each model. Importing this package puts them on the site."""

from console.admin import (
    accounts,
    audit,
    batches,
    dead_letters,
    duplicates,
    events,
    lane_incidents,
    lanes,
    promise_incidents,
    providers,
    quarantine,
)

__all__ = [
    "accounts",
    "audit",
    "batches",
    "dead_letters",
    "duplicates",
    "events",
    "lane_incidents",
    "lanes",
    "promise_incidents",
    "providers",
    "quarantine",
]
