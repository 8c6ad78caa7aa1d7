"""GitHub against its own npm library."""

from __future__ import annotations

import json
import re
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocom.kernel.errors import ConfigurationError
from ingestion.providers import github
from ingestion.providers.adapter import BodyInvalid, ContentTypeUnsupported, IdentifiedEvent, Reason
from tests.providers.oracles.node import node_accepts, node_signs
from tests.providers.requests import (
    NOW_SECONDS,
    Sent,
    Spoiling,
    accepts,
    bounded,
    event_of,
    fixtures,
    identities,
    malformed,
    never_raises_anything_else,
    refusal,
    signed,
    spoilings,
    texts,
    verified_by,
)

KEY = "It's a Secret to Everybody"
OLD_KEY = "It was a Secret to Everybody"
NAME = "x-hub-signature-256"
BODY = b'{"action":"opened","issue":{"number":7,"updated_at":"2025-12-31T23:59:00Z"},"repository":{"id":42}}'
HEADERS = {
    "content-type": "application/json",
    "x-github-event": "issues",
    "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
    "x-github-hook-id": "292430182",
}


def library_signs(body: bytes, *, key: str = KEY, **headers: str) -> Sent:
    unsigned = Sent(headers={**HEADERS, **headers}, body=body)
    return node_signs("octokit", unsigned, secret=key, now_seconds=NOW_SECONDS)


def library_accepts(sent: Sent, *, keys: tuple[str, ...] = (KEY,)) -> bool:
    return node_accepts("octokit", sent, secrets=keys, now_seconds=NOW_SECONDS)


def test_the_published_vector_verifies() -> None:
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    sent = Sent(headers={NAME: signature}, body=b"Hello, World!")
    assert accepts(github, sent, keys=[KEY])
    assert library_accepts(sent)


@bounded
@given(body=texts.filter(bool), key=st.text(st.characters(exclude_categories=["Cs"]), min_size=16, max_size=40))
def test_what_the_library_signs_is_accepted(body: str, key: str) -> None:
    assert accepts(github, library_signs(body.encode(), key=key), keys=[key])


@bounded
@given(body=texts.filter(bool))
def test_what_we_sign_the_library_accepts(body: str) -> None:
    assert library_accepts(signed(github, body.encode(), key=KEY))


@bounded
@given(spoil=spoilings([NAME]), again=spoilings([NAME]))
def test_our_verdict_on_a_spoilt_request_is_that_of_the_library(spoil: Spoiling, again: Spoiling) -> None:
    sent = again(spoil(signed(github, BODY, key=KEY)))
    assert accepts(github, sent, keys=[KEY]) == library_accepts(sent)


@bounded
@given(form=st.dictionaries(texts, texts, max_size=3), spoil=spoilings([NAME]))
def test_a_form_is_verified_as_it_is_on_the_wire_by_both(form: dict[str, str], spoil: Spoiling) -> None:
    body = urlencode({"payload": BODY.decode(), **form}).encode()
    sent = spoil(signed(github, body, key=KEY).with_header("content-type", "application/x-www-form-urlencoded"))
    assert accepts(github, sent, keys=[KEY]) == library_accepts(sent)


@pytest.mark.parametrize("signing", [KEY, OLD_KEY, "nobody's secret at all"])
def test_rotation_agrees_with_the_library_s(signing: str) -> None:
    sent = library_signs(BODY, key=signing)
    keys = (KEY, OLD_KEY)
    assert accepts(github, sent, keys=keys) == library_accepts(sent, keys=keys) == (signing in keys)
    if signing in keys:
        matched = verified_by(github, sent, keys=keys)
        assert matched is not None
        assert matched.value == signing


def test_a_signed_empty_body_crashes_the_library_and_is_only_an_invalid_body_here() -> None:
    sent = signed(github, b"", key=KEY)
    assert not library_accepts(sent)
    assert accepts(github, sent, keys=[KEY])
    with pytest.raises(BodyInvalid):
        event_of(github, sent)


def test_a_signed_body_that_is_not_utf8_fails_in_the_library_and_is_only_an_invalid_body_here() -> None:
    sent = signed(github, b'{"a":"\xff"}', key=KEY)
    assert not library_accepts(sent)
    assert accepts(github, sent, keys=[KEY])
    with pytest.raises(BodyInvalid):
        event_of(github, sent)


@pytest.mark.parametrize(
    "change", [str.upper, lambda text: text[:-1], lambda text: text + "0", lambda _: "", lambda _: "é"]
)
def test_a_signature_in_another_spelling_is_malformed(change: object) -> None:
    assert callable(change)
    sent = library_signs(BODY)
    spoilt = sent.with_header(NAME, "sha256=" + change(sent.headers[NAME].removeprefix("sha256=")))
    assert refusal(github, spoilt, keys=[KEY]) is Reason.MALFORMED


