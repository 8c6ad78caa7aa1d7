"""What an answer means to the sender: any 2xx to `default`, its own status alone to a provider."""

from pathlib import Path

import pytest

from ingestion.providers.registry import ADAPTERS
from ingestion.replay.backoff import is_success, is_worth_another_try
from tests.replay.kit import run
from tests.replay.stub import Behaviour, Reply, Request, StubService, stub_service


def test_any_2xx_is_success_unless_the_provider_takes_one_alone() -> None:
    assert [is_success(status, success_status=0) for status in (199, 200, 202, 299, 300)] == [0, 1, 1, 1, 0]
    assert [is_success(status, success_status=200) for status in (200, 202, 204)] == [1, 0, 0]


@pytest.mark.parametrize(
    ("busy_status", "again", "never"),
    [
        (0, (429, 500, 503), (200, 401, 404, 406)),
        (503, (500, 503, 202), (429, 401, 406)),
        (429, (429, 202), (500, 503, 401)),  # Brevo discards what a 5xx answered
    ],
)
def test_what_brings_a_delivery_again_follows_from_the_busy_status(
    busy_status: int, again: tuple[int, ...], never: tuple[int, ...]
) -> None:
    assert all(is_worth_another_try(status, busy_status=busy_status) for status in again)
    assert not any(is_worth_another_try(status, busy_status=busy_status) for status in never)


def test_every_adapters_busy_status_brings_the_delivery_again_and_its_success_ends_it() -> None:
    for adapter in ADAPTERS.values():
        assert is_worth_another_try(adapter.ACK.busy_status, busy_status=adapter.ACK.busy_status)
        assert not is_success(adapter.ACK.busy_status, success_status=adapter.ACK.success_status)


def test_a_2xx_that_is_no_success_to_the_provider_is_sent_again_and_never_a_promise(tmp_path: Path) -> None:
    def behave(service: StubService) -> Behaviour:
        def once_202(request: Request) -> Reply:
            accepted = service.accept(request)
            return Reply(202 if request.number == 0 else 200, accepted.body)

        return once_202

    with stub_service(behave) as service:
        result = run(
            service.url, tmp_path, count=3, rate=0, connections=1, duplicates=0, success_status=200, busy_status=503
        )
    first = result.history.sends[0]
    assert [attempt.status for attempt in first.attempts] == [202, 200]
    assert first.acknowledged is first.attempts[1]
    assert (result.figures.accepted, result.figures.rejected, result.figures.accepted_after_retry) == (2, 1, 1)
