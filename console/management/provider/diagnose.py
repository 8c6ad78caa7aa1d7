"""manage.py provider diagnose NAME"""

from __future__ import annotations

import json as json_module
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.db import Error

from ingestion.models import Provider, RefusalSample
from ingestion.provider_book import DEFAULT
from ingestion.refusals.advice import advice_for_cause, advice_for_reason
from ingestion.refusals.selectors import RefusalSummary, refusal_summary

HELP = (
    "Show why deliveries of a provider were refused: counts by reason, samples with their cause, and what to do. "
    "Exit 0: shown. 2: no such provider. 3: PostgreSQL cannot be asked."
)
SHOWN, NO_PROVIDER, CANNOT_ASK = 0, 2, 3
SAMPLES_TOLD_COUNT = 5


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", help="the provider's name, e.g. default")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def run(*, name: str, json: bool = False, **_: Any) -> int:
    try:
        if name != DEFAULT and not Provider.objects.filter(name=name).exists():
            sys.stderr.write(f"provider diagnose: no provider is called {name!r}: see manage.py provider list\n")
            return NO_PROVIDER
        summary = refusal_summary(name, now=datetime.now(UTC))
    except Error as error:
        sys.stderr.write(f"provider diagnose: PostgreSQL cannot be asked: {type(error).__name__}\n")
        return CANNOT_ASK
    sys.stdout.write(_as_json(name, summary) if json else "\n".join(_as_text(name, summary)) + "\n")
    return SHOWN


def _as_text(name: str, summary: RefusalSummary) -> Iterator[str]:
    if not summary.reasons:
        yield f"provider {name}: nothing was refused in the last day"
        return
    yield f"provider {name}: refused deliveries, by reason"
    for reason in summary.reasons:
        advice = advice_for_reason(reason)
        hour, day = summary.last_hour.get(reason, 0), summary.last_day.get(reason, 0)
        yield f"\n{reason}: {hour:,} in the last hour, {day:,} in the last day"
        yield f"  {advice.meaning}"
        yield f"  Next: {advice.next_step}"
        for sample in [each for each in summary.samples if each.reason == reason][:SAMPLES_TOLD_COUNT]:
            yield from _sample_text(sample)


def _sample_text(sample: RefusalSample) -> Iterator[str]:
    cause = advice_for_cause(sample.cause)
    told = f" ({sample.cause_detail})" if sample.cause_detail else ""
    yield f"  - {_moment(sample)}  request {sample.request_id}  {sample.detail}".rstrip()
    if sample.cause != "as_reason":
        yield f"    cause {sample.cause}{told}: {cause.meaning}"
        yield f"    Next: {cause.next_step}"
    yield f"    {sample.content_type or 'no content type'}, {sample.body_bytes:,} bytes, shape {sample.body_start}"
    for header, start in sample.signature_starts.items():
        yield f"    {header}: {start}"
    yield f"    headers: {', '.join(sample.header_names)}"


def _as_json(name: str, summary: RefusalSummary) -> str:
    found = {
        "provider": name,
        "reasons": [
            {
                "reason": reason,
                "last_hour_count": summary.last_hour.get(reason, 0),
                "last_day_count": summary.last_day.get(reason, 0),
                "meaning": advice_for_reason(reason).meaning,
                "next_step": advice_for_reason(reason).next_step,
            }
            for reason in summary.reasons
        ],
        "samples": [_sample_json(sample) for sample in summary.samples],
    }
    return json_module.dumps(found, indent=2) + "\n"


def _sample_json(sample: RefusalSample) -> dict[str, object]:
    cause = advice_for_cause(sample.cause)
    return {
        "at": _moment(sample),
        "request_id": str(sample.request_id),
        "reason": sample.reason,
        "detail": sample.detail,
        "cause": sample.cause,
        "cause_detail": sample.cause_detail,
        "meaning": cause.meaning,
        "next_step": cause.next_step,
        "header_names": sample.header_names,
        "signature_starts": sample.signature_starts,
        "content_type": sample.content_type,
        "body_bytes": sample.body_bytes,
        "body_start": sample.body_start,
    }


def _moment(sample: RefusalSample) -> str:
    return sample.received_at.astimezone(UTC).isoformat(timespec="milliseconds")
