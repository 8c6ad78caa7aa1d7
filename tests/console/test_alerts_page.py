"""The page Alerts: what is open, since when, what to do, and who was told."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission as Stored
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from console.access import Permission
from console.alert_kinds import KINDS
from console.roles import PERMISSIONS_BY_ROLE, Role
from evidence.alerts import close_alert, raise_alert
from evidence.budget.watch import KIND as BURN
from evidence.guardrails.rules import shipped_rules
from evidence.models import Alert, Outgoing
from tests.console.test_destination_pages import HOSTILE, destination, message

pytestmark = pytest.mark.django_db


def raised(kind: str = "lag", subject: str = "lag", **fields: Any) -> Alert:
    severity = fields.pop("severity", Alert.Severity.PAGE)
    return raise_alert(
        kind, subject, severity=severity, summary=fields.pop("summary", "the oldest is 75 s old"), **fields
    )


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def listed(client: Any, **query: Any) -> list[str]:
    answer = client.get(reverse("admin:alerts"), query)
    assert answer.status_code == 200
    return [each.row.subject for each in answer.context["alerts"]]


@pytest.mark.parametrize("role", [*Role, None])
def test_whoever_may_read_alerts_reads_them_and_nobody_else(signed_in: Any, role: Role | None) -> None:
    raised()
    expected = 200 if role and Permission.ALERT_READ in PERMISSIONS_BY_ROLE[role] else 403
    assert signed_in(role).get(reverse("admin:alerts")).status_code == expected


def test_every_kind_that_anything_raises_says_what_to_do(signed_in: Any) -> None:
    kinds = {rule.alert for rule in shipped_rules()} | {BURN, "outgoing"}
    assert kinds == set(KINDS)
    for kind in kinds:
        raised(kind, kind)
    answer = signed_in(Role.AUDITOR).get(reverse("admin:alerts"))
    for advice in KINDS.values():
        assert advice.next_step in answer.content.decode().replace("&#x27;", "'")
        assert f'href="{reverse(advice.url_name)}"' in answer.content.decode()


def test_the_guides_that_it_names_are_in_the_repository(settings: Any) -> None:
    for advice in KINDS.values():
        assert (settings.BASE_DIR / advice.guide).is_file()


def test_an_alert_says_since_when_and_how_often_it_was_seen(signed_in: Any) -> None:
    raised(facts={"limit": "60", "value": "75"})
    alert = raised(facts={"limit": "60", "value": "75"})
    told = text_of(signed_in(Role.DRI).get(reverse("admin:alerts")))
    assert f"{alert.opened_at:%Y-%m-%d %H:%M:%S}" in told
    assert "2 times" in told
    assert "limit 60 value 75" in told
    assert "OPEN, page Commits are late: lag" in told


def test_open_closed_and_all_are_filters_of_the_address(signed_in: Any) -> None:
    raised(subject="first")
    raised("dead_letters", "second")
    raised(subject="third")
    close_alert("lag", "third")
    client = signed_in(Role.AUDITOR)
    assert listed(client) == ["second", "first"]
    assert listed(client, state="closed") == ["third"]
    assert listed(client, state="all", kind="lag") == ["third", "first"]
    assert "Nothing matches" in text_of(client.get(reverse("admin:alerts"), {"kind": "burn"}))
    for query, told in (
        ({"state": "lost"}, "is no state"),
        ({"kind": "x"}, "is no kind"),
        ({"before": "x"}, "is no key"),
    ):
        assert told in text_of(client.get(reverse("admin:alerts"), query))


def test_pages_lead_on(signed_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.pages.alerts.PAGE_SIZE_COUNT", 2)
    rows = [raised(subject=str(n)) for n in range(3)]
    client = signed_in(Role.AUDITOR)
    assert listed(client) == ["2", "1"]
    assert f"before={rows[1].pk}" in client.get(reverse("admin:alerts")).content.decode()
    assert listed(client, before=rows[1].pk) == ["0"]


def test_it_says_who_was_told_and_names_no_destination_to_those_who_may_not_read_them(signed_in: Any) -> None:
    alert = raised()
    to = destination("on-call")
    message(Outgoing.State.SENT, to, alert=alert, event_id=None, message_id=f"alert-{alert.pk}-opened")
    message(Outgoing.State.WITHHELD, destination("pager"), alert=alert, event_id=None)
    told = text_of(signed_in(Role.DRI).get(reverse("admin:alerts")))
    assert "on-call was told that it opened" in told
    assert "pager was not told: the mode forbids it" in told
    told = text_of(signed_in(Role.LEADERSHIP).get(reverse("admin:alerts")))
    assert "a destination was told that it opened" in told
    assert "on-call" not in told


def test_an_alert_leads_to_no_page_that_the_reader_may_not_open(person: Any) -> None:
    for kind in KINDS:
        raised(kind, kind)
    user = person()
    user.user_permissions.add(Stored.objects.get(codename="view_alert"))
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.get(reverse("admin:alerts"))
    assert {each.address for each in answer.context["alerts"]} == {""}
    assert not [kind for kind in KINDS if f'href="{reverse(KINDS[kind].url_name)}"' in answer.content.decode()]
    assert "Nobody is told of alerts" in text_of(answer)
    assert reverse("admin:destinations") not in answer.content.decode()


def test_where_nobody_is_told_and_nothing_is_open_it_says_so(signed_in: Any) -> None:
    client = signed_in(Role.DRI)
    told = text_of(client.get(reverse("admin:alerts")))
    assert "Nobody is told of alerts: there is no enabled destination" in told
    assert "Nothing is open" in told
    assert "There has been no alert yet" in text_of(client.get(reverse("admin:alerts"), {"state": "all"}))
    destination()
    raised()
    told = text_of(client.get(reverse("admin:alerts"), {"state": "closed"}))
    assert "No alert has closed yet" in told
    assert "1 open in all" in told
    assert "Nobody is told of alerts" not in told


def test_no_text_from_outside_becomes_markup(signed_in: Any) -> None:
    raised(HOSTILE[:32], HOSTILE, summary=HOSTILE, facts={HOSTILE: HOSTILE})
    raised("burn", HOSTILE, summary=HOSTILE)
    raw = signed_in(Role.DRI).get(reverse("admin:alerts"), {"kind": HOSTILE}).content.decode()
    assert "<script>alert(1)" not in raw
    assert "&lt;script&gt;" in raw


def test_it_asks_the_database_as_often_for_many_alerts_as_for_few(signed_in: Any) -> None:
    client = signed_in(Role.DRI)
    to = destination()
    raised()
    client.get(reverse("admin:alerts"))
    counts = []
    for more in (0, 30):
        for n in range(more):
            message(Outgoing.State.SENT, to, alert=raised(subject=str(n)), event_id=None)
        with CaptureQueriesContext(connection) as queries:
            client.get(reverse("admin:alerts"))
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 12
