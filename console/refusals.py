"""A provider's refused deliveries as a section of its page."""

from collections.abc import Sequence
from datetime import datetime

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from console.shown import moment, mono
from ingestion.models import RefusalSample
from ingestion.refusals.advice import advice_for_cause, advice_for_reason
from ingestion.refusals.selectors import RefusalSummary, refusal_summary


def refusals_section(provider: str, *, now: datetime) -> SafeString | str:
    """Counts by reason with what to do, then the newest samples with their cause."""
    summary = refusal_summary(provider, now=now)
    if not summary.reasons:
        return "nothing was refused in the last day"
    return format_html("{}{}", _counts_table(summary), _samples_table(summary.samples))


def _counts_table(summary: RefusalSummary) -> SafeString:
    return _table(
        "Refused deliveries by reason",
        ("Reason", "Last hour", "Last day", "What it means", "What to do"),
        format_html_join(
            "",
            '<tr><th scope="row" class="console-mono">{}</th><td class="console-number">{}</td>'
            '<td class="console-number">{}</td><td>{}</td><td>{}</td></tr>',
            (
                (
                    reason,
                    f"{summary.last_hour.get(reason, 0):,}",
                    f"{summary.last_day.get(reason, 0):,}",
                    advice_for_reason(reason).meaning,
                    advice_for_reason(reason).next_step,
                )
                for reason in summary.reasons
            ),
        ),
    )


def _samples_table(samples: Sequence[RefusalSample]) -> SafeString | str:
    if not samples:
        return ""
    return _table(
        "Samples of refused deliveries",
        ("Received", "Reason", "Cause", "What to do", "What came, masked"),
        format_html_join(
            "",
            "<tr><td>{}<br>{}</td><td>{}<br>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            (_sample_cells(sample) for sample in samples),
        ),
    )


def _sample_cells(sample: RefusalSample) -> Sequence[object]:
    advice = advice_for_cause(sample.cause)
    told = f"{advice.meaning} ({sample.cause_detail})" if sample.cause_detail else advice.meaning
    return (
        moment(sample.received_at),
        mono(sample.request_id),
        mono(sample.reason),
        sample.detail,
        told,
        advice.next_step,
        _masked(sample),
    )


def _masked(sample: RefusalSample) -> SafeString:
    starts = "; ".join(f"{name}: {start}" for name, start in sample.signature_starts.items())
    return format_html(
        '{}, {} bytes, shape {}<br>{}<details class="console-fold"><summary>Header names ({})</summary>{}</details>',
        sample.content_type or "no content type",
        f"{sample.body_bytes:,}",
        mono(sample.body_start),
        starts,
        len(sample.header_names),
        ", ".join(sample.header_names),
    )


def _table(label: str, heads: Sequence[str], rows: SafeString) -> SafeString:
    return format_html(
        '<div class="console-scroll" tabindex="0" role="region" aria-label="{}"><table class="console-table">'
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>",
        label,
        format_html_join("", '<th scope="col">{}</th>', ((head,) for head in heads)),
        rows,
    )
