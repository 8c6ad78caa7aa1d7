"""An artifact reaches the central endpoint whole, whatever breaks on the way, or ends with a reason."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from evidence import publishing, sends
from evidence.audit import Act, Actor, ActorKind
from evidence.models import Artifact, AuditEntry, Bundle, Publication
from evidence.modes import Mode
from evidence.publishing import claims, publisher
from evidence.publishing.asking import EndpointNotSet
from evidence.publishing.exchange import Limits
from evidence.publishing.publisher import publish_all, publish_next
from evidence.publishing.sending import Endpoint
from tests.evidence.artifacts import stored_artifact
from tests.evidence.endpoint_kit import FakeEndpoint, Fault, fake_endpoint, problem

pytestmark = pytest.mark.django_db

DRI = Actor(ActorKind.PERSON, "dri")
TOKEN = "acst_7_0123456789abcdef0123456789"
PIECE = 100_000
CONTENT = random.Random(5).randbytes(350_000)
SMALL = b"%PDF-1.7 a small one"
ENDPOINT_AT = Endpoint.at
ELSEWHERE = "https://evidence.example.com/evidence"


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEndpoint]:
    with fake_endpoint() as endpoint:
        configure(monkeypatch, endpoint.url)
        yield endpoint


def configure(monkeypatch: pytest.MonkeyPatch, url: str, *, piece_bytes: int = PIECE, **limits: float) -> None:
    """As if the process had started with this endpoint; pieces and waits are small."""
    known = dataclasses.replace(settings.AUTOCOM, evidence_endpoint=url, evidence_endpoint_token=TOKEN)
    monkeypatch.setattr(settings, "AUTOCOM", known)
    waits = Limits(**{"connect_seconds": 2, "silence_seconds": 3, "answer_seconds": 5, **limits})

    def small(url: str, *, token: str) -> Endpoint:
        return dataclasses.replace(ENDPOINT_AT(url, token=token), limits=waits, piece_bytes=piece_bytes)

    monkeypatch.setattr(Endpoint, "at", small)


def asked(content: bytes) -> Publication:
    return publishing.ask(stored_artifact(content), actor=DRI)


def due_now(row: Publication) -> None:
    Publication.objects.filter(pk=row.pk).update(next_attempt_at=timezone.now())


def attempted(row: Publication) -> Publication:
    """After one more attempt."""
    due_now(row)
    assert publish_next()
    row.refresh_from_db()
    return row


def acts(row: Publication) -> list[str]:
    subject = f"artifact {row.artifact_id}"
    return list(AuditEntry.objects.filter(subject=subject).order_by("number").values_list("act", flat=True))


# ---- it arrives


def test_a_small_artifact_goes_whole_with_its_digests_and_the_link_is_kept(endpoint: FakeEndpoint) -> None:
    row = attempted(asked(SMALL))
    assert (row.state, row.error, row.attempt_count) == (Publication.State.PUBLISHED, "", 1)
    assert row.link == f"http://127.0.0.1:{endpoint.port}/kept/{row.artifact_id}"
    assert row.published_at is not None
    assert endpoint.stored == {row.artifact_id: SMALL}
    assert [method for method, _, _ in endpoint.requests] == ["HEAD", "PUT", "HEAD"]
    assert {credential for *_, credential in endpoint.requests} == {f"Bearer {TOKEN}"}
    sent = endpoint.headers[1]
    assert sent["x-checksum-sha256"] == row.artifact_id
    assert sent["repr-digest"].startswith("sha-256=:")
    assert sent["content-length"] == str(len(SMALL))
    assert sent["host"] == f"127.0.0.1:{endpoint.port}"
    assert acts(row) == ["publication.asked", "bundle.published"]
    entry = AuditEntry.objects.get(act=Act.BUNDLE_PUBLISHED)
    assert (entry.actor, entry.facts["verified"], entry.facts["link"]) == ("publisher", "digest", row.link)


def test_a_large_artifact_goes_in_pieces(endpoint: FakeEndpoint) -> None:
    row = attempted(asked(CONTENT))
    assert row.state == Publication.State.PUBLISHED
    assert endpoint.stored[row.artifact_id] == CONTENT
    assert endpoint.ranges() == [
        "bytes */350000",
        "bytes 0-99999/350000",
        "bytes 100000-199999/350000",
        "bytes 200000-299999/350000",
        "bytes 300000-349999/350000",
    ]


def test_after_a_reset_it_goes_on_behind_what_the_endpoint_has(endpoint: FakeEndpoint) -> None:
    endpoint.faults = [Fault(after_bytes=60_000)]
    row = attempted(asked(CONTENT))
    assert (row.state, row.attempt_count) == (Publication.State.WAITING, 1)
    assert row.error
    assert row.next_attempt_at is not None
    row = attempted(row)
    assert (row.state, row.attempt_count, row.error) == (Publication.State.PUBLISHED, 2, "")
    assert endpoint.stored[row.artifact_id] == CONTENT
    assert "bytes 60000-159999/350000" in endpoint.ranges()
    assert endpoint.received_bytes == len(CONTENT)  # not one byte twice


@pytest.mark.parametrize("behaviour", [{"takes_pieces": False}, {"takes_pieces": False, "answers_head": False}])
def test_a_store_that_knows_no_pieces_gets_the_whole_each_time(
    monkeypatch: pytest.MonkeyPatch, behaviour: dict[str, bool]
) -> None:
    with fake_endpoint(**behaviour) as endpoint:
        configure(monkeypatch, endpoint.url)
        endpoint.faults = [Fault(after_bytes=60_000)]
        row = attempted(attempted(asked(CONTENT)))
        assert row.state == Publication.State.PUBLISHED
        assert endpoint.stored[row.artifact_id] == CONTENT
        assert "" in endpoint.ranges()
        verified = "digest" if behaviour.get("answers_head", True) else "not_asked"
        assert AuditEntry.objects.get(act=Act.BUNDLE_PUBLISHED).facts["verified"] == verified


def test_a_store_that_took_the_question_for_an_empty_file_has_the_whole_in_the_end(
    monkeypatch: pytest.MonkeyPatch, endpoint: FakeEndpoint
) -> None:
    from tests.evidence import endpoint_kit

    def simple_put(handler: Any) -> None:
        handler.noted()
        endpoint.stored[handler.name] = handler.read(int(handler.headers["Content-Length"]))
        handler.answer(201)

    monkeypatch.setattr(endpoint_kit._Handler, "do_PUT", simple_put)
    row = attempted(asked(CONTENT))
    assert row.state == Publication.State.PUBLISHED
    assert endpoint.stored[row.artifact_id] == CONTENT
    assert row.link == f"{endpoint.url}/{row.artifact_id}"


def test_what_is_there_already_is_not_sent_again_unless_only_its_length_says_so(endpoint: FakeEndpoint) -> None:
    endpoint.stored[hashlib.sha256(SMALL).hexdigest()] = SMALL
    assert attempted(asked(SMALL)).state == Publication.State.PUBLISHED
    assert endpoint.ranges() == []
    endpoint.names_digests = False
    other = b"x" * len(SMALL)
    endpoint.stored[hashlib.sha256(other).hexdigest()] = SMALL  # as long, and something else
    row = attempted(asked(other))
    assert row.state == Publication.State.PUBLISHED
    assert endpoint.stored[row.artifact_id] == other
    assert AuditEntry.objects.filter(act=Act.BUNDLE_PUBLISHED).order_by("-number")[0].facts["verified"] == "length"


def test_a_bundles_sums_are_registered_beside_its_archive(endpoint: FakeEndpoint) -> None:
    artifact = stored_artifact(SMALL)
    Bundle.objects.create(
        artifact=artifact, run_id="run-1", gate="A", gate_version=2, verdict="PASS", sums_sha256="ab" * 32,
        made_at=timezone.now(), actor="dri",
    )  # fmt: skip
    row = attempted(publishing.ask(artifact, actor=DRI))
    assert row.state == Publication.State.PUBLISHED
    assert row.link.endswith(artifact.sha256)
    (name,) = set(endpoint.stored) - {artifact.sha256}
    assert hashlib.sha256(endpoint.stored[name]).hexdigest() == name
    told = json.loads(endpoint.stored[name])
    assert told["sums_sha256"] == "ab" * 32
    assert told["archive"] == {"sha256": artifact.sha256, "size_bytes": len(SMALL)}
    assert told["verdict"] == "PASS"


# ---- it does not


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 507])
def test_a_busy_endpoint_is_tried_again(endpoint: FakeEndpoint, status: int) -> None:
    endpoint.faults = [problem(status, "come back later")]
    row = attempted(asked(SMALL))
    assert (row.state, row.error) == (Publication.State.WAITING, f"it answers {status}: come back later")
    assert attempted(row).state == Publication.State.PUBLISHED


def test_a_retry_after_is_waited_for_and_the_rest_is_spread(
    endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.5)
    endpoint.faults = [Fault(status=503, headers={"Retry-After": "120"}), Fault(status=503), Fault(status=503)]
    row, rests = asked(SMALL), []
    for _ in range(3):
        before = timezone.now()
        rests.append(int((attempted(row).next_attempt_at - before).total_seconds()))  # type: ignore[operator]
    assert rests == [122, 5, 10]  # whole seconds: of 120 and half of 5 s, then half of 10 and of 20 s


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422])
def test_what_the_endpoint_will_never_take_fails_at_once_with_its_reason(endpoint: FakeEndpoint, status: int) -> None:
    endpoint.faults = [problem(status, "the token has no scope\x1b[31m evidence:write")]
    row = attempted(asked(SMALL))
    assert row.state == Publication.State.FAILED
    assert row.error == f"it answers {status}: the token has no scope[31m evidence:write"
    assert row.next_attempt_at is None
    assert not publish_next()
    assert acts(row) == ["publication.asked", "publication.failed"]


@pytest.mark.parametrize("content", [SMALL, CONTENT], ids=["whole", "in pieces"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_nobody_else_sees_the_token(
    endpoint: FakeEndpoint, status: int, content: bytes
) -> None:
    with fake_endpoint() as other:
        endpoint.faults = [Fault(status=status, headers={"Location": f"{other.url}/x"})]
        row = attempted(asked(content))
        assert row.state == Publication.State.FAILED
        assert f"redirects ({status}) to 127.0.0.1:{other.port}" in row.error
        assert other.requests == []


def test_an_endpoint_that_keeps_other_bytes_is_found_out(endpoint: FakeEndpoint) -> None:
    endpoint.faults = [Fault(status=201, keeps=b"something else")]
    row = attempted(asked(SMALL))
    assert (row.state, "it holds other bytes" in row.error) == (Publication.State.FAILED, True)


def test_an_endpoint_that_keeps_nothing_is_tried_again(endpoint: FakeEndpoint) -> None:
    endpoint.faults = [Fault(status=201)]
    row = attempted(asked(SMALL))
    assert (row.state, row.error) == (Publication.State.WAITING, "it says that it stored the artifact, and has it not")


def test_an_endpoint_that_claims_another_digest_is_refused(endpoint: FakeEndpoint) -> None:
    endpoint.faults = [Fault(status=201, headers={"X-Checksum-Sha256": "ab" * 32}, keeps=SMALL)]
    row = attempted(asked(SMALL))
    assert row.state == Publication.State.FAILED
    assert "says that it stored other bytes" in row.error


def test_an_answer_in_json_names_the_link(endpoint: FakeEndpoint) -> None:
    body = json.dumps({"url": "https://console.example.com/e/1"}).encode()
    endpoint.faults = [Fault(status=201, headers={"Content-Type": "application/json"}, body=body, keeps=SMALL)]
    assert attempted(asked(SMALL)).link == "https://console.example.com/e/1"


@pytest.mark.parametrize("link", ["javascript:alert(1)", "data:text/html,x", "https://x/" + "y" * 3_000])
def test_a_link_that_could_do_harm_is_not_kept(endpoint: FakeEndpoint, link: str) -> None:
    endpoint.faults = [Fault(status=201, headers={"Location": link}, keeps=SMALL)]
    row = attempted(asked(SMALL))
    assert row.link == f"{endpoint.url}/{row.artifact_id}"


@pytest.mark.parametrize("given", ["bytes=0-350000", "bytes=5-9", "all of it"])
def test_a_range_that_cannot_be_is_refused(endpoint: FakeEndpoint, given: str) -> None:
    endpoint.faults = [Fault(status=308, headers={"Range": given})]
    assert attempted(asked(CONTENT)).state == Publication.State.FAILED


def test_an_endpoint_that_takes_nothing_of_a_piece_does_not_keep_us_forever(endpoint: FakeEndpoint) -> None:
    endpoint.faults = [Fault(status=308) for _ in range(5)]
    row = attempted(asked(CONTENT))
    assert (row.state, "takes no more" in row.error) == (Publication.State.WAITING, True)
    assert len(endpoint.faults) == 4


def test_an_answer_that_drips_ends(endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, endpoint.url, answer_seconds=1)
    endpoint.faults = [Fault(drips=True)]
    before = timezone.now()
    row = attempted(asked(SMALL))
    assert row.state == Publication.State.WAITING
    assert timezone.now() - before < timedelta(seconds=5)


def test_nobody_at_the_endpoint_is_no_reason_to_give_up(
    endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(monkeypatch, "http://127.0.0.1:1/evidence")
    row = attempted(asked(SMALL))
    assert (row.state, row.error) == (Publication.State.WAITING, "127.0.0.1: Connection refused")


def test_an_artifact_that_lost_bytes_in_the_store_fails(endpoint: FakeEndpoint) -> None:
    artifact = stored_artifact(SMALL)
    Artifact.objects.filter(pk=artifact.pk).update(size_bytes=len(SMALL) + 5)
    artifact.refresh_from_db()
    row = attempted(publishing.ask(artifact, actor=DRI))
    assert (row.state, "has less of" in row.error) == (Publication.State.FAILED, True)


# ---- who may, and who is at work


def test_in_observer_mode_nothing_is_asked_of_another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, ELSEWHERE)
    row = asked(SMALL)
    assert (row.state, row.next_attempt_at) == (Publication.State.REFUSED, None)
    assert "the mode is OBSERVER" in row.error
    assert not publish_next()
    assert AuditEntry.objects.filter(act=Act.EXTERNAL_SEND_REFUSED, actor="dri").count() == 1
    monkeypatch.setattr(sends, "current_mode", lambda: Mode.PRODUCTION)
    again = publishing.ask(row.artifact, actor=DRI)
    assert (again.pk, again.state, again.error) == (row.pk, Publication.State.WAITING, "")


def test_a_mode_that_changes_while_it_waits_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, ELSEWHERE)
    monkeypatch.setattr(sends, "current_mode", lambda: Mode.LIMITED)
    row = asked(SMALL)
    assert row.state == Publication.State.WAITING
    monkeypatch.setattr(sends, "current_mode", lambda: Mode.OBSERVER)
    assert attempted(row).state == Publication.State.REFUSED
    assert AuditEntry.objects.filter(act=Act.EXTERNAL_SEND_REFUSED, actor="publisher").count() == 1


def test_without_an_endpoint_nothing_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, "")
    with pytest.raises(EndpointNotSet, match="EVIDENCE_ENDPOINT is not set"):
        asked(SMALL)
    assert not Publication.objects.exists()


def test_the_token_of_one_endpoint_does_not_go_to_another(
    endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = asked(SMALL)
    with fake_endpoint() as other:
        configure(monkeypatch, other.url)
        row = attempted(row)
        assert (row.state, "another address by now" in row.error) == (Publication.State.FAILED, True)
        assert (endpoint.requests, other.requests) == ([], [])


def test_asked_twice_is_one_publication_and_a_failed_one_can_be_asked_again(endpoint: FakeEndpoint) -> None:
    endpoint.faults = [Fault(status=403)]
    row = asked(SMALL)
    assert asked(SMALL).pk == row.pk
    assert acts(row) == ["publication.asked"]
    assert attempted(row).state == Publication.State.FAILED
    again = asked(SMALL)
    assert (again.pk, again.state, again.error) == (row.pk, Publication.State.WAITING, "")
    assert attempted(row).state == Publication.State.PUBLISHED
    assert asked(SMALL).state == Publication.State.PUBLISHED
    assert acts(row) == ["publication.asked", "publication.failed", "publication.asked", "bundle.published"]


def test_what_is_in_hand_is_nobody_elses_until_its_time_is_up(endpoint: FakeEndpoint) -> None:
    row = asked(SMALL)
    first = claims.claim_next()
    assert first is not None
    assert claims.claim_next() is None
    due_now(row)  # its holder was killed, and its time ran out
    second = claims.claim_next()
    assert second is not None
    assert second.attempt == first.attempt + 1
    with pytest.raises(claims.ClaimLost):
        claims.hold(first)
    with pytest.raises(claims.ClaimLost):
        claims.failed(first, why="too late")
    row.refresh_from_db()
    assert row.state == Publication.State.WAITING
    assert acts(row) == ["publication.asked"]


def test_a_sender_whose_row_is_taken_stops_in_the_middle(
    endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "HOLD_EVERY_SECONDS", 0.0)
    row = asked(CONTENT)
    real = claims.hold
    calls = []

    def taken_at_third(claim: claims.Claim) -> None:
        calls.append(claim)
        if len(calls) == 3:
            Publication.objects.filter(pk=row.pk).update(attempt_count=claim.attempt + 1)
        real(claim)

    monkeypatch.setattr(publisher, "hold", taken_at_third)
    assert publish_next()
    row.refresh_from_db()
    assert row.state == Publication.State.WAITING
    assert endpoint.stored == {}
    assert len(calls) == 3


def test_all_that_is_due_is_sent_and_no_line_of_the_log_has_the_token(
    endpoint: FakeEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.faults = [Fault(status=403), Fault(status=503)]
    rows = [asked(content) for content in (b"one", b"two", b"three")]
    assert publish_all() == 3
    states = [Publication.objects.get(pk=row.pk).state for row in rows]
    assert states == [Publication.State.FAILED, Publication.State.WAITING, Publication.State.PUBLISHED]
    assert TOKEN not in "".join(str(record.__dict__) for record in caplog.records)
