"""Acks as a group, against a server that misbehaves on purpose.

Every request is answered, each with its own reply, soon.
"""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import uvloop

from autocom.ingress import group_commit
from autocom.ingress.group_commit import Address, GroupCommit, Unavailable
from tests.support.fake_redis import Caller, Command, FakeRedis, bulk, echo, fake_redis, only_greets

ANSWER_SECONDS = 0.3  # in place of 0.8: these tests wait for it often
TEST_SECONDS = 10  # a request that is never answered ends the test here


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "ANSWER_TIMEOUT_SECONDS", ANSWER_SECONDS)
    monkeypatch.setattr(group_commit, "RECONNECT_PAUSE_SECONDS", 0.05)


@pytest.fixture
def directory() -> Iterator[Path]:
    """Not tmp_path: a socket's name must be short."""
    with tempfile.TemporaryDirectory(prefix="acf-", dir="/tmp") as name:
        yield Path(name)


def run(test: Coroutine[Any, Any, None]) -> None:
    """On the loop that the ingress runs on."""

    async def limited() -> None:
        async with asyncio.timeout(TEST_SECONDS):
            await test

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(limited())


def words(tag: bytes | int, padding: bytes = b"") -> list[bytes]:
    return [b"EVALSHA", b"sha", b"0", padding, b"%d" % tag if isinstance(tag, int) else tag]


async def commit_all(group: GroupCommit, tags: Sequence[int], padding: bytes = b"") -> list[Any]:
    return await asyncio.gather(*(group.commit(words(tag, padding)) for tag in tags), return_exceptions=True)


def echoed(tags: Sequence[int]) -> list[bytes]:
    return [b"%d" % tag for tag in tags]


def all_unavailable(answers: Sequence[Any]) -> bool:
    return all(isinstance(answer, Unavailable) for answer in answers)


def test_each_of_a_hundred_concurrent_requests_gets_its_own_reply(directory: Path) -> None:
    async def test() -> None:
        async with fake_redis(directory) as redis:
            assert await commit_all(GroupCommit(redis.url), range(100)) == echoed(range(100))
            assert len(redis.callers) == 1

    run(test())


def test_concurrent_requests_are_sent_before_the_first_is_answered(directory: Path) -> None:
    def answer_when_all_are_here(_: FakeRedis, caller: Caller, command: Command) -> None:
        only_greets(_, caller, command)
        if len(caller.evals) == 50:
            caller.write(*(bulk(each[-1]) for each in caller.evals))

    async def test() -> None:
        async with fake_redis(directory, answer_when_all_are_here) as redis:
            assert await commit_all(GroupCommit(redis.url), range(50)) == echoed(range(50))

    run(test())


def test_requests_that_come_while_two_groups_are_on_their_way_go_with_the_next(directory: Path) -> None:
    async def test() -> None:
        async with fake_redis(directory, only_greets) as redis:
            group = GroupCommit(redis.url)
            first = asyncio.create_task(commit_all(group, range(3)))
            await redis.until(lambda: len(redis.callers) == 1 and len(redis.callers[0].evals) == 3)
            second = asyncio.create_task(commit_all(group, range(3, 5)))
            await redis.until(lambda: len(redis.callers[0].evals) == 5)
            third = asyncio.create_task(commit_all(group, range(5, 9)))
            await asyncio.sleep(0.05)
            assert len(redis.callers[0].evals) == 5
            redis.answering = echo
            redis.callers[0].write(*(bulk(tag) for tag in echoed(range(2))))
            await asyncio.sleep(0.05)
            assert len(redis.callers[0].evals) == 5, "the first group is not answered yet"
            redis.callers[0].write(*(bulk(tag) for tag in echoed(range(2, 3))))
            assert await first == echoed(range(3))
            await redis.until(lambda: len(redis.callers[0].evals) == 9)
            assert not second.done()
            third.cancel()

    run(test())


def test_a_silent_server_means_unavailable_for_all_and_the_next_request_a_new_connection(directory: Path) -> None:
    async def test() -> None:
        async with fake_redis(directory, only_greets) as redis:
            group = GroupCommit(redis.url)
            assert all_unavailable(await commit_all(group, range(20)))
            redis.answering = echo
            assert await commit_all(group, range(20, 23)) == echoed(range(20, 23))
            assert len(redis.callers) == 2

    run(test())


def test_a_server_silent_from_the_greeting_on_means_unavailable(directory: Path) -> None:
    async def test() -> None:
        async with fake_redis(directory, lambda *_: None) as redis:
            group = GroupCommit(redis.url)
            assert all_unavailable(await commit_all(group, range(20)))
            redis.answering = echo
            answers = await commit_all(group, [1])
            while not isinstance(answers[0], bytes):  # a busy machine may take longer to connect than an ack may wait
                answers = await commit_all(group, [1])
            assert answers == [b"1"]

    run(test())


