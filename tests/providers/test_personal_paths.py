"""The paths that adapters mark as personal, over every recorded event: what they miss would be shown unmasked."""

from __future__ import annotations

import json
import time

import pytest

from ingestion.providers.adapter import InboundDelivery
from ingestion.providers.registry import ADAPTERS, personal_paths
from tests.providers.requests import fixtures
from tests.support.schemes import SCHEMES, TOPIC

PEOPLE = ("ada@example", "bob@example", "+155555501", "Ada Example")
ANY_SENDER = {"generic", "standard"}  # their bodies are their senders' own


def without(value: object, path: tuple[str, ...]) -> object:
    """The value with what stands at the path left out; lists on the way are gone through."""
    if isinstance(value, list):
        return [without(each, path) for each in value]
    if not isinstance(value, dict) or path[0] not in value:
        return value
    rest = {name: each for name, each in value.items() if name != path[0]}
    return rest if len(path) == 1 else {**rest, path[0]: without(value[path[0]], path[1:])}


@pytest.mark.parametrize("scheme", sorted(ADAPTERS.keys() - ANY_SENDER))
def test_no_person_of_the_recorded_events_is_left_outside_the_marked_paths(scheme: str) -> None:
    adapter, count = ADAPTERS[scheme], 0
    options = adapter.read_options({"topic_arns": [TOPIC]} if scheme == "ses" else {})
    for body, headers in fixtures(scheme):
        signed = SCHEMES[scheme].request(body)
        inbound = InboundDelivery(
            provider=scheme,
            headers={name.lower(): value for name, value in {**signed.headers, **headers}.items()},
            body=signed.body,
            url="https://hooks.example/",
            received_us=time.time_ns() // 1_000,
        )
        for event in adapter.identify(inbound, options=options):
            paths = personal_paths(event.recipe)
            assert paths is not None
            left: object = json.loads(event.payload)
            for path in paths:
                left = without(left, tuple(path.split(".")))
            shown = json.dumps(left)
            assert [person for person in PEOPLE if person in shown] == [], shown
            count += 1
    assert count > 0


def test_of_a_recipe_whose_adapter_is_gone_nothing_is_known_to_be_harmless() -> None:
    assert personal_paths("gone/1") is None
    assert personal_paths("ses/7") == personal_paths("ses/1")
