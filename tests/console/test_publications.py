"""Publications in the console and at the command line: who may ask, what is shown, what is sent."""

from __future__ import annotations

import dataclasses
import html
import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse

from console.access import Permission
from console.publications import publication_panel
from console.roles import PERMISSIONS_BY_ROLE, Role
from evidence.models import AuditEntry, Publication
from tests.console.rows import ago, publication_row
from tests.evidence.artifacts import stored_artifact
from tests.evidence.endpoint_kit import FakeEndpoint, Fault, fake_endpoint

pytestmark = pytest.mark.django_db

LIST = "/admin/evidence/publication/"
ASK = "/admin/evidence/publication/ask/"
ELSEWHERE = "https://evidence.example.com/evidence"


def use(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(settings, "AUTOCOM", dataclasses.replace(settings.AUTOCOM, evidence_endpoint=url))


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEndpoint]:
    with fake_endpoint() as endpoint:
        use(monkeypatch, endpoint.url)
        yield endpoint


def text_of(answer: Any) -> str:
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def page_of(client: Any, row: Publication) -> str:
    return text_of(client.get(reverse("admin:evidence_publication_change", args=[row.pk])))


@pytest.mark.parametrize("role", list(Role))
def test_only_who_may_publish_can_ask_and_a_refusal_is_recorded(
    signed_in: Any, endpoint: FakeEndpoint, role: Role
) -> None:
    artifact = stored_artifact(b"a report")
    answer = signed_in(role).post(ASK, {"sha256": artifact.sha256})
    if Permission.EVIDENCE_PUBLISH in PERMISSIONS_BY_ROLE[role]:
        row = Publication.objects.get()
        assert (answer.status_code, answer["Location"]) == (302, f"{LIST}{row.pk}/change/")
        assert (row.state, row.asked_by) == (Publication.State.WAITING, role.name.lower())
        expected = ("publication.asked", f"artifact {artifact.sha256}")
    else:
        assert answer.status_code == 403
        assert not Publication.objects.exists()
        expected = ("permission.refused", f"publish artifact {artifact.sha256}")
    last = AuditEntry.objects.order_by("number").last()
    assert last is not None
    assert (last.act, last.subject, last.actor) == (*expected, role.name.lower())


def test_asking_takes_a_post_a_token_and_a_known_artifact(signed_in: Any, endpoint: FakeEndpoint) -> None:
    from django.test import Client

    client = signed_in(Role.DRI)
    artifact = stored_artifact(b"a report")
    assert client.get(ASK, {"sha256": artifact.sha256}).status_code == 405
    assert client.post(ASK, {"sha256": "ab" * 32}).status_code == 404
    assert client.post(ASK).status_code == 404
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    assert strict.post(ASK, {"sha256": artifact.sha256}).status_code == 403
    assert not Publication.objects.exists()


def test_what_the_mode_refuses_is_shown_as_such_with_a_button_to_ask_again(
    signed_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, ELSEWHERE)
    client = signed_in(Role.DRI)
    client.post(ASK, {"sha256": stored_artifact(b"a report").sha256})
    row = Publication.objects.get()
    text = page_of(client, row)
    assert row.state == Publication.State.REFUSED
    for told in (
        "Refused by the mode",
        "the mode is OBSERVER: nothing is sent to evidence.example.com",
        "Publish again",
    ):
        assert told in text


def test_without_an_endpoint_the_page_says_so_and_asking_changes_nothing(
    signed_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, "")
    artifact = stored_artifact(b"a report")
    text = text_of(signed_in(Role.DRI).post(ASK, {"sha256": artifact.sha256}, follow=True))
    assert "EVIDENCE_ENDPOINT is not set" in text
    assert not Publication.objects.exists()


@pytest.mark.parametrize(
    ("state", "fields", "told"),
    [
        ("published", {"link": "https://evidence.example.com/kept/1", "published_at": ago(minutes=1)}, "has it"),
        ("failed", {"error": "it answers 403", "attempt_count": 3}, "given up after 3 attempts: it answers 403"),
        (
            "waiting",
            {"error": "it answers 503", "next_attempt_at": ago(seconds=-9)},
            "one attempt, the last: it answers 503",
        ),
        ("waiting", {"attempt_count": 0}, "within seconds"),
    ],
)
def test_each_state_is_told(
    signed_in: Any, monkeypatch: pytest.MonkeyPatch, state: str, fields: dict[str, Any], told: str
) -> None:
    use(monkeypatch, ELSEWHERE)
    row = publication_row(state, **fields)
    text = page_of(signed_in(Role.DRI), row)
    assert told in text
    assert row.artifact_id in text
    assert ("Publish again" in text) == (state == "failed")


