"""What was tried with one letter, oldest first."""

from __future__ import annotations

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from console.originals import original_link
from console.personal import Masked
from console.set_aside.kinds import Letter
from console.shown import moment
from ingestion.models import SetAsideAttempt
from ingestion.redrive.place import SetAside
from ingestion.redrive.selectors import attempts_of

TOLD = {
    SetAsideAttempt.Outcome.UNDER_WAY: "under way",
    SetAsideAttempt.Outcome.STORED: "stored",
    SetAsideAttempt.Outcome.DUPLICATE: "the event was stored already",
    SetAsideAttempt.Outcome.FAILED: "failed",
    SetAsideAttempt.Outcome.LANE_FULL: "its lane was full: nothing was sent",
}


def attempts_table(letter: Letter, *, place: SetAside) -> SafeString | str:
    rows, masked = list(attempts_of(place, letter.pk)), Masked.of(letter)
    if not rows:
        return "one, the first: nobody has asked for a retry yet"
    return format_html(
        '<div class="console-scroll" tabindex="0" role="region" aria-label="Attempts"><table class="console-table">'
        '<thead><tr><th scope="col">Attempt</th><th scope="col">Asked for</th><th scope="col">Outcome</th>'
        '<th scope="col">Settled</th><th scope="col">Lane</th><th scope="col">Error</th></tr></thead>'
        "<tbody>{}</tbody></table></div>",
        format_html_join(
            "",
            '<tr><th scope="row">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td>'
            '<td class="console-sentence">{}</td></tr>',
            (_cells(row, masked) for row in rows),
        ),
    )


def _cells(attempt: SetAsideAttempt, masked: Masked) -> tuple[object, ...]:
    outcome: object = TOLD[SetAsideAttempt.Outcome(attempt.outcome)]
    if attempt.original_event_id is not None:
        outcome = format_html("{} ({})", outcome, original_link(attempt.original_event_id, text="which"))
    return (
        attempt.number,
        moment(attempt.asked_at),
        outcome,
        moment(attempt.settled_at) if attempt.settled_at else "not yet",
        "" if attempt.sequence is None else _place(attempt),
        masked.folded_error(attempt.error, summary=attempt.error_class or "error") if attempt.error else "",
    )


def _place(attempt: SetAsideAttempt) -> SafeString:
    return format_html('<span class="console-mono console-id">{} / {}</span>', attempt.lane, f"{attempt.sequence:,}")
