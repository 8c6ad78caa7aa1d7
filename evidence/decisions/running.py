"""What runs here, as far as a decision is bound to it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from autocom.build import build
from autocom.kernel.canonical_json import canonical_json
from autocom.kernel.digest import sha256
from evidence.configuration import configuration

BOUND_TO_WHAT_RUNS = ("build", "lock_file_sha256", "configuration_sha256")


@cache
def running() -> Mapping[str, str]:
    """Of this process, as it was at the first call: code, locked packages, settings."""
    told = configuration()
    return {
        "build": build(),
        "lock_file_sha256": str(told["lock_file_sha256"]),
        "configuration_sha256": configuration_sha256(told["settings"]),
    }


def configuration_sha256(settings: object) -> str:
    """Of the settings as the audit log and a run's environment tell them, in hexadecimal."""
    return sha256(canonical_json(settings)).hex()
