"""Retries a dead letter and dies by SIGKILL at a named point: `python -m tests.support.dying_retry EVENT_ID POINT`."""

from __future__ import annotations

import sys
from uuid import UUID

import django

from tests.support.dying_drain import die_instead, then_die

POINTS = ("before COMMIT", "after COMMIT", "on the lane, not noted", "on the lane, noted")


def retry(event_id: UUID, point: str) -> None:
    from django.db import transaction

    from ingestion.buffer.store import LaneBuffer
    from ingestion.redrive import retry as retry_step
    from ingestion.redrive import send as send_step
    from ingestion.redrive.place import SetAside

    match point:
        case "before COMMIT":
            setattr(retry_step, "send_on_commit", die_instead)  # noqa: B010  (a name that the module imported)
        case "after COMMIT":
            LaneBuffer.append_again = die_instead  # type: ignore[method-assign]
        case "on the lane, not noted":
            LaneBuffer.append_again = then_die(LaneBuffer.append_again)  # type: ignore[method-assign]
        case "on the lane, noted":
            send_step._note = then_die(send_step._note)
        case _:
            raise SystemExit(f"{point!r} is none of {POINTS}")
    with transaction.atomic():
        retry_step.request_retry(SetAside.DEAD_LETTER, [event_id])


if __name__ == "__main__":
    django.setup()
    retry(UUID(sys.argv[1]), sys.argv[2])
