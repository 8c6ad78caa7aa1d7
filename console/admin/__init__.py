"""The models' pages, one module for each model. Importing this package puts them on the site."""

from console.admin import (
    accounts,
    artifacts,
    audit,
    batches,
    dead_letters,
    duplicates,
    events,
    lane_incidents,
    lanes,
    providers,
    quarantine,
)

__all__ = [
    "accounts",
    "artifacts",
    "audit",
    "batches",
    "dead_letters",
    "duplicates",
    "events",
    "lane_incidents",
    "lanes",
    "providers",
    "quarantine",
]
