"""Runs checks in this process, against the tests' servers, and tells what one of them found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis

from autocom.doctor.examine import examined
from autocom.doctor.finding import Check, Finding, Level
from autocom.doctor.groups import parts_by_group

NO_INGRESS = "http://127.0.0.1:1"


def findings(group: str, *, ingress_url: str = NO_INGRESS) -> dict[str, Finding]:
    """Of every check of the group, by id."""
    found = examined(parts_by_group(ingress_url=ingress_url)[group], accepted_unknown=())
    assert len(found) == len({finding.check.id for finding in found})
    return {finding.check.id: finding for finding in found}


def finding(check: Check, *, ingress_url: str = NO_INGRESS) -> Finding:
    return findings(check.group, ingress_url=ingress_url)[check.id]


def level(check: Check) -> Level:
    return finding(check).level


@contextmanager
def configured(client: redis.Redis, name: str, value: str) -> Iterator[None]:
    """The running server has another setting, and its own again afterwards."""
    before = str(client.config_get(name)[name])
    client.config_set(name, value)
    try:
        yield
    finally:
        client.config_set(name, before)
