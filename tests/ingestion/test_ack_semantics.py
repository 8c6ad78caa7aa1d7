"""Which status each provider gets in each situation, and why: a wrong one loses events, or brings them back for days.

The statuses stand here as the providers' documentation has them, not as our adapters say.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from django.test import override_settings

from autocom.ingress import application
from autocom.ingress.application import IngressApplication, LargeBodies
from autocom.ingress.http import Refusal
from autocom.ingress.http import Request as IngressRequest
from ingestion import accept, receive
from ingestion.buffer.append import AppendLimits
from ingestion.buffer.memory import BufferMemory
from ingestion.buffer.store import LaneBuffer, redis_client
from ingestion.models import Provider
from ingestion.problems import Problem, Reply
from ingestion.provider_book import BOOK
from ingestion.providers.registry import ADAPTERS
from tests.support.ingress import Answer
from tests.support.schemes import FORM, SCHEMES, Request, Scheme, add_provider, load_book

pytestmark = [pytest.mark.urls("autocom.ingress_urls"), pytest.mark.django_db]

LATER = (429, 503)  # with Retry-After


@dataclass(frozen=True, slots=True, kw_only=True)
class Statuses:
    """Of one provider. `why` is what its documentation says of statuses."""

    why: str
    accepted: int = 202
    conflict: int = 409
    later: int = 503  # a full lane, Redis down, switched off
    fault: int = 500
    slow: int = 408
    unloaded: int = 429
    unreadable: int = 422


STATUSES = {
    "brevo": Statuses(
        why="every 5xx and every 4xx but 429 discards for good; a conflict is kept here, so it is a success",
        accepted=200,
        conflict=200,
        later=429,
        fault=429,
        slow=429,
    ),
    "generic": Statuses(why="our own rules: 2xx, 4xx never again, 503 later"),
    "github": Statuses(why="any 2xx; nothing is sent again by itself, whatever the status"),
    "mailgun": Statuses(
        why="exactly 200 is success, 406 means never again, all else is retried", accepted=200, conflict=406
    ),
    "mandrill": Statuses(why="200; whatever fails comes again until somebody gives up", accepted=200, conflict=200),
    "postmark": Statuses(why="200; 403 stops; events come again after 5xx, 408 and 429", accepted=200, conflict=200),
    "sendgrid": Statuses(why="any 2xx; all else is retried for 24 h, so a kept conflict is a success", conflict=202),
    "ses": Statuses(
        why="5xx or silence is retried, 200 to 4xx ends it: so never 429", slow=503, unloaded=503, unreadable=415
    ),
    "shopify": Statuses(why="any 2xx; a subscription that keeps failing is deleted", conflict=202),
    "slack": Statuses(why="2xx within 3 s, commands want 200", accepted=200),
    "standard": Statuses(why="2xx; 410 would disable the endpoint, 429 and 503 throttle"),
    "stripe": Statuses(why="any 2xx; anything else is retried for three days"),
    "svix": Statuses(why="any 2xx within 15 s; anything else is retried"),
    "twilio": Statuses(why="no status makes it send again, unless its URL asks for that: then 5xx"),
}


@pytest.fixture(params=sorted(STATUSES))
def scheme(request: pytest.FixtureRequest, buffer: LaneBuffer, monkeypatch: pytest.MonkeyPatch) -> Scheme:
    found = SCHEMES[request.param]
    add_provider(found)
    load_book(monkeypatch)
    return found


def told(answer: Answer) -> tuple[int, str]:
    assert ("retry-after" in answer.headers) == (answer.status in LATER)
    return answer.status, answer.code


def test_every_scheme_that_is_registered_has_its_row() -> None:
    assert STATUSES.keys() == ADAPTERS.keys() == SCHEMES.keys()


def test_an_event_and_its_repetition_are_a_success(scheme: Scheme) -> None:
    first, again = scheme.request(scheme.event).send(), scheme.request(scheme.event).send()
    accepted = STATUSES[scheme.name].accepted
    assert (first.status, first.json()["status"]) == (accepted, "accepted")
    assert (again.status, again.json()["status"]) == (accepted, "duplicate")
    assert again.json()["receipt"] == first.json()["receipt"]


def test_a_wrong_proof_is_a_401_and_neither_403_nor_406(scheme: Scheme, buffer: LaneBuffer) -> None:
    # SES: a certificate that was never imported may be Amazon's next one, so its message must come again
    expected = 503 if scheme.name == "ses" else 401
    assert told(scheme.forged().send()) == (expected, "unauthorized")
    assert buffer.client.keys("*") == []


def test_a_proved_body_that_nobody_can_read_is_refused_for_what_it_is(scheme: Scheme) -> None:
    status, code = told(scheme.not_understood().send())
    assert status == STATUSES[scheme.name].unreadable
    assert code == ("content_type_unsupported" if status == 415 else "body_invalid")


def test_the_same_identity_with_another_content_is_kept_and_does_not_come_again(scheme: Scheme) -> None:
    assert scheme.request(scheme.event).send().status == STATUSES[scheme.name].accepted
    assert told(scheme.request(scheme.changed).send()) == (STATUSES[scheme.name].conflict, "identity_conflict")


def a_full_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        accept,
        "append_limits",
        lambda: AppendLimits(lane_bound_count=0, lane_bound_bytes=1, seen_bound_count=1_000_000),
    )


def memory_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receive, "MEMORY", BufferMemory(used_bytes=95, limit_bytes=100))


def redis_down(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = LaneBuffer(client=redis_client("redis://127.0.0.1:1/0"))
    monkeypatch.setattr(receive, "lane_buffer", lambda: nobody)


@pytest.mark.parametrize(
    ("happens", "code"),
    [(a_full_lane, "lane_full"), (redis_down, "buffer_unavailable"), (memory_short, "buffer_full")],
    ids=["full", "down", "memory"],
)
def test_back_pressure_makes_this_provider_send_again(
    happens: Callable[[pytest.MonkeyPatch], None], code: str, scheme: Scheme, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as meanwhile:
        happens(meanwhile)
        assert told(scheme.request(scheme.event).send()) == (STATUSES[scheme.name].later, code)
    answer = scheme.request(scheme.event).send()
    assert (answer.status, answer.json()["status"]) == (STATUSES[scheme.name].accepted, "accepted")


def test_a_provider_that_is_switched_off_keeps_its_events_until_it_is_on(
    scheme: Scheme, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Provider.objects.get(name=scheme.name)
    row.enabled = False
    row.save()
    load_book(monkeypatch)
    answer = scheme.request(scheme.event).send()
    assert told(answer) == (STATUSES[scheme.name].later, "provider_disabled")
    assert int(answer.headers["retry-after"]) >= 60


def test_before_the_providers_are_read_no_provider_gives_up(scheme: Scheme, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BOOK, "_providers", {})
    monkeypatch.setattr(BOOK, "is_complete", False)
    assert told(scheme.request(scheme.event).send()) == (STATUSES[scheme.name].unloaded, "providers_not_loaded")


def broken(*_: object, **__: object) -> None:
    raise RuntimeError("the secret plans")


def test_a_fault_of_ours_after_verification_makes_this_provider_send_again(
    scheme: Scheme, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receive, "acceptance_of", broken)
    assert told(scheme.request(scheme.event).send()) == (STATUSES[scheme.name].fault, "internal_error")


class BrokenGroup:
    def enqueue(self, words: object, answered: object) -> None:
        raise RuntimeError("the secret plans")

    def is_behind(self) -> bool:
        return False


def ingress() -> IngressApplication:
    with override_settings(MIDDLEWARE=[]):
        return IngressApplication(group=BrokenGroup())  # type: ignore[arg-type]


def served(application: IngressApplication, request: IngressRequest) -> list[Reply]:
    replies: list[Reply] = []

    async def serve() -> None:
        application.serve(request, replies.append)

    asyncio.run(serve())
    return replies


def test_a_fault_of_the_ingress_makes_this_provider_send_again(scheme: Scheme) -> None:
    sent = scheme.request(scheme.event)
    headers = {name.lower(): value for name, value in sent.headers.items()} | {"content-length": str(len(sent.body))}
    request = IngressRequest(method="POST", path=sent.path.encode(), headers=headers, body=sent.body)
    (reply,) = served(ingress(), request)
    assert (reply.status, json.loads(reply.body)["code"]) == (STATUSES[scheme.name].fault, "internal_error")


def test_what_ends_before_the_view_makes_this_provider_send_again(scheme: Scheme) -> None:
    expected = STATUSES[scheme.name]
    found = {}
    for problem in (Problem.BODY_TIMEOUT, Problem.INGRESS_BUSY):
        request = IngressRequest(method="POST", path=f"/webhooks/{scheme.name}".encode())
        found[problem] = ingress().refuse(request, Refusal(problem)).status
    assert found == {Problem.BODY_TIMEOUT: expected.slow, Problem.INGRESS_BUSY: expected.later}


def test_what_is_shed_makes_this_provider_send_again(scheme: Scheme) -> None:
    request = IngressRequest(method="POST", path=f"/webhooks/{scheme.name}".encode())
    replies: list[Reply] = []
    ingress()._shed(request, replies.append)
    (reply,) = replies
    assert (reply.status, json.loads(reply.body)["code"]) == (STATUSES[scheme.name].later, "ingress_busy")
    assert int(dict(reply.headers)["Retry-After"]) >= 1


# --- set-up ---


def test_only_mandrill_is_set_up_by_an_unsigned_head_and_nothing_else_of_it_is_believed(
    scheme: Scheme, buffer: LaneBuffer
) -> None:
    sent = scheme.request(scheme.event)
    answer = type(sent)(headers={}, body=b"", path=sent.path).send("HEAD")
    assert (answer.status, answer.body) == ((200, b"") if scheme.name == "mandrill" else (405, b""))
    assert buffer.client.keys("*") == []


def test_the_ingress_answers_the_set_up_too(buffer: LaneBuffer, monkeypatch: pytest.MonkeyPatch) -> None:
    add_provider(SCHEMES["mandrill"])
    load_book(monkeypatch)
    request = IngressRequest(method="HEAD", path=b"/webhooks/mandrill")
    one = ingress()
    assert one.refusal(request) is None
    replies = served(one, request)
    assert [(reply.status, reply.body, reply.code) for reply in replies] == [(200, b"", "handshake")]


def test_a_provider_that_is_switched_off_is_not_set_up(buffer: LaneBuffer, monkeypatch: pytest.MonkeyPatch) -> None:
    add_provider(SCHEMES["mandrill"], enabled=False)
    load_book(monkeypatch)
    sent = SCHEMES["mandrill"].request(SCHEMES["mandrill"].event)
    assert type(sent)(headers={}, body=b"", path=sent.path).send("HEAD").status == 405


def set_up(key: bytes) -> Request:
    """The empty batch that Mandrill posts before the webhook exists, signed with this key."""
    path, body = "/webhooks/mandrill", b"mandrill_events=%5B%5D"
    digest = hmac.digest(key, f"{receive.base_url()}{path}mandrill_events[]".encode(), "sha1")
    headers = {"Content-Type": FORM, "X-Mandrill-Signature": base64.b64encode(digest).decode()}
    return Request(headers=headers, body=body, path=path)


def test_mandrill_s_set_up_by_post_is_answered_and_stores_nothing(
    buffer: LaneBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = add_provider(SCHEMES["mandrill"])
    row.secrets.all().delete()  # the webhook's key exists only after its set-up
    load_book(monkeypatch)
    assert set_up(b"test-webhook").send().status == 200
    assert told(set_up(b"another-key-of-some-length").send()) == (401, "unauthorized")
    assert buffer.client.keys("*") == []


# --- sizes ---


def refused(scheme: Scheme, length_bytes: int, *, by: IngressApplication | None = None) -> str:
    """What the ingress says to the headers alone; nothing where it would read the body."""
    request = IngressRequest(
        method="POST", path=f"/webhooks/{scheme.name}".encode(), headers={"content-length": str(length_bytes)}
    )
    refusal = (by or ingress()).refusal(request)
    return refusal.problem if refusal else ""


LIMITS = {"github": 26_214_400, "mandrill": 8_388_608}


def test_a_provider_may_send_as_much_as_it_does_and_not_a_byte_more(scheme: Scheme) -> None:
    limit = LIMITS.get(scheme.name, 1_048_576)
    assert refused(scheme, limit) == ""
    assert refused(scheme, limit + 1) == "body_too_large"
    assert receive.body_limit_bytes(scheme.name) == limit


def test_large_bodies_at_once_are_bounded_and_the_next_is_asked_for_again(
    buffer: LaneBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_provider(SCHEMES["github"])
    load_book(monkeypatch)
    one = ingress()
    found = [refused(SCHEMES["github"], 26_214_400, by=one) for _ in range(5)]
    assert found == [*[""] * 4, "ingress_busy"]
    assert refused(SCHEMES["github"], 1_048_576, by=one) == ""  # the usual ones are not held up


def test_what_large_bodies_held_is_free_again_after_the_time_they_may_take() -> None:
    bodies = LargeBodies()
    assert bodies.takes(application.LARGE_BODIES_LIMIT_BYTES, now=0.0)
    assert not bodies.takes(1, now=application.LARGE_BODY_SECONDS)
    assert bodies.takes(1, now=application.LARGE_BODY_SECONDS + 0.1)