def test_the_old_sha1_signature_alone_is_no_signature() -> None:
    sent = library_signs(BODY).without_header(NAME).with_header("x-hub-signature", "sha1=" + "0" * 40)
    assert refusal(github, sent, keys=[KEY]) is Reason.MISSING_HEADER


def test_a_short_secret_and_any_option_are_refused() -> None:
    github.check_secret(KEY)
    with pytest.raises(ConfigurationError, match="at least 16"):
        github.check_secret("short")
    with pytest.raises(ConfigurationError, match="the scheme github has none"):
        github.read_options({"events": "push"})


# --- events ---


def test_a_redelivery_has_the_same_guid_and_is_the_same_event() -> None:
    assert event_of(github, library_signs(BODY)) == event_of(github, library_signs(BODY))


def test_two_hooks_that_deliver_one_event_under_one_guid_are_two_deliveries() -> None:
    other = library_signs(BODY, **{"x-github-hook-id": "2"})
    assert len(identities([event_of(github, library_signs(BODY)), event_of(github, other)])) == 2


def test_one_body_under_two_guids_is_two_events_whose_equal_content_can_be_seen() -> None:
    replayed = library_signs(BODY, **{"x-github-delivery": "00000000-cc78-11e3-81ab-4c9367dc0958"})
    first, second = event_of(github, library_signs(BODY)), event_of(github, replayed)
    assert len(identities([first, second])) == 2
    assert first.content_sha256 == second.content_sha256


def test_an_event_without_its_unsigned_headers_is_not_dropped() -> None:
    sent = library_signs(BODY)
    for name in ("x-github-event", "x-github-delivery", "x-github-hook-id"):
        sent = sent.without_header(name)
    event = event_of(github, sent)
    assert event.event_type == "unknown"
    assert event.message_id.startswith("sha256:")


def test_a_type_that_is_no_name_is_not_passed_on() -> None:
    assert event_of(github, library_signs(BODY, **{"x-github-event": "Issues; drop"})).event_type == "unknown"


def test_an_issue_its_comments_and_its_pull_request_are_in_one_order() -> None:
    bodies = (
        {"issue": {"number": 7}, "comment": {}},
        {"pull_request": {"number": 7}},
        {"issue": {"number": 7}},
    )
    keys = {_event({**body, "repository": {"id": 42}}).ordering_key for body in bodies}
    assert keys == {"42#7"}


def test_pushes_of_a_branch_and_their_runs_are_in_one_order() -> None:
    bodies: tuple[dict[str, object], ...] = ({"ref": "refs/heads/main"}, {"workflow_run": {"head_branch": "main"}})
    assert {_event({**body, "repository": {"id": 42}}).ordering_key for body in bodies} == {"42@main"}


def _event(value: dict[str, object]) -> IdentifiedEvent:
    return event_of(github, Sent(headers=HEADERS, body=json.dumps(value).encode()))


def test_every_fixture_verifies_as_json_and_as_a_form_and_is_the_same_event() -> None:
    found = []
    for body, headers in fixtures("github"):
        key_headers = {
            **signed(github, body, key=KEY).lowered(),
            **{name.lower(): text for name, text in headers.items()},
        }
        as_json = Sent(headers=key_headers, body=body)
        form_body = urlencode({"payload": body.decode()}).encode()
        form_signature = signed(github, form_body, key=KEY).lowered()[NAME]
        form_headers = {**key_headers, NAME: form_signature, "content-type": "application/x-www-form-urlencoded"}
        as_form = Sent(headers=form_headers, body=form_body)
        assert accepts(github, as_json, keys=[KEY])
        assert accepts(github, as_form, keys=[KEY])
        assert event_of(github, as_json) == event_of(github, as_form)
        assert re.fullmatch(r"[0-9a-f-]{36}", event_of(github, as_json).message_id)
        found.append(event_of(github, as_json))
    assert len(identities(found)) == len(found)
    assert [event.event_type for event in found] == [
        "ping",
        "push",
        "issues.opened",
        "issue_comment.created",
        "pull_request.synchronize",
        "workflow_run.completed",
        "release.published",
        "organization.member_added",
    ]
    assert [event.occurred_us is not None for event in found] == [False, *[True] * 6, False]


@pytest.mark.parametrize("body", [b"payload=%7B", b"x=1", b"payload=%ff", b"payload={}&payload={}", b"payload=[]"])
def test_a_form_without_one_readable_payload_is_invalid(body: bytes) -> None:
    with pytest.raises(BodyInvalid):
        event_of(github, Sent(headers={**HEADERS, "content-type": "application/x-www-form-urlencoded"}, body=body))


def test_another_content_type_is_unsupported() -> None:
    with pytest.raises(ContentTypeUnsupported):
        event_of(github, Sent(headers={**HEADERS, "content-type": "text/plain"}, body=BODY))


@bounded
@given(sent=malformed(github.SIGNED_HEADERS, near=["sha256=" + "0" * 64, "push"]))
def test_no_request_raises_anything_but_the_adapters_errors(sent: Sent) -> None:
    never_raises_anything_else(github, sent, keys=[KEY])
