"""The chain without a database: whatever is done to a log or its export is found, and told apart."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocom.kernel.canonical_json import NotCanonical, canonical_json
from autocom.kernel.digest import sha256
from evidence.audit_chain import GENESIS_SHA256, ChainEntry, ChainHead, Fault, canonical_entry, verify
from evidence.audit_export import NoExport, export_lines, read_entries, read_head

AT = datetime(2026, 11, 23, 18, 0, 0, 1, tzinfo=UTC)


def log(count: int) -> list[ChainEntry]:
    entries: list[ChainEntry] = []
    for number in range(1, count + 1):
        entry = ChainEntry(
            number=number,
            at=AT,
            act="provider.added",
            actor_kind="person",
            actor="ops",
            subject=f"provider p{number}",
            reason='why, "quoted" and ü',
            facts={"n": number, "list": [None, True]},
            previous_sha256=entries[-1].entry_sha256 if entries else GENESIS_SHA256,
            entry_sha256=b"",
        )
        entries.append(sealed(entry))
    return entries


def sealed(entry: ChainEntry) -> ChainEntry:
    return replace(entry, entry_sha256=sha256(canonical_entry(entry)))


def head_of(entries: list[ChainEntry]) -> ChainHead:
    return ChainHead(entries[-1].number, entries[-1].entry_sha256)


def faults(entries: list[ChainEntry], head: ChainHead, kept: ChainHead | None = None) -> list[tuple[str, int]]:
    return [(each.fault.value, each.number) for each in verify(entries, head=head, kept=kept).findings]


def test_an_untouched_log_has_no_findings() -> None:
    entries = log(5)
    found = verify(entries, head=head_of(entries), kept=head_of(entries[:3]))
    assert (found.is_sound, found.entry_count, found.head) == (True, 5, head_of(entries))


@pytest.mark.parametrize(
    "change",
    [
        {"act": "provider.changed"},
        {"actor": "dri"},
        {"actor_kind": "process"},
        {"subject": "provider p9"},
        {"reason": ""},
        {"facts": {"n": 4, "list": [None, False]}},
        {"facts": {"n": 3.0}},
        {"at": datetime(2026, 11, 23, 18, 0, 0, 2, tzinfo=UTC)},
        {"entry_sha256": bytes(32)},
    ],
)
def test_a_changed_entry_is_named(change: dict[str, object]) -> None:
    entries = log(5)
    head = head_of(entries)
    entries[2] = replace(entries[2], **change)  # type: ignore[arg-type]
    assert faults(entries, head)[0] == ("changed", 3)


def test_an_entry_written_anew_with_its_digest_breaks_the_link_of_the_next() -> None:
    entries = log(5)
    head = head_of(entries)
    entries[2] = sealed(replace(entries[2], actor="somebody else"))
    assert faults(entries, head) == [("link", 4)]


def test_a_gap_is_told_with_both_ends() -> None:
    entries = log(6)
    found = verify([*entries[:2], *entries[4:]], head=head_of(entries))
    assert [(each.fault, each.what) for each in found.findings] == [(Fault.MISSING, "entries 3 to 4 are missing")]


def test_two_swapped_entries_are_found() -> None:
    entries = log(5)
    head = head_of(entries)
    entries[1], entries[2] = entries[2], entries[1]
    assert ("order", 2) in faults(entries, head)
    entries = log(5)
    entries[1], entries[2] = replace(entries[2], number=2), replace(entries[1], number=3)
    assert {("changed", 2), ("changed", 3)} <= set(faults(entries, head))


def test_a_tail_cut_off_is_found_by_the_head() -> None:
    entries = log(5)
    assert faults(entries[:3], head_of(entries)) == [("missing", 5)]
    assert faults([], head_of(entries)) == [("missing", 5)]


def test_a_head_that_was_moved_is_found() -> None:
    entries = log(5)
    assert faults(entries, head_of(entries[:3])) == [("head", 5)]
    assert faults(entries, ChainHead(5, bytes(32))) == [("head", 5)]


def test_a_history_written_anew_or_cut_off_with_its_head_is_found_only_against_a_kept_head() -> None:
    kept = head_of(log(4))
    entries = log(2)
    for _ in range(3):
        last = entries[-1]
        entries.append(sealed(replace(last, number=last.number + 1, previous_sha256=last.entry_sha256, actor="forger")))
    assert faults(entries, head_of(entries)) == []
    assert faults(entries, head_of(entries), kept) == [("changed", 4)]
    cut = log(3)
    assert faults(cut, head_of(cut)) == []
    assert faults(cut, head_of(cut), kept) == [("missing", 4)]


def test_findings_are_counted_beyond_those_that_are_told() -> None:
    entries = [replace(each, actor="x") for each in log(300)]
    found = verify(entries, head=head_of(entries))
    assert (found.finding_count, len(found.findings)) == (300, 100)


def exported(entries: list[ChainEntry]) -> list[bytes]:
    return list(export_lines(entries, head=head_of(entries)))


def test_every_changed_byte_of_an_export_is_found() -> None:
    text = b"".join(exported(log(3)))
    for position in range(len(text)):
        for other in (text[position] ^ 1, text[position] ^ 0x20):
            changed = text[:position] + bytes([other]) + text[position + 1 :]
            assert not is_sound(changed.splitlines(keepends=True)), position
    assert is_sound(text.splitlines(keepends=True))


def is_sound(lines: list[bytes]) -> bool:
    try:
        head = read_head(lines[0])
    except NoExport:
        return False
    return verify(read_entries(lines[1:]), head=head).is_sound


@pytest.mark.parametrize(
    "spoil",
    [
        lambda line: line.replace(b'":', b'": ', 1),
        lambda line: line[:-1],
        lambda line: b"\n",
        lambda line: b"[" * 100_000,
        lambda line: b"{}\n",
        lambda line: line.replace(b'"number":2', b'"number":"2"'),
        lambda line: line.replace(b'"number":2', b'"number":2,"number":2'),
        lambda line: line.replace(b'"entry":{', b'"entry":{"aaa":1,'),
        lambda line: line + line,
    ],
)
def test_a_line_that_no_export_writes_is_a_finding_and_not_a_crash(spoil: object) -> None:
    lines = exported(log(3))
    lines[2] = spoil(lines[2])  # type: ignore[operator]
    again = b"".join(lines).splitlines(keepends=True)
    assert not verify(read_entries(again[1:]), head=read_head(again[0])).is_sound


def test_an_outsider_needs_only_sha256_for_an_exported_entry() -> None:
    line = exported(log(2))[2].rstrip(b"\n")
    inner, _, digest = line.removeprefix(b'{"entry":').rpartition(b',"entry_sha256":"')
    assert sha256(inner).hex() == digest.removesuffix(b'"}').decode()


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)


@given(VALUES)
def test_a_canonical_form_reads_back_as_the_value_and_is_written_the_same_again(value: object) -> None:
    written = canonical_json(value)
    assert json.loads(written) == value
    assert canonical_json(json.loads(written)) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"b": 1, "a": [True, None, -7]}, b'{"a":[true,null,-7],"b":1}'),
        # the order of UTF-16 units: the emoji's first unit is d83d, below fb33
        (
            {"\ufb33": 1, "\U0001f600": 2, "\u20ac": 3, "\r": 4, "1": 5},
            '{"\\r":4,"1":5,"\u20ac":3,"\U0001f600":2,"\ufb33":1}'.encode(),
        ),
        ('\u20ac$\u000f\nA\'B"\\\\"/\x7f', '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/\x7f"'.encode()),
        ({}, b"{}"),
    ],
)
def test_canonical_bytes_are_those_of_rfc_8785(value: object, written: bytes) -> None:
    assert canonical_json(value) == written


@pytest.mark.parametrize("value", [1.0, float("nan"), 2**53, b"x", {1: 2}, {1, 2}, "\x00", "\ud800", {"\ud800": 1}])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(NotCanonical):
        canonical_json(value)
