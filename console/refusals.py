"""A provider's refused deliveries as a section of its page."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from console.shown import moment, mono
from ingestion.models import RefusalSample
from ingestion.refusals.advice import Advice, advice_for_cause, advice_for_reason
from ingestion.refusals.causes import Cause
from ingestion.refusals.selectors import RefusalSummary, refusal_summary


def refusals_section(provider: str, *, now: datetime) -> SafeString | str:
    """Each reason with its counts and what to do, and under it the newest samples with their cause."""
    summary = refusal_summary(provider, now=now)
    if not summary.reasons:
        return "nothing was refused in the last day"
    return format_html_join("", "{}", ((_reason(reason, summary),) for reason in summary.reasons))


def _reason(reason: str, summary: RefusalSummary) -> SafeString:
    samples = [sample for sample in summary.samples if sample.reason == reason]
    return format_html(
        '<section class="console-refusal"><h3>{}</h3><p>{} in the last hour, {} in the last day</p>{}{}</section>',
        mono(reason),
        f"{summary.last_hour.get(reason, 0):,}",
        f"{summary.last_day.get(reason, 0):,}",
        _advice(advice_for_reason(reason)),
        _folded_samples(samples),
    )


def _advice(advice: Advice) -> SafeString:
    return format_html("<p>{} <strong>Next:</strong> {}</p>", advice.meaning, advice.next_step)


def _folded_samples(samples: Sequence[RefusalSample]) -> SafeString | str:
    if not samples:
        return "no sample was kept"
    return format_html(
        '<details class="console-fold"><summary>Newest samples ({})</summary>{}</details>',
        len(samples),
        format_html_join("", '<section class="console-refusal">{}</section>', ((_sample(each),) for each in samples)),
    )


def _sample(sample: RefusalSample) -> SafeString:
    return format_html(
        "<p>{} {}</p>{}<p>{}</p>",
        moment(sample.received_at),
        sample.detail,
        "" if sample.cause == Cause.AS_REASON else _cause(sample),
        format_html_join(" ", "<span>{}: {}</span><br>", _facts(sample)),
    )


def _cause(sample: RefusalSample) -> SafeString:
    told = f"{sample.cause}, {sample.cause_detail}" if sample.cause_detail else sample.cause
    return format_html("<p>Cause: {}</p>{}", mono(told), _advice(advice_for_cause(sample.cause)))


def _facts(sample: RefusalSample) -> Iterator[tuple[str, object]]:
    yield "Request", mono(sample.request_id)
    yield "Body", f"{sample.content_type or 'no content type'}, {sample.body_bytes:,} bytes"
    yield "Its shape, masked", mono(sample.body_start or "empty")
    for name, start in sample.signature_starts.items():
        yield name, mono(start)
    yield "Header names", ", ".join(sample.header_names)