def test_a_group_that_stalls_after_its_first_replies_keeps_those_and_gives_up_the_rest(directory: Path) -> None:
    def answers_twenty(_: FakeRedis, caller: Caller, command: Command) -> None:
        if command[0] != b"EVALSHA" or len(caller.evals) <= 20:
            echo(_, caller, command)

    async def test() -> None:
        async with fake_redis(directory, answers_twenty) as redis:
            group = GroupCommit(redis.url)
            answers = await commit_all(group, range(50))
            assert answers[:20] == echoed(range(20))
            assert all_unavailable(answers[20:])
            redis.answering = echo
            assert await commit_all(group, [1]) == [b"1"]

    run(test())


def test_a_slow_server_costs_late_requests_their_answer_but_never_gives_one_the_reply_of_another(
    directory: Path,
) -> None:
    async def test() -> None:
        async with fake_redis(directory, only_greets) as redis:
            group = GroupCommit(redis.url)
            sent = asyncio.create_task(commit_all(group, range(4)))
            await redis.until(lambda: len(redis.callers) == 1 and len(redis.callers[0].evals) == 4)
            caller = redis.callers[0]
            for tag in echoed(range(4)):  # one reply in each two thirds of the answer timeout: slow, yet alive
                await asyncio.sleep(ANSWER_SECONDS * 2 / 3)
                caller.write(bulk(tag))
            answers = await sent
            assert answers[0] == b"0"
            assert all_unavailable(answers[2:])
            redis.answering = echo
            assert await commit_all(group, range(7, 10)) == echoed(range(7, 10))
            assert len(redis.callers) == 1

    run(test())


def test_a_request_behind_a_slow_group_is_refused_in_its_own_time_and_never_sent(directory: Path) -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        async with fake_redis(directory, only_greets) as redis:
            group = GroupCommit(redis.url)
            first = asyncio.create_task(commit_all(group, range(8)))
            await redis.until(lambda: len(redis.callers) == 1 and len(redis.callers[0].evals) == 8)
            second = asyncio.create_task(commit_all(group, [8]))
            await redis.until(lambda: len(redis.callers[0].evals) == 9)

            async def trickle() -> None:
                for tag in echoed(range(9)):
                    redis.callers[0].write(bulk(tag))
                    await asyncio.sleep(ANSWER_SECONDS / 2)

            trickling = asyncio.create_task(trickle())
            began = loop.time()
            assert all_unavailable(await commit_all(group, [99]))
            assert loop.time() - began < 3 * ANSWER_SECONDS
            await trickling
            await first
            assert all_unavailable(await second)
            redis.answering = echo
            assert await commit_all(group, [100]) == [b"100"]
            assert b"99" not in [command[-1] for command in redis.commands]

    run(test())


def test_a_lost_script_is_loaded_once_for_the_whole_group_and_nobody_notices(directory: Path) -> None:
    def flushed(redis: FakeRedis, caller: Caller, command: Command) -> None:
        loads = redis.names().count(b"SCRIPT")
        if command[0] == b"EVALSHA" and loads < 2:
            caller.write(b"-NOSCRIPT No matching script.\r\n")
        else:
            echo(redis, caller, command)

    async def test() -> None:
        async with fake_redis(directory, flushed) as redis:
            group = GroupCommit(redis.url)
            assert await commit_all(group, range(30)) == echoed(range(30))
            assert redis.names().count(b"SCRIPT") == 2
            again = [command[-1] for command in redis.callers[0].evals[30:]]
            assert again == echoed(range(30))  # in the order of arrival

    run(test())


def test_who_comes_while_a_group_goes_again_does_not_overtake_it(directory: Path) -> None:
    lost = b"-NOSCRIPT No matching script.\r\n"

    async def test() -> None:
        async with fake_redis(directory, only_greets) as redis:
            group = GroupCommit(redis.url)
            first = asyncio.create_task(commit_all(group, range(2)))
            await redis.until(lambda: len(redis.callers) == 1 and len(redis.callers[0].evals) == 2)
            caller = redis.callers[0]
            caller.write(lost)
            await asyncio.sleep(0.05)
            late = asyncio.create_task(commit_all(group, [9]))
            await asyncio.sleep(0.05)
            redis.answering = echo
            caller.write(lost)
            assert await first == echoed(range(2))
            assert await late == [b"9"]
            assert [command[-1] for command in caller.evals] == echoed([0, 1, 0, 1, 9])

    run(test())


