"""Events and the schedule: what will be sent, and when."""

import json
import random
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.replay.bodies import Body
from ingestion.replay.events import EVENT_TYPE_SHARES, generated_bodies, message_id_prefix, new_run_id
from ingestion.replay.schedule import duplicates_count, plan

RUN_ID = "r20260102T030405-0a0b0c"


def bodies(*, count: int = 500, seed: int = 7, run_id: str = RUN_ID) -> list[Body]:
    return list(generated_bodies(run_id=run_id, seed=seed, count=count, keys_count=50))


def test_the_same_seed_and_run_id_give_the_same_bytes() -> None:
    assert [body.content for body in bodies()] == [body.content for body in bodies()]


@pytest.mark.parametrize("changed", [{"seed": 8}, {"run_id": "r20260102T030405-0a0b0d"}])
def test_another_seed_or_run_id_gives_other_bytes(changed: dict[str, object]) -> None:
    other = bodies(**changed)  # type: ignore[arg-type]
    assert all(one.content != two.content for one, two in zip(bodies(), other, strict=True))


def test_events_have_the_contract_s_fields_and_the_names_that_the_plan_knows() -> None:
    for body in bodies(count=50):
        event = json.loads(body.content)
        assert set(event) == {"id", "type", "ordering_key", "occurred_at", "data"}
        assert (event["id"], event["type"], event["ordering_key"]) == (
            body.message_id,
            body.event_type,
            body.ordering_key,
        )
        assert datetime.fromisoformat(event["occurred_at"]).tzinfo == UTC
        assert body.message_id.startswith(message_id_prefix(RUN_ID))


def test_events_are_as_large_as_a_mail_provider_s_and_of_all_its_types() -> None:
    many = bodies(count=5_000)
    sizes = [len(body.content) for body in many]
    assert min(sizes) >= 500
    assert max(sizes) <= 2_000
    assert 800 < sum(sizes) / len(sizes) < 1_200
    assert {body.event_type for body in many} == {f"email.{kind}" for kind in EVENT_TYPE_SHARES}


def test_message_ids_are_unique_and_keys_are_skewed() -> None:
    many = bodies(count=5_000)
    assert len({body.message_id for body in many}) == 5_000
    busiest = Counter(body.ordering_key for body in many).most_common()
    assert busiest[0][1] > 10 * busiest[-1][1]


def test_run_ids_carry_their_second() -> None:
    run_id = new_run_id(now=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), rng=random.Random(1))
    first = json.loads(bodies(count=1, run_id=run_id)[0].content)
    assert first["occurred_at"].startswith("2026-01-02T03:04:05")


plans = st.fixed_dictionaries(
    {
        "count": st.integers(1, 400),
        "rate": st.sampled_from([0.0, 50.0, 1_000.0, 1_700.0]),
        "duplicates_share": st.floats(0, 0.95),
        "seed": st.integers(0, 2**32),
    }
)


@given(plans)
@settings(max_examples=200)
def test_a_plan_has_every_send_once_in_order_with_each_duplicate_after_its_original(
    given_plan: dict[str, float],
) -> None:
    slots = plan(**given_plan)  # type: ignore[arg-type]
    count = int(given_plan["count"])
    assert [slot.n for slot in slots] == list(range(count))
    assert all(one.intended_ns <= two.intended_ns for one, two in pairwise(slots))
    originals = [slot for slot in slots if slot.duplicate_of is None]
    assert [slot.body_index for slot in originals] == list(range(len(originals)))
    assert count - len(originals) == duplicates_count(count=count, share=given_plan["duplicates_share"])
    for slot in slots:
        if slot.duplicate_of is not None:
            assert slot.duplicate_of < slot.n
            assert slots[slot.duplicate_of].body_index == slot.body_index
            assert slots[slot.duplicate_of].duplicate_of is None


def test_the_same_seed_gives_the_same_plan() -> None:
    assert plan(count=300, rate=1_000, duplicates_share=0.3, seed=5) == plan(
        count=300, rate=1_000, duplicates_share=0.3, seed=5
    )


def test_duplicates_come_at_once_soon_and_after_more_than_a_second() -> None:
    slots = plan(count=10_000, rate=1_000, duplicates_share=0.3, seed=5)
    distances = [
        slot.intended_ns - slots[slot.duplicate_of].intended_ns for slot in slots if slot.duplicate_of is not None
    ]
    assert sum(distance == 0 for distance in distances) > 900
    assert sum(0 < distance < 600_000_000 for distance in distances) > 600
    assert sum(distance > 1_000_000_000 for distance in distances) > 600


def test_sends_are_due_at_the_constant_rate() -> None:
    slots = plan(count=101, rate=1_000, duplicates_share=0, seed=1)
    assert [slot.intended_ns for slot in slots] == [n * 1_000_000 for n in range(101)]
