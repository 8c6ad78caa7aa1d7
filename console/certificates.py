"""What a provider that Amazon SNS speaks for needs of an operator, as a section of its page."""

from datetime import datetime

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from console.shown import moment, mono
from ingestion.models import Provider, ProviderCertificate, WantedCertificate
from ingestion.selectors import certificates_of, confirmations_of, wanted_certificates_of

CONFIRMATIONS_SHOWN_COUNT = 5


def certificates_section(provider: Provider, *, now: datetime) -> SafeString:
    """Certificates that it is verified with, those that it wants, and subscriptions that wait for a person."""
    return format_html(
        "{}{}{}",
        _list("Imported", [_imported(row, now) for row in certificates_of(provider)], "none"),
        _list("Wanted", [_wanted(row) for row in wanted_certificates_of(provider)], "none is missing"),
        _list("Subscriptions to confirm or ended, newest first", _confirmations(provider), "none has come"),
    )


def _list(title: str, rows: list[SafeString], empty: str) -> SafeString:
    items = format_html_join("", "<li>{}</li>", ((row,) for row in rows)) if rows else format_html("<li>{}</li>", empty)
    return format_html('<section class="console-refusal"><h3>{}</h3><ul>{}</ul></section>', title, items)


def _imported(row: ProviderCertificate, now: datetime) -> SafeString:
    state = "EXPIRED" if row.not_after <= now else f"{(row.not_after - now).days} days left"
    return format_html("{} {}, until {}, {}", mono(row.file_name), row.subject, moment(row.not_after), state)


def _wanted(row: WantedCertificate) -> SafeString:
    return format_html(
        "{} asked for by {} messages, last {}. <strong>Next:</strong> download it over https, then {}",
        mono(row.url),
        row.count,
        moment(row.last_seen_at),
        mono(f"manage.py provider certificate import {row.provider.name} --file {row.url.rpartition('/')[2]}"),
    )


def _confirmations(provider: Provider) -> list[SafeString]:
    return [
        format_html(
            '<a class="console-link" href="{}">{}</a> {}. <strong>Next:</strong> '
            "if the topic is yours, open its SubscribeURL; nothing here does",
            reverse("admin:ingestion_event_change", args=[event.pk]),
            event.event_type,
            moment(event.received_at),
        )
        for event in confirmations_of(provider)[:CONFIRMATIONS_SHOWN_COUNT]
    ]
