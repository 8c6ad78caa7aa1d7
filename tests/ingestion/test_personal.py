"""Masks: what is marked is not shown, and nothing of its length or count is either."""

from __future__ import annotations

import json

import pytest

from ingestion.personal import MASK, below, marked_by
from ingestion.providers.event_keys import recipient_key
from ingestion.providers.registry import ADAPTERS

SENDGRID = marked_by("sendgrid/1")


def shown(recipe: str, payload: object) -> str:
    return json.dumps(marked_by(recipe).payload(payload), ensure_ascii=False)


def test_a_mask_tells_the_kind_of_a_value_and_not_its_length() -> None:
    short = shown("sendgrid/1", {"email": "a@b.io", "ip": "10.0.0.1", "reason": "no"})
    long = shown("sendgrid/1", {"email": "a.much.longer.name@example.com", "ip": "203.0.113.201", "reason": "x" * 300})
    assert short == long
    assert "•••@•••" in short


def test_a_list_of_two_recipients_looks_like_a_list_of_one() -> None:
    one = shown("ses/1", {"mail": {"destination": ["ada@example.com"]}})
    two = shown("ses/1", {"mail": {"destination": ["ada@example.com", "bob@example.com"]}})
    assert one == two


def test_what_is_not_marked_stays_as_it_is() -> None:
    payload = {"event": "delivered", "email": "ada@example.com", "timestamp": 7, "nested": [{"a": None}, True]}
    assert json.loads(shown("sendgrid/1", payload)) == {**payload, "email": "•••@•••"}


def test_a_marked_text_is_masked_wherever_else_it_stands() -> None:
    told = shown("sendgrid/1", {"email": "ada@example.com", "url": "https://x.example/?u=ada@example.com"})
    assert "ada@" not in told
    assert "https://x.example/?u=" in told


def test_a_text_where_an_object_is_known_is_masked_whole() -> None:
    assert "ada" not in shown("ses/1", {"mail": '{"destination":["ada@example.com"]}'})


@pytest.mark.parametrize("payload", ["ada@example.com", 5, None])
def test_a_payload_that_is_no_object_is_masked_whole(payload: object) -> None:
    assert "ada" not in shown("sendgrid/1", payload)


def test_of_a_recipe_whose_adapter_is_gone_nothing_is_shown() -> None:
    gone = marked_by("gone/1")
    assert shown("gone/1", {"a": "ada"}) == '"••• (object)"'
    assert gone.ordering_key("customer-1") == MASK
    assert "ada" not in gone.error('invalid input "ada"')


def test_nobodys_marks_leave_everything_as_it_came() -> None:
    generic = marked_by("generic/1")
    assert generic.payload({"to": "ada@example.com"}) == {"to": "ada@example.com"}
    assert generic.error('DETAIL: "ada"\nline') == 'DETAIL: "ada"\nline'
    assert generic.ordering_key("customer-1") == "customer-1"


@pytest.mark.parametrize("scheme", ["brevo", "mailgun", "mandrill", "postmark", "sendgrid", "ses"])
def test_the_recipients_part_of_an_ordering_key_is_masked_and_the_messages_is_not(scheme: str) -> None:
    marked, named = marked_by(f"{scheme}/1"), recipient_key("ada@example.com")
    assert marked.ordering_key(f"message-1:{named}") == f"message-1:{MASK}"
    assert marked.ordering_key(named) == MASK
    assert marked.ordering_key("message-1#" + named) == "message-1#" + named  # a digest of the event, not of a person


@pytest.mark.parametrize("key", ["ada@example.com", "+15555550123", "15555550123", "Ada", "Ada Example"])
def test_a_key_that_an_operator_chose_is_shown_only_where_it_is_an_id(key: str) -> None:
    assert marked_by("svix/1").ordering_key(key) == MASK
    assert marked_by("svix/1").ordering_key("msg_2f7Q") == "msg_2f7Q"


def test_an_error_loses_its_quotations_and_further_lines() -> None:
    error = (
        'invalid input syntax for type json: Token "ada@example.com" is invalid\nDETAIL: {"email": "ada@example.com"}'
    )
    told = SENDGRID.error(error)
    assert told.startswith("invalid input syntax for type json: Token")
    assert "ada" not in told
    assert "\n" not in told


def test_a_path_of_a_difference_ends_at_the_mark() -> None:
    paths = marked_by("ses/1").paths
    assert below("mail.headers[3].ada@example.com", paths) == "mail.headers"
    assert below("mail.timestamp", paths) == "mail.timestamp"
    assert below("anything", None) == MASK


def test_every_adapter_says_whom_its_keys_name_and_those_that_digest_an_address_say_so() -> None:
    from pathlib import Path

    import ingestion.providers as package

    for scheme, adapter in ADAPTERS.items():
        sources = [
            path.read_text()
            for path in Path(package.__path__[0]).glob(f"{scheme}*.py")  # an adapter and its events' module
        ]
        assert any("recipient_key(" in text for text in sources) == (adapter.KEY_NAMES == "recipient"), scheme