def test_a_script_that_cannot_be_kept_means_unavailable_and_no_endless_loop(directory: Path) -> None:
    def forgetful(redis: FakeRedis, caller: Caller, command: Command) -> None:
        caller.write(b"-NOSCRIPT No matching script.\r\n" if command[0] == b"EVALSHA" else b"+OK\r\n")

    async def test() -> None:
        async with fake_redis(directory, forgetful) as redis:
            assert all_unavailable(await commit_all(GroupCommit(redis.url), range(10)))
            assert len(redis.callers[0].evals) == 20

    run(test())


def test_a_connection_cut_in_the_middle_of_a_group_fails_only_the_unanswered(directory: Path) -> None:
    def cut_after_five(_: FakeRedis, caller: Caller, command: Command) -> None:
        echo(_, caller, command)
        if len(caller.evals) == 5:
            caller.writer.close()

    async def test() -> None:
        async with fake_redis(directory, cut_after_five) as redis:
            group = GroupCommit(redis.url)
            answers = await commit_all(group, range(12))
            assert answers[:5] == echoed(range(5))
            assert all_unavailable(answers[5:])
            redis.answering = echo
            assert await commit_all(group, [1]) == [b"1"]

    run(test())


def test_a_connection_cut_while_the_script_is_being_loaded_leaves_nobody_waiting(directory: Path) -> None:
    async def test() -> None:
        async with fake_redis(directory, lambda _, caller, __: caller.hang_up()) as redis:
            group = GroupCommit(redis.url)
            assert all_unavailable(await commit_all(group, range(10)))
            redis.answering = echo
            assert await commit_all(group, [1]) == [b"1"]

    run(test())


def test_a_server_that_is_not_there_means_unavailable_until_it_is(directory: Path) -> None:
    async def test() -> None:
        group = GroupCommit(f"unix://{directory}/fake.sock")
        assert all_unavailable(await commit_all(group, range(10)))
        async with fake_redis(directory):
            assert await commit_all(group, range(3)) == echoed(range(3))

    run(test())


def test_an_address_that_cannot_even_be_looked_up_means_unavailable_and_no_hanging_request() -> None:
    async def test() -> None:
        label_too_long_for_dns = "a" * 70
        group = GroupCommit(f"redis://{label_too_long_for_dns}:6379/0")
        answers = await commit_all(group, range(3))
        assert all_unavailable(answers)
        assert not any("in time" in str(answer) for answer in answers)  # refused for its cause, not waited for

    run(test())


def test_a_server_that_takes_connections_and_drops_them_is_not_stormed_with_new_ones(directory: Path) -> None:
    def drops(_: FakeRedis, caller: Caller, command: Command) -> None:
        if command[0] == b"EVALSHA":
            caller.hang_up()
        else:
            caller.write(b"+OK\r\n")

    async def test() -> None:
        async with fake_redis(directory, drops) as redis:
            group = GroupCommit(redis.url)
            for tag in range(10):
                assert all_unavailable(await commit_all(group, [tag]))
            loop = asyncio.get_running_loop()
            began, before = loop.time(), len(redis.callers)
            while loop.time() - began < 0.5:
                await commit_all(group, range(20))
            assert len(redis.callers) - before <= 0.5 / 0.05 + 1

    run(test())


def test_the_greeting_authenticates_and_selects_before_anything_else_is_said(directory: Path) -> None:
    async def test() -> None:
        async with fake_redis(directory) as redis:
            url = redis.url.replace("unix://", "unix://alice:secret@") + "?db=3"
            assert await commit_all(GroupCommit(url), [1]) == [b"1"]
            assert redis.commands[:2] == [(b"AUTH", b"alice", b"secret"), (b"SELECT", b"3")]
            assert redis.names() == [b"AUTH", b"SELECT", b"SCRIPT", b"EVALSHA"]

    run(test())


def test_a_wrong_password_means_unavailable_and_no_request_goes_out_unauthenticated(directory: Path) -> None:
    def refuses(_: FakeRedis, caller: Caller, command: Command) -> None:
        caller.write(b"-WRONGPASS invalid\r\n" if command[0] == b"AUTH" else b"-NOAUTH Authentication required.\r\n")

    async def test() -> None:
        async with fake_redis(directory, refuses) as redis:
            url = redis.url.replace("unix://", "unix://:wrong@")
            assert all_unavailable(await commit_all(GroupCommit(url), range(5)))
            assert b"EVALSHA" not in redis.names()

    run(test())


def test_an_error_reply_fails_its_own_request_and_no_other(directory: Path) -> None:
    def second_is_refused(_: FakeRedis, caller: Caller, command: Command) -> None:
        if command[-1] == b"1":
            caller.write(b"-OOM command not allowed when used memory > 'maxmemory'.\r\n")
        else:
            echo(_, caller, command)

    async def test() -> None:
        async with fake_redis(directory, second_is_refused) as redis:
            answers = await commit_all(GroupCommit(redis.url), range(3))
            assert answers[0] == b"0"
            assert isinstance(answers[1], Unavailable)
            assert answers[2] == b"2"
            assert len(redis.callers) == 1

    run(test())


