"""The recomputation of the verifier and the replay's own come to the same, whatever went wrong in the run."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from itertools import count
from pathlib import Path

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from evidence.bundles.verify import Report, verify_folder
from ingestion.replay.findings import Place
from tests.evidence.verify.sample import build
from tests.replay.kit import digest, event_id
from tests.replay.test_reconcile import Run, clean_runs

PLANTS = ("lose", "double", "reorder", "move key", "corrupt", "misplace", "stranger", "other name", "no answer")


def planted(run: Run, data: st.DataObject) -> Run:
    """The run with some of its promises broken."""
    rows, attempts = list(run.rows), list(run.attempts)
    new_number = count(5_000)  # PostgreSQL never stores one id twice in a place, whatever else goes wrong
    for kind in data.draw(st.lists(st.sampled_from(PLANTS), max_size=4)):
        if not rows:
            break
        at = data.draw(st.integers(0, len(rows) - 1))
        row = rows[at]
        if kind == "lose":
            rows.pop(at)
        elif kind == "double":
            again = next(new_number)
            rows.append(replace(row, event_id=event_id(again), sequence=again, batch=again))
        elif kind == "reorder":
            other = data.draw(st.integers(0, len(rows) - 1))
            one, two = (rows[at].sequence, rows[at].batch), (rows[other].sequence, rows[other].batch)
            if rows[at].lane == rows[other].lane:
                rows[at] = replace(rows[at], sequence=two[0], batch=two[1])
                rows[other] = replace(rows[other], sequence=one[0], batch=one[1])
        elif kind == "move key":
            rows[at] = replace(row, ordering_key=f"key{data.draw(st.integers(0, 3))}")
        elif kind == "corrupt":
            rows[at] = replace(row, body_sha256=digest(4_444))
        elif kind == "misplace":
            rows[at] = replace(row, place=data.draw(st.sampled_from(list(Place))))
        elif kind == "stranger":
            number = next(new_number)
            stranger = replace(row, event_id=event_id(number), message_id=f"{row.message_id}x")
            rows.append(replace(stranger, sequence=number, batch=number))
        elif kind == "other name":
            rows[at] = replace(row, event_type="email.other")
        elif kind == "no answer" and attempts:
            which = data.draw(st.integers(0, len(attempts) - 1))
            attempts[which] = attempts[which]._replace(answer=data.draw(st.sampled_from(["", "{}", "[]", "nonsense"])))
    return Run(run.sends, attempts, rows)


def verified(run: Run) -> Report:
    with tempfile.TemporaryDirectory() as scratch:
        sample = build(Path(scratch) / "bundle", run.history(), run.rows)
        return verify_folder(sample.folder)


@given(clean_runs(), st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_what_the_replay_says_of_a_run_is_what_the_verifier_recomputes(run: Run, data: st.DataObject) -> None:
    broken = planted(run, data)
    assume(broken.rows)
    assert verified(broken).findings == []