def test_who_may_not_publish_sees_what_is_missing_instead_of_a_button(
    signed_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, ELSEWHERE)
    text = page_of(signed_in(Role.AUDITOR), publication_row("failed", error="x"))
    assert "takes the permission evidence.publish_evidence: DRI and Platform Ops have it" in text
    assert "Publish again</button>" not in text


def test_what_the_endpoint_says_does_no_harm_on_the_page(signed_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, ELSEWHERE)
    hostile = '"><script>alert(1)</script>\u202e'
    row = publication_row("failed", error=hostile, link="https://x.example.com/" + hostile)
    raw = signed_in(Role.DRI).get(reverse("admin:evidence_publication_change", args=[row.pk])).content.decode()
    assert "<script>alert(1)" not in raw
    listed = signed_in(superuser=True).get(LIST).content.decode()
    assert "<script>alert(1)" not in listed


def test_the_list_shows_states_and_filters_them(signed_in: Any) -> None:
    failed, published = publication_row("failed", error="it answers 403"), publication_row()
    client = signed_in(Role.LEADERSHIP)
    answer = client.get(LIST, {"state": "failed"})
    assert [row.pk for row in answer.context["cl"].result_list] == [failed.pk]
    assert "it answers 403" in text_of(answer)
    assert [row.pk for row in client.get(LIST).context["cl"].result_list] == [published.pk, failed.pk]


def test_the_panel_of_an_artifact_never_asked_for_has_the_button(person: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, ELSEWHERE)
    request = HttpRequest()
    request.user = person(Role.PLATFORM_OPS)
    panel = publication_panel(stored_artifact(b"a report"), request)
    text = render_to_string("console/_publication.html", {"publication_panel": panel}, request=request)
    assert "Not published to evidence.example.com" in text
    assert ">Publish</button>" in text


# ---- the command


def run(*words: str) -> tuple[int, str, str]:
    out, err = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", out)
        with pytest.raises(SystemExit) as ended:
            call_command("evidence", *words, stderr=err)
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


def test_publish_asks_and_with_wait_sends(endpoint: FakeEndpoint) -> None:
    one, two = stored_artifact(b"one"), stored_artifact(b"two")
    status, out, _ = run("publish", one.sha256, "--actor", "ci")
    assert (status, "waiting" in out) == (0, True)
    assert endpoint.stored == {}
    status, out, _ = run("publish", one.sha256, two.sha256, "--wait", "--json")
    found = json.loads(out)["publications"]
    assert status == 0
    assert [each["state"] for each in found] == ["published", "published"]
    assert {each["link"] for each in found} == {f"http://127.0.0.1:{endpoint.port}/kept/{a.sha256}" for a in (one, two)}
    assert set(endpoint.stored) == {one.sha256, two.sha256}
    first = AuditEntry.objects.filter(act="publication.asked").order_by("number")[0]
    assert first.actor == "os:ci"


def test_publish_ends_with_1_where_one_failed_was_refused_or_is_late(
    endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = stored_artifact(b"one")
    endpoint.faults = [Fault(status=503, headers={"Retry-After": "60"})]
    status, out, _ = run("publish", artifact.sha256, "--wait", "--timeout", "1")
    assert (status, "it answers 503" in out) == (1, True)
    Publication.objects.update(next_attempt_at=ago(seconds=1))
    endpoint.faults = [Fault(status=403)]
    status, out, _ = run("publish", artifact.sha256, "--wait")
    assert (status, "it answers 403" in out) == (1, True)
    use(monkeypatch, ELSEWHERE)
    status, out, _ = run("publish", artifact.sha256, "--wait")
    assert (status, "the mode is OBSERVER" in out) == (1, True)


def test_publish_of_something_unknown_asks_for_nothing(endpoint: FakeEndpoint) -> None:
    artifact = stored_artifact(b"one")
    status, _, err = run("publish", artifact.sha256, "ab" * 32)
    assert (status, "ab" * 32 in err) == (1, True)
    assert not Publication.objects.exists()


def test_publications_lists_what_became_of_each() -> None:
    publication_row("failed", error="it answers 403\x1b[31m")
    published = publication_row(link="https://evidence.example.com/kept/1")
    status, out, _ = run("publications")
    assert (status, "\x1b" in out, out.count("\n")) == (0, False, 3)
    assert f"{published.artifact_id}  " in out
    assert "https://evidence.example.com/kept/1" in out
    _, out, _ = run("publications", "--state", "published", "--json")
    assert [each["sha256"] for each in json.loads(out)["publications"]] == [published.artifact_id]
