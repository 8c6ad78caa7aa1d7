"""The pages of error budgets: what they say, who may write what into the ledger, and what is refused in words."""

from __future__ import annotations

import csv
import io
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from console.access import Permission
from console.mode_banner import SHOWN
from console.roles import PERMISSIONS_BY_ROLE, Role
from evidence.audit import Actor
from evidence.budget.entries import account_of
from evidence.budget.incidents import annotate
from evidence.models import AuditEntry, BudgetEntry, CorrectionProposal
from tests.console.budget_rows import SLO, burn, correction, decide, lived_hour, signed_in_as
from tests.console.rows import provider_row
from tests.evidence.budget.kit import HOUR, MINUTE
from tests.support.gates import person as known_person

pytestmark = pytest.mark.django_db
HOSTILE = '"><script>alert(1)</script>'


def text_of(answer: Any) -> str:
    """What a person reads, without markup."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def page(client: Any, **query: str) -> Any:
    answer = client.get(reverse("admin:budgets"), query)
    assert answer.status_code == 200
    return answer


def proposed(at: datetime, **changes: str) -> CorrectionProposal:
    """By ann, who is a DRI."""
    known_person("ann", Role.DRI)
    answer = signed_in_as("ann").post(reverse("admin:budget_propose"), correction(at, **changes))
    assert answer.status_code == 302, text_of(answer)
    return CorrectionProposal.objects.latest("pk")


@pytest.mark.parametrize("role", [*Role, None])
def test_whoever_may_read_budgets_reads_every_page_of_them_and_nobody_else(signed_in: Any, role: Role | None) -> None:
    at = lived_hour()
    asked = proposed(at)
    client = signed_in(role)
    expected = 403 if role is None else 200
    for address in (
        reverse("admin:budgets"),
        reverse("admin:budget_ledger"),
        reverse("admin:budget_entry", args=[burn().number]),
        reverse("admin:budget_correction", args=[asked.pk]),
    ):
        assert client.get(address).status_code == expected, address


def test_without_measurements_everything_is_unknown_and_the_page_says_what_to_do(signed_in: Any) -> None:
    told = text_of(page(signed_in(Role.AUDITOR)))
    assert "UNKNOWN: nothing valid was measured in this window" in told
    assert "send a signed test event" in told
    assert "No entry yet" in told
    assert "100 %" not in told.replace("100 % of", "")
    assert "OK, by the last" not in told


def test_tiles_say_objective_actual_and_what_is_left_rounded_to_the_bad_side(signed_in: Any) -> None:
    lived_hour()
    (shown,) = page(signed_in(Role.DRI), slo=SLO).context["budgets"]
    assert (shown.objective, shown.actual, shown.left) == ("99.9 %", "50 %", "-49,900 %")
    assert shown.is_spent
    assert shown.state == "BREACHED"
    assert shown.exhaustion == "spent already"


def test_what_was_measured_stands_beside_what_was_corrected(signed_in: Any) -> None:
    at = lived_hour()
    asked = proposed(at)
    known_person("bob", Role.LEADERSHIP)
    decide(signed_in_as("bob"), asked.pk)
    answer = page(signed_in(Role.AUDITOR), slo=SLO)
    (shown,) = answer.context["budgets"]
    assert (shown.left, shown.raw_left, shown.is_corrected) == ("-44,344.45 %", "-49,900 %", True)
    assert "as measured -49,900 %" in text_of(answer)
    drawing = shown.chart.drawings[0]
    assert drawing.corrected
    assert drawing.raw


def test_unknown_time_is_drawn_as_unknown_and_the_line_has_a_gap_there(signed_in: Any) -> None:
    lived_hour()
    answer = page(signed_in(Role.DRI), slo=SLO)
    (shown,) = answer.context["budgets"]
    assert any(step.is_unknown for step in shown.steps)
    assert shown.chart.drawings[0].bands
    assert "unknown, hatched" in text_of(answer)
    assert "UNKNOWN, at most" in text_of(answer)
    drawing = shown.chart.drawings[0]
    hour = max(drawing.bands, key=lambda band: band.width)
    for points in drawing.corrected:
        first, *_, last = (float(point.partition(",")[0]) for point in points.split())
        assert not first < hour.x + hour.width / 2 < last, "a line through time that nobody measured"


def test_burn_rates_stand_beside_the_thresholds_of_the_workbook(signed_in: Any) -> None:
    lived_hour()
    (shown,) = page(signed_in(Role.DRI), slo=SLO).context["budgets"]
    assert [(rule.windows, rule.factor, rule.threshold) for rule in shown.rules] == [
        ("1 h and 5 min", "14.4 x", "1.44 %"),
        ("6 h and 30 min", "6 x", "0.6 %"),
        ("1 d and 2 h", "3 x", "0.3 %"),
        ("3 d and 6 h", "1 x", "0.1 %"),
    ]
    assert shown.rules[3].long == "50 % (500.00 x)"
    assert shown.rules[3].state == "FIRING"
    assert shown.rules[0].state == "UNKNOWN", "the last hour was not measured"


def test_the_month_is_a_window_of_its_own_and_one_without_entries_is_unknown(signed_in: Any) -> None:
    at = lived_hour()
    client = signed_in(Role.DRI)
    (shown,) = page(client, slo=SLO, window=f"{at:%Y-%m}").context["budgets"]
    assert shown.spending.counts.bad == 5
    (before,) = page(client, slo=SLO, window="2020-01").context["budgets"]
    assert (before.actual, before.left, before.chart) == ("UNKNOWN", "UNKNOWN", None)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"slo": "speed"}, "there is no objective"),
        ({"kind": "WISH"}, "is no kind of entry"),
        ({"window": "soon"}, "is no window"),
        ({"window": "2999-01"}, "has not begun yet"),
        ({"sort": "best"}, "is no order"),
        ({"page": "x"}, ""),
    ],
)
def test_an_address_that_makes_no_sense_is_answered_in_words(signed_in: Any, query: dict[str, str], told: str) -> None:
    lived_hour()
    client = signed_in(Role.DRI)
    assert told in text_of(page(client, **query))
    if told:
        refused = client.get(reverse("admin:budget_ledger"), query)
        assert (refused.status_code, told in refused.content.decode()) == (400, True)


def test_entries_are_filtered_sorted_and_paged_by_the_address(signed_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lived_hour()
    client = signed_in(Role.DRI)

    def numbers(**query: str) -> list[int]:
        return [row.entry.number for row in page(client, **query).context["entries"]]

    every = list(BudgetEntry.objects.order_by("-number").values_list("number", flat=True))
    assert numbers() == every
    assert numbers(kind="BURN", slo=SLO) == [burn().number]
    assert numbers(kind="CLOSE") == []
    assert "Nothing matches" in text_of(page(client, kind="CLOSE"))
    assert numbers(sort="worst")[0] == burn().number
    monkeypatch.setattr("console.pages.budgets.PAGE_SIZE_COUNT", 4)
    first = page(client)
    assert numbers(page="2") == every[4:8]
    assert "Next page" in text_of(first)
    assert "page=2#ledger" in first.content.decode()


def test_an_entry_leads_to_the_minutes_providers_and_runs_that_caused_it(signed_in: Any) -> None:
    provider = provider_row("mail")
    at = lived_hour(provider="mail")
    entry = burn()
    raw = signed_in(Role.DRI).get(reverse("admin:budget_entry", args=[entry.number])).content.decode()
    assert f"{at:%Y-%m-%d %H:%M}: 5 bad" in raw
    assert f"{reverse('admin:ingestion_event_changelist')}?before=" in raw
    assert reverse("admin:ingestion_provider_change", args=[provider.pk]) in raw
    assert "5 buffer_unavailable" in raw
    assert reverse("admin:evidence_auditentry_change", args=[entry.audit_number]) in raw
    without = signed_in(Role.LEADERSHIP).get(reverse("admin:budget_entry", args=[entry.number])).content.decode()
    assert "?before=" not in without, "Leadership may not read events"
    assert f"{at:%Y-%m-%d %H:%M}: 5 bad" in without


def test_a_missing_entry_and_a_missing_correction_are_not_found(signed_in: Any) -> None:
    client = signed_in(Role.DRI)
    assert client.get(reverse("admin:budget_entry", args=[4711])).status_code == 404
    assert client.get(reverse("admin:budget_correction", args=[4711])).status_code == 404


def test_the_file_holds_every_entry_of_the_filter_and_the_filter_itself(signed_in: Any) -> None:
    at = lived_hour()
    annotate(
        SLO, window_from=at, window_to=at + MINUTE, reason="=HYPERLINK(1)", actor=Actor.process("t"), now=at + 2 * HOUR
    )
    answer = signed_in(Role.AUDITOR).get(reverse("admin:budget_ledger"), {"slo": SLO})
    assert answer["Content-Disposition"] == f'attachment; filename="ledger-{SLO}-rolling.csv"'
    lines = b"".join(answer.streaming_content).decode().splitlines()
    assert lines[0].startswith(f'"# ledger of error budgets: objective {SLO}, kind all, window rolling, newest first')
    rows = list(csv.DictReader(io.StringIO("\n".join(lines[1:]))))
    found = BudgetEntry.objects.filter(slo=SLO).order_by("-number")
    assert [row["number"] for row in rows] == [str(each.number) for each in found]
    assert rows[0]["reason"] == "'=HYPERLINK(1)", "no formula for a spreadsheet"
    (burned,) = [row for row in rows if row["kind"] == "BURN"]
    assert (burned["valid"], burned["bad"], burned["raw_bad"]) == ("10", "5", "5")


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(
    ("name", "permission"),
    [("budget_annotate", Permission.BUDGET_ANNOTATE), ("budget_propose", Permission.BUDGET_PROPOSE)],
)
def test_who_may_write_into_the_ledger_and_a_refusal_is_on_record(
    signed_in: Any, role: Role, name: str, permission: Permission
) -> None:
    at = lived_hour()
    client, may = signed_in(role), permission in PERMISSIONS_BY_ROLE[role]
    before = BudgetEntry.objects.count() + CorrectionProposal.objects.count()
    assert client.get(reverse(f"admin:{name}")).status_code == (200 if may else 403)
    assert client.post(reverse(f"admin:{name}"), correction(at)).status_code == (302 if may else 403)
    assert BudgetEntry.objects.count() + CorrectionProposal.objects.count() == before + may
    refused = AuditEntry.objects.filter(act="permission.refused", actor=role.name.lower())
    assert refused.count() == (0 if may else 2)


def test_buttons_that_one_may_not_press_say_who_may(signed_in: Any) -> None:
    lived_hour()
    told = text_of(page(signed_in(Role.LEADERSHIP)))
    assert (
        "Proposing a correction takes the permission evidence.propose_correction: DRI and Platform Ops have it" in told
    )
    assert reverse("admin:budget_propose") not in page(signed_in(Role.AUDITOR)).content.decode()


def test_an_incident_is_in_the_ledger_with_its_share_and_on_record(signed_in: Any) -> None:
    at = lived_hour()
    form = {**correction(at), "reason": "Redis was full"}
    answer = signed_in(Role.PLATFORM_OPS).post(reverse("admin:budget_annotate"), form, follow=True)
    entry = BudgetEntry.objects.get(kind="INCIDENT")
    assert (entry.actor, entry.reason, entry.bad) == ("platform_ops", "Redis was full", 0)
    assert answer.redirect_chain == [(reverse("admin:budget_entry", args=[entry.number]), 302)]
    assert "5 bad of 10, 50000.000 % of the budget: write a postmortem" in text_of(answer)
    audited = AuditEntry.objects.get(number=entry.audit_number)
    assert (audited.act, audited.actor, audited.reason) == ("budget.entered", "platform_ops", "Redis was full")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"account": "run:r20270310"}, "the account of a gate run is never corrected"),
        ({"valid_delta": "0", "bad_delta": "0"}, "nothing would be counted otherwise"),
        ({"bad_delta": "-500"}, "nothing of it may come below zero"),
        ({"reason": "because"}, "say why in 10 characters"),
        ({"window_to": "2999-01-01T00:00"}, "to have ended"),
        ({"category": "luck"}, "Select a valid choice"),
        ({"valid_delta": "many"}, "Enter a whole number"),
        ({"window_from": "yesterday"}, "Enter a valid date/time"),
        ({"slo": "speed"}, "Select a valid choice"),
        ({"reason": ""}, "This field is required"),
    ],
)
def test_a_proposal_that_is_refused_says_why_and_keeps_what_was_written(
    signed_in: Any, changes: dict[str, str], told: str
) -> None:
    form = correction(lived_hour(), **changes)
    answer = signed_in(Role.DRI).post(reverse("admin:budget_propose"), form)
    assert answer.status_code == 200
    assert told in text_of(answer)
    assert f'value="{form["bad_delta"]}"' in answer.content.decode()
    assert not CorrectionProposal.objects.exists()


def test_a_correction_takes_a_second_person_their_permission_and_their_password(signed_in: Any) -> None:
    asked = proposed(lived_hour())
    entry = AuditEntry.objects.get(number=asked.audit_number)
    assert (entry.act, entry.actor) == ("budget.correction_proposed", "ann")
    for role in (Role.DRI, Role.PLATFORM_OPS, Role.AUDITOR):
        client = signed_in(role)
        assert "Deciding a correction takes the permission" in text_of(
            client.get(reverse("admin:budget_correction", args=[asked.pk]))
        )
        form = {"act": "approve", "reason": "let me", "password": "x"}
        assert client.post(reverse("admin:budget_correction", args=[asked.pk]), form).status_code == 403
    subject = f"budget correction {asked.pk}"
    assert AuditEntry.objects.filter(act="permission.refused", subject=subject).count() == 3
    known_person("bob", Role.LEADERSHIP)
    bob = signed_in_as("bob")
    assert "password is wrong" in decide(bob, asked.pk, password="a guess")
    assert AuditEntry.objects.filter(act="decision.refused", actor="bob", subject=subject).exists()
    assert "say why" in decide(bob, asked.pk, reason="  ")
    assert "knows approve and reject" in decide(bob, asked.pk, act="ignore")
    asked.refresh_from_db()
    assert asked.decided_at is None
    assert "Ledger entry" in decide(bob, asked.pk)
    entry_made = BudgetEntry.objects.get(kind="CORRECTION")
    assert (entry_made.actor, entry_made.approver) == ("ann", "bob")
    assert "approved by bob already" in decide(bob, asked.pk, act="reject")


def test_nobody_decides_what_they_proposed_whatever_they_may() -> None:
    at = lived_hour()
    asked = proposed(at)
    both = known_person("both", Role.DRI, Role.LEADERSHIP)
    client = signed_in_as("both")
    client.post(reverse("admin:budget_propose"), correction(at))
    own = CorrectionProposal.objects.latest("pk")
    assert own.proposed_by == both.username
    told = text_of(client.get(reverse("admin:budget_correction", args=[own.pk])))
    assert "You proposed it: another person has to decide it" in told
    assert "another person has to decide it" in decide(client, own.pk)
    assert not BudgetEntry.objects.filter(kind="CORRECTION").exists()
    assert "is rejected" in decide(client, asked.pk, act="reject", reason="that was real traffic")
    rejected = AuditEntry.objects.get(act="budget.correction_rejected")
    assert (rejected.actor, rejected.reason) == ("both", "that was real traffic")


def test_the_page_of_a_correction_shows_the_month_before_and_after(signed_in: Any) -> None:
    asked = proposed(lived_hour())
    answer = signed_in(Role.LEADERSHIP).get(reverse("admin:budget_correction", args=[asked.pk]))
    rows = {words: (valid, bad) for words, valid, bad, _, _ in answer.context["rows"]}
    assert rows == {"As measured": ("10", "5"), "As it counts now": ("10", "5"), "With this correction": ("9", "4")}
    assert "Corrections that wait for a second person" in text_of(page(signed_in(Role.AUDITOR)))


def test_nothing_is_written_without_the_forms_token(person: Any) -> None:
    from django.test import Client

    at = lived_hour()
    client = Client(enforce_csrf_checks=True)
    client.force_login(person(Role.DRI), backend="django.contrib.auth.backends.ModelBackend")
    for name in ("budget_annotate", "budget_propose"):
        assert client.post(reverse(f"admin:{name}"), correction(at)).status_code == 403
    assert not CorrectionProposal.objects.exists()
    assert not BudgetEntry.objects.filter(kind="INCIDENT").exists()


def test_no_text_of_a_person_or_sender_becomes_markup(signed_in: Any) -> None:
    at = lived_hour(provider=HOSTILE)
    asked = proposed(at, reason=HOSTILE)
    client = signed_in(Role.PLATFORM_OPS)
    client.post(reverse("admin:budget_annotate"), {**correction(at), "reason": HOSTILE})
    for answer in (
        page(client),
        page(client, slo=HOSTILE),
        client.get(reverse("admin:budget_entry", args=[burn().number])),
        client.get(reverse("admin:budget_correction", args=[asked.pk])),
        client.get(reverse("admin:budget_entry", args=[BudgetEntry.objects.latest("number").number])),
        client.get(reverse("admin:budget_annotate"), {"slo": HOSTILE, "window_from": HOSTILE}),
    ):
        assert "<script>alert(1)" not in answer.content.decode()


def test_the_page_asks_the_database_as_often_for_many_entries_as_for_few(signed_in: Any) -> None:
    at = lived_hour()
    client = signed_in(Role.DRI)
    page(client)
    counts = []
    for more in (0, 40):
        for n in range(more):
            annotate(
                SLO,
                window_from=at,
                window_to=at + timedelta(minutes=1 + n),
                reason="again",
                actor=Actor.process("t"),
                now=at + 2 * HOUR,
            )
        SHOWN.forget()  # else the banner's query falls into the count or not, as the clock has it
        with CaptureQueriesContext(connection) as queries:
            assert page(client).context["page"].paginator.count >= more
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert counts[1] <= 30


def test_the_rolling_window_of_the_page_is_the_one_that_is_judged(signed_in: Any) -> None:
    at = lived_hour()
    asked = proposed(at)
    known_person("bob", Role.LEADERSHIP)
    decide(signed_in_as("bob"), asked.pk)
    from evidence.budget.selectors import budget_standing

    (shown,) = page(signed_in(Role.DRI), slo=SLO).context["budgets"]
    standing = budget_standing(SLO)
    assert (shown.spending.counts.valid, shown.spending.counts.bad) == (standing.valid, standing.bad)
    assert shown.spending.raw.bad == standing.raw.bad
    assert shown.spending.remaining_pct == standing.remaining_pct
    assert account_of(at) == asked.account
