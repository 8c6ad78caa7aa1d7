"""The way of one event: received, accepted, claimed, committed, sealed, and every retry between, with its times.

Drawn on one axis and listed as text. What nobody recorded is a gap with a name, never left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.template.loader import render_to_string
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from autocom.kernel.clock import datetime_of
from console.charts.timeline import Span, timeline
from console.shown import between, moment
from evidence.promises.answer import sealed_at
from ingestion.latency import SLO_US
from ingestion.models import Batch, DeadLetter, Event, EventFields, QuarantinedEvent, SetAsideAttempt
from ingestion.redrive.place import SetAside
from ingestion.redrive.selectors import attempts_of
from ingestion.traces import EventTrace, Fate

SLO = timedelta(microseconds=SLO_US)
SET_ASIDE, RETRY_ASKED, NO_RECORD = "set aside", "retry asked", "no record"
# what went on until the step of this name
SPAN_NAMES = {
    "accepted": "Delivery",
    "claimed": "Lane wait",
    "committed": "Batch",
    SET_ASIDE: "Batch",
    RETRY_ASKED: "Stood aside",
    "sealed": "Seal",
}
WAITS = {"sealed": "Waits for its seal"}  # due within seconds: no record of it is no riddle yet
# the step that must stand before this one
BEFORE = {"accepted": ("received", RETRY_ASKED), "claimed": ("accepted",), "committed": ("claimed",)}


@dataclass(frozen=True, slots=True)
class Step:
    """`at` is None where the step is due and nobody recorded it."""

    name: str
    at: datetime | None
    what: str


def lineage_of(event: EventFields, *, batch: Batch) -> Sequence[Step]:
    """In the order of the pipeline, which is the order of time unless two machines' clocks disagree."""
    received = Step("received", event.received_at, "first byte at the ingress")
    if isinstance(event, Event) and event.redriven_at is not None:
        return (received, *_life_before(event), *_retry(event), *_life(event, batch), _seal(batch))
    if isinstance(event, DeadLetter | QuarantinedEvent):
        return (received, *_life(event, batch, ends_with=SET_ASIDE), *_attempts(event), _seal(batch))
    return (received, *_life(event, batch), _seal(batch))


def _life(event: EventFields, batch: Batch, *, ends_with: str = "committed") -> Iterator[Step]:
    yield Step("accepted", event.accepted_at, f"appended to lane {event.lane} as {event.sequence:,}, by Redis's clock")
    yield Step("claimed", batch.claimed_at, f"read by {batch.worker} for batch {batch.pk}")
    yield Step(
        ends_with, batch.committed_at, f"in batch {batch.pk} of {batch.event_count:,} events, fence {batch.fence}"
    )


def _life_before(event: Event) -> Iterator[Step]:
    """Its first attempt and those that failed, which its letter tells; a gap where the letter has aged out."""
    letter: DeadLetter | QuarantinedEvent | None = (
        DeadLetter.objects.select_related("batch").filter(pk=event.pk).first()
        or QuarantinedEvent.objects.select_related("batch").filter(pk=event.pk).first()
    )
    if letter is None:
        yield Step(NO_RECORD, None, "of its first attempt: the letter has aged out")
        return
    yield from _life(letter, letter.batch, ends_with=SET_ASIDE)
    failed = attempts_of(_place(letter), letter.pk).filter(asked_at__lt=event.redriven_at, number__gt=1)
    for attempt in failed:
        yield from _attempt(attempt)


def _retry(event: Event) -> Iterator[Step]:
    yield Step(RETRY_ASKED, event.redriven_at, f"it stood aside, accepted first as {event.redriven_from_sequence:,}")


def _attempts(letter: DeadLetter | QuarantinedEvent) -> Iterator[Step]:
    for attempt in attempts_of(_place(letter), letter.pk).filter(number__gt=1):
        yield from _attempt(attempt)


def _attempt(attempt: SetAsideAttempt) -> Iterator[Step]:
    yield Step(RETRY_ASKED, attempt.asked_at, f"attempt {attempt.number}")
    ended = f"attempt {attempt.number} ended: {attempt.outcome.replace('_', ' ')}"
    is_open = attempt.outcome == SetAsideAttempt.Outcome.UNDER_WAY
    yield Step(f"attempt {attempt.number}", attempt.settled_at, "not committed yet" if is_open else ended)


