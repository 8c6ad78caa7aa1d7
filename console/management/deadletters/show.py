import json as json_text
from argparse import ArgumentParser
from uuid import UUID

from autocom.kernel.ids import request_id_of
from console.management.deadletters.arguments import add_json, event_id
from console.management.deadletters.printing import (
    attempt_json,
    attempt_line,
    letter_json,
    letter_lines,
    planned_json,
    visible,
)
from console.management.provider.printing import say, say_json
from console.personal import UNREADABLE, Masked
from console.set_aside.kinds import KINDS, Kind, Letter
from console.set_aside.plan import retry_plan
from console.shown import masked
from ingestion.models import Delivery
from ingestion.redrive.place import SetAside
from ingestion.redrive.selectors import attempts_of

HELP = "Show one letter: why it is here, what was tried, what a retry would do, its headers and bytes."
NOT_FOUND = 1


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", type=event_id, metavar="ID")
    parser.add_argument("--place", choices=[place.value for place in SetAside], help="default: wherever it is")
    add_json(parser)


def run(*, id: UUID, place: str | None, json: bool, **_: object) -> int:  # noqa: A002  (the argument's name)
    kinds = KINDS.values() if place is None else (KINDS[SetAside(place)],)
    for kind in kinds:
        letter = kind.model._default_manager.filter(pk=id).first()
        if letter is not None:
            _say_json(letter, kind) if json else _say(letter, kind)
            return 0
    say(f"{id} is no {' and no '.join(kind.noun for kind in kinds)}: manage.py lineage {id} tells what it is")
    return NOT_FOUND


def _say(letter: Letter, kind: Kind) -> None:
    say(*letter_lines(letter, kind))
    (planned,) = retry_plan(kind.place, [letter.pk]).letters
    say(f"  a retry now   {planned.fate}: {visible(planned.sentence)}")
    content = Masked.of(letter)
    tries = [attempt_line(each, content) for each in attempts_of(kind.place, letter.pk)]
    say("  attempts", *(f"    {line}" for line in tries or ["one, the first: nobody has asked for a retry yet"]))
    say("  headers", *(f"    {visible(name)}: {visible(value)}" for name, value in _headers(letter, content).items()))
    if content.is_masked:
        say(f"  bytes, masked (manage.py reveal {letter.pk} --reason WHY shows them)", visible(_shown(content)))
        return
    payload = bytes(letter.payload_bytes)
    say(f"  bytes ({len(payload):,})", visible(payload.decode("utf-8", "backslashreplace"), keep="\n\t"))


def _say_json(letter: Letter, kind: Kind) -> None:
    (planned,) = retry_plan(kind.place, [letter.pk]).letters
    payload, content = bytes(letter.payload_bytes), Masked.of(letter)
    say_json(
        {
            "place": kind.place.value,
            **letter_json(letter),
            "retry_now": planned_json(planned),
            "attempts": [attempt_json(each, content) for each in attempts_of(kind.place, letter.pk)],
            "headers": _headers(letter, content),
            "is_masked": content.is_masked,
            "payload_hex": None if content.is_masked else payload.hex(),
            "payload_text": _shown(content) if content.is_masked else payload.decode("utf-8", "backslashreplace"),
        }
    )


def _shown(content: Masked) -> str:
    return UNREADABLE if content.value is None else json_text.dumps(content.masked_value(), ensure_ascii=False)


def _headers(letter: Letter, content: Masked) -> dict[str, str]:
    """Of the delivery, if it is kept; what would let the reader in as the provider is masked."""
    delivery = Delivery.objects.only("headers").filter(pk=request_id_of(letter.pk)).first()
    return {} if delivery is None else masked(content.header_texts(delivery.headers))
