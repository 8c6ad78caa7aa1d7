"""Every tampering of the table is found in one verification, by the name of its fault."""

from __future__ import annotations

import pytest

from tests.tamper.arena import Case
from tests.tamper.cases import tamperings
from tests.tamper.finders import FINDERS, KEPT, VERIFY
from tests.tamper.table import Tampering

SEEN = [each for each in tamperings() if not each.why_unseen]
UNSEEN = [each for each in tamperings() if each.why_unseen]


@pytest.mark.parametrize("tampering", SEEN, ids=lambda each: each.name)
def test_it_is_found_and_called_by_its_name(case: Case, tampering: Tampering) -> None:
    tampering.do(case)
    found = FINDERS[tampering.finder](case)
    assert {each.fault for each in found} & tampering.faults, found


@pytest.mark.parametrize("tampering", [each for each in SEEN if each.finder == KEPT], ids=lambda each: each.name)
def test_without_what_was_kept_elsewhere_it_is_not_found(case: Case, tampering: Tampering) -> None:
    """The reason why somebody else must keep checkpoints."""
    tampering.do(case)
    assert FINDERS[VERIFY](case) == []


@pytest.mark.parametrize("tampering", UNSEEN, ids=lambda each: each.name)
def test_what_the_table_says_is_not_seen_is_not_seen(case: Case, tampering: Tampering) -> None:
    """When this fails, somebody sees it now: take it out of the list, and out of docs/tamper.md."""
    tampering.do(case)
    assert FINDERS[tampering.finder](case) == []
