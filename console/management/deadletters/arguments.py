"""What the verbs read from their command line. A refusal says what a right value looks like."""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime
from uuid import UUID

from django.db.models import Q

from console.actions.set_aside import ACT_LIMIT_COUNT, ORDER_LIMIT_COUNT
from console.management.errors import UsageWrong
from console.management.provider.arguments import length, moment
from console.selectors import letters_where
from ingestion.models import Provider
from ingestion.redrive.place import SetAside

LIST_LIMIT_COUNT = 10_000
FINGERPRINT = re.compile(r"[0-9a-f]{16}")


def add_json(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def add_place(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--place",
        choices=[place.value for place in SetAside],
        default=SetAside.DEAD_LETTER.value,
        help="dead letters, or events whose identity came before with another content (default: dead_letter)",
    )


def add_filters(parser: ArgumentParser) -> None:
    parser.add_argument("--provider", metavar="NAME")
    parser.add_argument("--error", metavar="FINGERPRINT", type=fingerprint, help="as `deadletters groups` prints it")
    parser.add_argument("--since", metavar="WHEN", type=since, help="received since: 24h, 7d, or 2027-01-31T08:00:00Z")


def add_limit(parser: ArgumentParser, *, default: int, at_most: int) -> None:
    def limit(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= at_most:
            raise ArgumentTypeError(f"{text!r} is no limit: write a number from 1 to {at_most}")
        return int(text)

    parser.add_argument("--limit", type=limit, default=default, help=f"letters at most (default: {default})")


def add_act(parser: ArgumentParser) -> None:
    """What retry and discard have in common."""
    parser.add_argument("ids", nargs="*", metavar="ID", type=event_id, help="event ids; without any: a filter")
    add_place(parser)
    add_filters(parser)
    add_limit(parser, default=ACT_LIMIT_COUNT, at_most=ORDER_LIMIT_COUNT)
    parser.add_argument("--yes", action="store_true", help="do it; without this only what would happen is printed")
    parser.add_argument("--actor", metavar="NAME", type=name, help="for the audit log (default: who runs this)")
    add_json(parser)


def wanted(
    place: SetAside, *, provider: str | None, error: str | None, since: datetime | None, state: str | None = None
) -> Q:
    """The condition that the filters mean. Raises UsageWrong."""
    if error is not None and place is SetAside.QUARANTINE:
        raise UsageWrong("quarantined events have no error: leave --error out, or write --place dead_letter")
    if provider is not None:
        _check_provider(provider)
    return letters_where(state=state, provider=provider, fingerprint=error, since=since)


def _check_provider(provider: str) -> None:
    known = list(Provider.objects.values_list("name", flat=True))
    if provider not in known:
        raise UsageWrong(f"there is no provider {provider!r}: there are {', '.join(known) or 'none yet'}")


def fingerprint(text: str) -> str:
    if not FINGERPRINT.fullmatch(text):
        raise ArgumentTypeError(
            f"{text!r} is no fingerprint: write its 16 hexadecimal digits, as deadletters groups prints them"
        )
    return text


def since(text: str) -> datetime:
    """A time, or how long ago it was."""
    try:
        return datetime.now(UTC) - length(text)
    except ArgumentTypeError:
        pass
    try:
        return moment(text)
    except ArgumentTypeError:
        raise ArgumentTypeError(f"{text!r} is no time: write 24h, 7d, or 2027-01-31T08:00:00Z") from None


def event_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ArgumentTypeError(
            f"{text!r} is no event id: it is 32 hexadecimal digits with or without hyphens, from deadletters list"
        ) from None


def name(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ArgumentTypeError(f"{text!r} is no name: write who asks, such as --actor anna")
    return text.strip()
