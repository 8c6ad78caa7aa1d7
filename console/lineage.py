"""The way of one event as times: received, accepted, claimed, committed, with the time that each step took."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from console.shown import between, moment
from ingestion.models import Batch, Event, EventFields


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    at: datetime
    what: str


def lineage_of(event: EventFields, *, batch: Batch) -> Sequence[Step]:
    """In the order of the pipeline, which is the order of time unless two machines' clocks disagree."""
    return (
        Step("received", event.received_at, "first byte at the ingress"),
        *_retry(event),
        Step("accepted", event.accepted_at, f"appended to lane {event.lane} as {event.sequence:,}, by Redis's clock"),
        Step("claimed", batch.claimed_at, f"read by {batch.worker} for batch {batch.pk}"),
        Step("committed", batch.committed_at, f"with {batch.event_count:,} events, fence {batch.fence}"),
    )


def _retry(event: EventFields) -> Sequence[Step]:
    """It stood aside in between: what follows are the steps of the retry."""
    if not isinstance(event, Event) or event.redriven_at is None:
        return ()
    what = f"it stood aside, accepted first as {event.redriven_from_sequence:,}"
    return (Step("retry asked", event.redriven_at, what),)


def lineage_table(steps: Sequence[Step]) -> SafeString:
    first = steps[0].at
    previous = [steps[0], *steps]
    rows = (
        (
            step.name,
            moment(step.at),
            "" if step is steps[0] else between(before.at, step.at),
            between(first, step.at),
            step.what,
        )
        for before, step in zip(previous, steps, strict=False)
    )
    return format_html(
        '<div class="console-scroll" tabindex="0" role="region" aria-label="Lineage"><table class="console-table">'
        '<thead><tr><th scope="col">Step</th><th scope="col">When</th><th scope="col">Took</th>'
        '<th scope="col">Since received</th><th scope="col">What</th></tr></thead><tbody>{}</tbody></table></div>',
        format_html_join(
            "",
            '<tr><th scope="row">{}</th><td>{}</td><td class="console-number">{}</td>'
            '<td class="console-number">{}</td><td>{}</td></tr>',
            rows,
        ),
    )