def test_a_primary_that_became_a_replica_is_left_so_that_its_name_may_lead_to_the_new_one(directory: Path) -> None:
    def was_demoted(_: FakeRedis, caller: Caller, command: Command) -> None:
        if command[0] == b"EVALSHA" and caller.number == 1:
            caller.write(b"-READONLY You can't write against a read only replica.\r\n")
        else:
            echo(_, caller, command)

    async def test() -> None:
        async with fake_redis(directory, was_demoted) as redis:
            group = GroupCommit(redis.url)
            assert all_unavailable(await commit_all(group, range(5)))
            assert await commit_all(group, range(5)) == echoed(range(5))
            assert len(redis.callers) == 2

    run(test())


def test_garbage_instead_of_a_reply_means_unavailable_and_a_new_connection(directory: Path) -> None:
    def garbage(_: FakeRedis, caller: Caller, command: Command) -> None:
        caller.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" if command[0] == b"EVALSHA" else b"+OK\r\n")

    async def test() -> None:
        async with fake_redis(directory, garbage) as redis:
            group = GroupCommit(redis.url)
            assert all_unavailable(await commit_all(group, range(5)))
            redis.answering = echo
            assert await commit_all(group, [1]) == [b"1"]

    run(test())


def test_a_word_from_another_connection_than_the_present_one_answers_nobody(directory: Path) -> None:
    async def test() -> None:
        async with fake_redis(directory, only_greets) as redis:
            group = GroupCommit(redis.url)
            sent = asyncio.create_task(group.commit(words(1)))
            await redis.until(lambda: len(redis.callers) == 1 and len(redis.callers[0].evals) == 1)
            group_commit._Wire(group).data_received(bulk(b"a late reply"))
            redis.callers[0].write(bulk(b"1"))
            assert await sent == b"1"

    run(test())


def test_a_sender_that_went_away_takes_no_other_senders_reply_along(directory: Path) -> None:
    async def test() -> None:
        async with fake_redis(directory, only_greets) as redis:
            group = GroupCommit(redis.url)
            tasks = [asyncio.create_task(group.commit(words(tag))) for tag in range(5)]
            await redis.until(lambda: len(redis.callers) == 1 and len(redis.callers[0].evals) == 5)
            tasks[0].cancel()
            tasks[3].cancel()
            redis.callers[0].write(*(bulk(tag) for tag in echoed(range(5))))
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            assert [answers[i] for i in (1, 2, 4)] == [b"1", b"2", b"4"]
            redis.answering = echo
            assert await commit_all(group, [9]) == [b"9"]

    run(test())


def test_a_flood_of_large_deliveries_goes_in_groups_that_redis_can_answer_in_time(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "GROUP_LIMIT_BYTES", 100_000)

    async def test() -> None:
        async with fake_redis(directory, only_greets) as redis:
            group = GroupCommit(redis.url)
            sent = asyncio.create_task(commit_all(group, range(50), padding=b"x" * 10_000))
            await redis.until(lambda: len(redis.callers) == 1 and len(redis.callers[0].evals) >= 10)
            await asyncio.sleep(0.05)
            first_group = len(redis.callers[0].evals)
            assert first_group == 10
            redis.answering = echo
            redis.callers[0].write(*(bulk(each[-1]) for each in redis.callers[0].evals))
            assert await sent == echoed(range(50))

    run(test())


def test_above_the_limit_of_waiting_requests_the_process_refuses_at_once_and_takes_more_when_there_is_room(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "WAITING_LIMIT_COUNT", 10)

    async def test() -> None:
        async with fake_redis(directory, only_greets) as redis:
            group = GroupCommit(redis.url)
            kept = asyncio.create_task(commit_all(group, range(10)))
            await redis.until(lambda: len(redis.callers) == 1 and len(redis.callers[0].evals) == 10)
            with pytest.raises(Unavailable, match="10 acks wait already"):
                await group.commit(words(11))
            redis.answering = echo
            redis.callers[0].write(*(bulk(tag) for tag in echoed(range(10))))
            assert await kept == echoed(range(10))
            assert await group.commit(words(12)) == b"12"

    run(test())


@pytest.mark.parametrize(
    ("options", "mode"), [("", ssl.CERT_REQUIRED), ("?ssl_cert_reqs=none", ssl.CERT_NONE)], ids=["default", "none"]
)
def test_tls_is_as_strict_as_redis_url_says(options: str, mode: ssl.VerifyMode) -> None:
    tls = Address.parse(f"rediss://redis.example:6380/0{options}").tls
    assert tls is not None
    assert tls.verify_mode == mode
