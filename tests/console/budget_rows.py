"""A ledger for console tests: hours that are over, as the ingress measured them and the job entered them."""

from __future__ import annotations

from datetime import datetime

from django.test import Client
from django.urls import reverse

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.budget.enter import enter_budget
from evidence.budget.unknown import floor_hour
from evidence.models import BudgetEntry
from tests.evidence.budget.kit import HOUR, MINUTE, alive, measured
from tests.support.gates import PASSWORD

SLO = "availability"


def lived_hour(*, bad: int = 5, provider: str = "p") -> datetime:
    """When it began: of ten answers at its start so many were bad, the rest of it was idle; then 50 minutes unknown."""
    at = floor_hour(datetime_of(us=SYSTEM_CLOCK.now_us())) - 2 * HOUR
    alive(at, at + HOUR)
    measured(at, answers={"accepted": 10 - bad, "buffer_unavailable": bad}, provider=provider)
    measured(at + 30 * MINUTE, acks_us={4_000: 9, 150_000: 1}, provider=provider)
    enter_budget(now=at + HOUR + 15 * MINUTE)
    return at


def burn(slo: str = SLO) -> BudgetEntry:
    return BudgetEntry.objects.filter(slo=slo, kind=BudgetEntry.Kind.BURN).order_by("number")[0]


def correction(at: datetime, **changes: str) -> dict[str, str]:
    """The form of a correction that takes one failure out."""
    given = {
        "slo": SLO,
        "window_from": f"{at:%Y-%m-%dT%H:%M}",
        "window_to": f"{at + MINUTE:%Y-%m-%dT%H:%M}",
        "category": "test_traffic",
        "valid_delta": "-1",
        "bad_delta": "-1",
        "unknown_seconds_delta": "0",
        "reason": "a load test of ours that morning",
    }
    return {**given, **changes}


def signed_in_as(username: str) -> Client:
    client = Client()
    assert client.login(username=username, password=PASSWORD)
    return client


def decide(client: Client, number: int, **form: str) -> str:
    """The messages of the page that it leads to."""
    given = {"act": "approve", "reason": "looked at it", "password": PASSWORD, **form}
    answer = client.post(reverse("admin:budget_correction", args=[number]), given, follow=True)
    assert answer.status_code == 200
    return " ".join(str(each) for each in answer.context["messages"])
