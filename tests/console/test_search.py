"""What a search finds, and that it says how it was understood."""

from typing import Any
from uuid import uuid4

import pytest

from autocom.kernel.ids import event_id, request_id_of
from console.roles import Role
from console.search import matched_events
from ingestion.models import Event
from tests.console.rows import event_row

pytestmark = pytest.mark.django_db


def found(term: str) -> list[Event]:
    matched = matched_events(term, Event.objects.all(), may_reveal=True)
    rows = Event.objects.order_by("pk")
    return list(rows if matched.condition is None else rows.filter(matched.condition))


def test_an_id_finds_the_event_and_a_request_id_all_events_of_the_delivery() -> None:
    first = event_row()
    second = event_row(id=event_id(request_id_of(first.pk), position=1))
    event_row()
    assert found(str(second.pk)) == [second]
    assert found(f"id:{second.pk.hex}") == [second]
    assert found(str(first.pk)) == [first, second]
    assert found(f"request:{second.pk}") == [first, second]


def test_a_bare_word_is_a_message_id_before_it_is_an_ordering_key() -> None:
    by_message = event_row(message_id="order-7")
    by_key = event_row(ordering_key="order-7")
    only_key = event_row(ordering_key="order-8")
    assert found("order-7") == [by_message]
    assert found("key:order-7") == [by_key]
    assert found("order-8") == [only_key]


def test_a_message_id_that_looks_like_a_uuid_is_found_too() -> None:
    looks = str(uuid4())
    event = event_row(message_id=looks)
    assert found(looks) == [event]
    assert "not id" in matched_events(looks, Event.objects.all(), may_reveal=True).told[0]


def test_qualifiers_are_joined_by_and_and_quotation_marks_keep_spaces_together() -> None:
    wanted = event_row(event_type="invoice.paid", ordering_key="a b")
    event_row(event_type="invoice.paid", ordering_key="c")
    assert found('type:invoice.paid key:"a b"') == [wanted]
    assert found('key:"a') == []


def test_matches_are_exact() -> None:
    event_row(message_id="abc", event_type="invoice.paid")
    assert found("ab") == found("type:invoice") == found("message:ABC") == []


def test_only_a_search_that_an_index_serves_counts_as_indexed() -> None:
    def indexed(term: str) -> bool:
        return matched_events(term, Event.objects.all(), may_reveal=True).is_indexed

    assert not indexed("type:x")
    assert not indexed("type:x provider:y")
    assert indexed("key:x")
    assert indexed("type:x key:y")
    assert indexed(f"id:{uuid4()}")


@pytest.mark.parametrize(
    "term", ["id:nonsense", '"', "a b c d e f g", "type:", "::", "x" * 5_000, "\ud800", "'", "type:x" + " key:y" * 9]
)
def test_an_odd_term_finds_nothing_and_breaks_nothing(signed_in: Any, term: str) -> None:
    event_row()
    response = signed_in(Role.DRI).get("/admin/ingestion/event/", {"q": term.encode("utf-8", "replace")})
    assert response.status_code == 200
    assert list(response.context["cl"].result_list) == []


@pytest.mark.parametrize("term", ["\x00", "key:\x00", "id:\x00", "type:a\x00b"])
def test_a_nul_character_finds_nothing_and_never_reaches_the_database(term: str) -> None:
    event_row()
    assert found(term) == []


def test_the_page_says_how_the_term_was_understood_and_what_was_tried(signed_in: Any) -> None:
    event_row(message_id="order-7")
    client = signed_in(Role.DRI)
    assert "message id is “order-7”" in client.get("/admin/ingestion/event/", {"q": "order-7"}).content.decode()
    assert "is no message id, no ordering key" in client.get("/admin/ingestion/event/", {"q": "zzz"}).content.decode()


def test_a_mistyped_qualifier_is_told_with_what_was_meant(signed_in: Any) -> None:
    event_row(event_type="invoice.paid")
    client = signed_in(Role.DRI)
    response = client.get("/admin/ingestion/event/", {"q": "typ:invoice.paid"})
    text = response.content.decode()
    assert "“typ:” is no qualifier" in text
    assert 'href="?q=type%3Ainvoice.paid"' in text
    assert list(response.context["cl"].result_list) == []


def test_a_message_id_with_a_colon_is_no_mistyped_qualifier() -> None:
    row = event_row(message_id="sha256:feed")
    assert found("sha256:feed") == [row]


def test_terms_that_match_rows_of_the_page_are_offered(signed_in: Any) -> None:
    event_row(event_type="invoice.paid", provider="billing")
    client = signed_in(Role.DRI)
    text = client.get("/admin/ingestion/event/").content.decode()
    assert 'href="?q=type%3Ainvoice.paid"' in text
    assert 'href="?q=provider%3Abilling"' in text
    for name in ("deadletter", "quarantinedevent", "suppressedduplicate"):
        assert client.get(f"/admin/ingestion/{name}/").status_code == 200


def test_a_search_without_a_match_says_how_far_it_looked(signed_in: Any) -> None:
    event_row()
    text = signed_in(Role.DRI).get("/admin/ingestion/event/", {"q": "key:nothing"}).content.decode()
    assert "Nothing matches in all rows that are kept" in text
