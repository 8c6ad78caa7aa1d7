"""The page of a provider behind Amazon SNS: certificates it has, those it wants, and who waits for a person."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import call_command

from console.roles import Role
from ingestion.certificates import import_certificate
from ingestion.models import Provider, WantedCertificate
from tests.console.rows import ago, event_row, provider_row
from tests.support.schemes import RSA_KEY, TOPIC, certified

pytestmark = pytest.mark.django_db

NAME = "SimpleNotificationService-01.pem"


@pytest.fixture
def provider() -> Provider:
    return provider_row("mail", scheme="ses", options={"topic_arns": [TOPIC]})


def page_text(client: Any, provider: Provider) -> str:
    html = client.get(f"/admin/ingestion/provider/{provider.pk}/change/").content.decode()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


def test_a_provider_with_no_certificate_says_so_and_has_no_confirmation(signed_in: Any, provider: Provider) -> None:
    text = page_text(signed_in(Role.AUDITOR), provider)
    assert "Imported none" in text
    assert "none is missing" in text
    assert "none has come" in text
    assert "no certificate is valid now, so its messages wait" in text


def test_a_wanted_certificate_is_shown_with_the_command_that_imports_it(signed_in: Any, provider: Provider) -> None:
    url = f"https://sns.us-east-1.amazonaws.com/{NAME}"
    WantedCertificate.objects.create(
        provider=provider, url=url, count=3, first_seen_at=ago(hours=1), last_seen_at=ago(minutes=1)
    )
    text = page_text(signed_in(Role.PLATFORM_OPS), provider)
    assert f"{url} asked for by 3 messages" in text
    assert f"manage.py provider certificate import mail --file {NAME}" in text


def test_an_imported_certificate_is_shown_with_its_days_and_the_provider_is_usable(
    signed_in: Any, provider: Provider, capsys: pytest.CaptureFixture[str]
) -> None:
    import_certificate(provider=provider, pem=certified(RSA_KEY), file_name=NAME, now=datetime.now(UTC))
    text = page_text(signed_in(Role.DRI), provider)
    assert NAME in text
    assert re.search(r"\d+ days left", text)
    assert "is valid now" not in text
    with pytest.raises(SystemExit):
        call_command("provider", "show", "mail")
    assert "!" not in capsys.readouterr().out


def test_a_subscription_that_waits_for_a_person_is_linked(signed_in: Any, provider: Provider) -> None:
    event = event_row(provider="mail", event_type="SubscriptionConfirmation", ordering_key=TOPIC)
    event_row(provider="another", event_type="SubscriptionConfirmation", ordering_key=TOPIC)
    html = signed_in(Role.DRI).get(f"/admin/ingestion/provider/{provider.pk}/change/").content.decode()
    assert html.count("SubscriptionConfirmation</a>") == 1
    assert f"/admin/ingestion/event/{event.pk}/change/" in html
    assert "open its SubscribeURL" in html


def test_a_provider_of_another_scheme_has_no_such_section(signed_in: Any) -> None:
    html = signed_in(Role.DRI).get(f"/admin/ingestion/provider/{provider_row('acme').pk}/change/").content.decode()
    assert "Amazon SNS" not in html