def _seal(batch: Batch) -> Step:
    found = sealed_at(batch.pk)
    if found is None:
        return Step("sealed", None, "not yet: the batch waits for its seal")
    return Step("sealed", found.seal.sealed_at, f"leaf {found.index:,}, checkpoint of {found.seal.tree_size:,} leaves")


def _place(letter: DeadLetter | QuarantinedEvent) -> SetAside:
    return SetAside.DEAD_LETTER if isinstance(letter, DeadLetter) else SetAside.QUARANTINE


def steps_of(trace: EventTrace) -> Sequence[Step]:
    """Of a trace, which also knows what waits on a lane and what is left of an event that aged out."""
    known = [Step(step.name, step.at, step.what) for step in trace.steps]
    if trace.fate is Fate.WAITING:
        return [*known, Step("committed", None, trace.what)]
    if trace.fate is Fate.AGED:
        began = datetime_of(us=(trace.request_id.int >> 80) * 1_000)
        return [Step("received", began, "as its id tells, to the millisecond"), *known]
    return known


def spans_of(steps: Sequence[Step], *, now: datetime) -> Sequence[Span]:
    """What went on between each two recorded steps; gaps stand where one is missing between them."""
    spans: list[Span] = []
    before = steps[0]
    gap: Step | None = None
    for step in steps[1:]:
        if step.at is None:
            gap = step
            continue
        assert before.at is not None  # noqa: S101  (only recorded steps are kept as the one before)
        name = SPAN_NAMES.get(step.name, step.name.capitalize())
        if gap is not None or (step.name in BEFORE and before.name not in BEFORE[step.name]):
            name = f"No record between {before.name} and {step.name}"
        told = between(before.at, step.at)
        if step.at < before.at:
            told += ", as two clocks disagree"
        spans.append(
            Span(
                name=name,
                start=before.at,
                end=step.at,
                told=told,
                is_gap=name.startswith("No record"),
                is_over=name == "Delivery" and step.at - before.at > SLO,
            )
        )
        before, gap = step, None
    if gap is not None and before.at is not None:
        name = WAITS.get(gap.name, f"No record between {before.name} and {gap.name}")
        told = f"{between(before.at, now)} so far"
        spans.append(Span(name=name, start=before.at, end=None, told=told, is_gap=True))
    return spans


def lineage_chart(steps: Sequence[Step], *, name: str = "way", now: datetime | None = None) -> SafeString:
    """The axis and, with the same words, the list."""
    at = now or datetime.now(UTC)
    drawn = timeline(name=name, spans=spans_of(steps, now=at), objective_ms=SLO / timedelta(milliseconds=1), now=at)
    chart = render_to_string("console/_timeline.html", {"timeline": drawn}) if drawn else ""
    return format_html("{}{}", chart, lineage_table(steps))


def lineage_table(steps: Sequence[Step]) -> SafeString:
    return format_html(
        '<div class="console-scroll" tabindex="0" role="region" aria-label="Lineage"><table class="console-table">'
        '<thead><tr><th scope="col">Step</th><th scope="col">When</th><th scope="col">Took</th>'
        '<th scope="col">Since received</th><th scope="col">What</th></tr></thead><tbody>{}</tbody></table></div>',
        format_html_join(
            "",
            '<tr><th scope="row">{}</th><td>{}</td><td class="console-number">{}</td>'
            '<td class="console-number">{}</td><td>{}</td></tr>',
            _rows(steps),
        ),
    )


def _rows(steps: Sequence[Step]) -> Iterator[tuple[object, ...]]:
    first = before = steps[0].at
    for step in steps:
        if step.at is None or first is None or before is None:
            yield step.name, "not yet" if step.name in WAITS else "no record", "", "", step.what
            continue
        took = "" if step is steps[0] else between(before, step.at)
        yield step.name, moment(step.at), took, between(first, step.at), step.what
        before = step.at
