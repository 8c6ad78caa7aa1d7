from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, datetime

from console.management.provider.arguments import add_json
from console.management.provider.printing import iso, say, say_json
from console.sign_in.locks import NOBODY_KNOWN, Lock
from console.sign_in.locks import locks as locks_that_hold

HELP = "List who is locked out, from where, until when."


def add_arguments(parser: ArgumentParser) -> None:
    add_json(parser)


def run(*, json: bool, **_: object) -> int:
    found = locks_that_hold(now=datetime.now(UTC))
    if json:
        say_json({"locks": [_told(lock) for lock in found]})
        return 0
    for lock in found:
        say(f"{_name(lock)}  from {lock.address}  {lock.failure_count} failures  until {iso(lock.until)}")
    if not found:
        say("nobody is locked out")
    return 0


def _name(lock: Lock) -> str:
    return lock.username or NOBODY_KNOWN


def _told(lock: Lock) -> dict[str, object]:
    return {
        "user": lock.username or None,
        "address": lock.address,
        "failures": lock.failure_count,
        "until": iso(lock.until),
    }
