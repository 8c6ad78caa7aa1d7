"""A run's own account, against sums made here from its sends."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from evidence.budget.run_ledger import COLUMNS, write
from evidence.slo.shipped import objectives
from ingestion.replay.history import Attempt
from tests.replay.kit import RUN_ID, answer, attempt, history, planned

MS = 1_000_000
MINUTE_NS = 60_000 * MS
LIMITS_NS = {"availability": 5_000 * MS, "ack_latency": 120 * MS}
# when it was meant to be sent, how long the answer took, its status
SENDS = st.lists(
    st.tuples(
        st.integers(0, 4 * MINUTE_NS - 1),
        st.one_of(st.sampled_from([0, 120 * MS, 120 * MS + 1_000, 5_000 * MS]), st.integers(0, 6_000 * MS)),
        st.sampled_from([202, 202, 202, 200, 429, 503, 0]),
    ),
    min_size=1,
    max_size=60,
)


def ledger(sends: Sequence[tuple[int, int, int]]) -> list[dict[str, str]]:
    plans = [planned(n, intended_ns=at_ns) for n, (at_ns, _, _) in enumerate(sends)]
    made = [_attempt(n, *each) for n, each in enumerate(sends)]
    with TemporaryDirectory() as folder:
        write(history(plans, made), Path(folder))
        assert (Path(folder) / "slo.yaml").read_bytes() == objectives().text
        return list(csv.DictReader((Path(folder) / "ledger.csv").read_text().splitlines()))


def _attempt(n: int, at_ns: int, took_ns: int, status: int) -> Attempt:
    text = answer(n, n) if status // 100 == 2 else '{"code":"lane_full"}' if status else ""
    return attempt(n, at_ns, at_ns + took_ns, text, status=status)


@given(SENDS)
def test_the_account_is_what_the_sends_sum_to_whatever_was_answered(sends: list[tuple[int, int, int]]) -> None:
    rows = ledger(sends)
    for name, limit_ns in LIMITS_NS.items():
        mine = [row for row in rows if row["slo"] == name]
        is_2xx = [status // 100 == 2 for _, _, status in sends]
        valid = len(sends) if name == "availability" else sum(is_2xx)
        step_ns = 1 if name == "availability" else 1_000  # acks are told in whole microseconds
        took = [took_ns // step_ns * step_ns for _, took_ns, _ in sends]
        good = sum(ok and took_ns <= limit_ns for ok, took_ns in zip(is_2xx, took, strict=True))
        if not valid:
            assert not mine
            continue
        assert [row["kind"] for row in mine] == ["OPEN", *["BURN"] * (len(mine) - 2), "CLOSE"]
        assert sum(int(row["valid"]) for row in mine) == valid
        assert sum(int(row["good"]) for row in mine) == good
        share = Fraction(str(objectives().slo(name).target))
        last = mine[-1]
        assert int(last["consumed"]) == valid - good
        assert abs(Fraction(last["balance_after"]) - ((1 - share) * valid - (valid - good))) < Fraction(1, 10**6)
        assert all(
            int(row["bad"]) == sum(int(each.rpartition(":")[2]) for each in row["causes"].split()) for row in mine
        )


def test_a_minute_names_what_its_bad_sends_were_answered_and_which_they_were() -> None:
    rows = ledger([(0, 10 * MS, 202), (1, 10 * MS, 503), (2, 0, 0), (MINUTE_NS, 130 * MS, 202)])
    burns = {(row["slo"], row["window_from"]): row for row in rows if row["kind"] == "BURN"}
    first = burns["availability", "1970-01-01T00:00:00Z"]
    assert (first["causes"], first["sends"]) == ("connection_lost:1 lane_full:1", "1 2")
    slow = burns["ack_latency", "1970-01-01T00:01:00Z"]
    assert (slow["causes"], slow["sends"], slow["bad"]) == ("slow:1", "3", "1")
    assert Decimal(slow["burn_rate"]) == 20  # all of it bad, of a budget of 5 %


def test_entries_are_numbered_without_a_gap_and_are_of_the_runs_own_account() -> None:
    rows = ledger([(0, 10 * MS, 202), (MINUTE_NS, 10 * MS, 202)])
    assert [int(row["entry"]) for row in rows] == list(range(1, len(rows) + 1))
    assert {row["account"] for row in rows} == {f"run:{RUN_ID}"}
    assert tuple(rows[0]) == COLUMNS
