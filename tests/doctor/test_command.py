"""`manage.py doctor`: its verdict and exit code, what it prints, and that it changes nothing."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from rq.cron import CronScheduler

from autocom.doctor.examine import Part, examined
from autocom.doctor.finding import Check, Finding, Level
from autocom.doctor.groups import GROUPS, check_ids, parts_by_group
from autocom.doctor.report import as_json, lines, verdict
from ingestion.buffer import keys
from ingestion.buffer.store import LaneBuffer, lane_buffer
from ingestion.worker import drain_worker
from tests.project.up_kit import Up, new_up, wait_for

CHECK = Check("redis.one", "It matters.", "mend it")
OTHER = Check("redis.other", "It matters too.", "mend that")
DOCS = Path(__file__).resolve().parents[2] / "docs"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def doctor(*words: str, out: io.StringIO | None = None) -> tuple[int, str]:
    """Exit code and output."""
    out = out or io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", *words, stdout=out)
    assert isinstance(ended.value.code, int)
    return ended.value.code, out.getvalue()


def part(*found: Finding, fault: Exception | None = None) -> Part[Any]:
    def read() -> Sequence[Finding]:
        if fault is not None:
            raise fault
        return found

    return Part(checks=(CHECK, OTHER), read=read, judge=lambda facts: iter(facts), unreachable="ask again")


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([CHECK.fine("f"), OTHER.fine("f")], "PASS"),
        ([CHECK.fine("f"), OTHER.warning("w")], "PASS"),
        ([CHECK.fine("f"), OTHER.unknown("u")], "FAIL"),
        ([CHECK.fail("f"), OTHER.fine("f")], "FAIL"),
        ([], "FAIL"),
    ],
)
def test_warnings_pass_and_failures_unknowns_and_nothing_at_all_do_not(levels: list[Finding], expected: str) -> None:
    assert verdict(levels) == expected


def test_a_check_that_was_not_judged_is_unknown() -> None:
    found = examined([part(CHECK.fine("f"))], accepted_unknown=())
    assert [(each.check, each.level) for each in found] == [(CHECK, Level.FINE), (OTHER, Level.UNKNOWN)]


def test_a_part_that_breaks_is_unknown_with_what_to_do_and_hides_no_other() -> None:
    found = examined([part(fault=KeyError("aof_enabled")), part(CHECK.fine("f"), OTHER.fine("f"))], accepted_unknown=())
    assert [each.level for each in found] == [Level.UNKNOWN, Level.UNKNOWN, Level.FINE, Level.FINE]
    assert found[0].mend == "ask again"
    assert found[0].found.startswith("could not be asked: KeyError")


def test_a_fault_with_a_secret_in_its_text_does_not_print_it() -> None:
    fault = OSError("redis://user:hunter2hunter2@host refused")
    assert "hunter2" not in examined([part(fault=fault)], accepted_unknown=())[0].found


def test_an_accepted_unknown_passes_and_is_still_shown_and_an_accepted_failure_does_not() -> None:
    unknown = examined([part(CHECK.unknown("u"), OTHER.fine("f"))], accepted_unknown=("redis.one",))
    assert verdict(unknown) == "PASS"
    assert "u (accepted)" in "\n".join(lines(unknown, not_asked=(), in_colour=False))
    assert as_json(unknown, not_asked=())["findings"][0]["accepted"] is True
    failed = examined([part(CHECK.fail("f"), OTHER.fine("f"))], accepted_unknown=("redis.one",))
    assert verdict(failed) == "FAIL"


def test_a_fine_check_is_one_line_and_a_finding_has_its_three_sentences() -> None:
    shown = list(lines([CHECK.fine("all well"), OTHER.fail("broken")], not_asked=["processes"], in_colour=False))
    assert shown == [
        "redis",
        "  fine     redis.one    all well",
        "  FAIL     redis.other  broken",
        "           why   It matters too.",
        "           mend  mend that",
        "processes: not asked",
        "FAIL: 1 FAIL, 1 fine",
    ]


@pytest.mark.django_db
def test_a_group_alone_is_asked_alone_and_in_json(buffer: LaneBuffer) -> None:
    code, out = doctor("--only", "redis", "--only", "disk", "--json")
    told = json.loads(out)
    assert (code, told["verdict"]) == (0, "PASS")
    assert {found["group"] for found in told["findings"]} == {"redis", "disk"}
    assert all(found["why"] and (found["mend"] or found["level"] == "fine") for found in told["findings"])
    assert sum(told["counts"].values()) == len(told["findings"])


@pytest.mark.django_db
def test_before_the_start_nobody_has_to_run(buffer: LaneBuffer) -> None:
    code, out = doctor("--before-start", "--only", "redis", "--only", "processes")
    assert code == 0
    assert "processes: not asked" in out
    code, out = doctor("--before-start", "--only", "processes", "--json")
    assert (code, json.loads(out)["not_asked"]) == (1, ["processes"])  # nothing asked is no PASS


@pytest.mark.django_db
def test_a_weaker_redis_ends_it_with_1(buffer: LaneBuffer) -> None:
    assert doctor("--only", "redis")[0] == 0
    buffer.client.config_set("appendfsync", "everysec")
    try:
        code, out = doctor("--only", "redis")
    finally:
        buffer.client.config_set("appendfsync", "always")
    assert code == 1
    assert "mend  redis-cli CONFIG SET appendfsync always" in out


def test_redis_that_is_not_there_ends_it_with_1(settings: Any) -> None:
    settings.AUTOCOM = dataclasses.replace(settings.AUTOCOM, redis_url="unix:///nowhere/valkey.sock?db=0")
    lane_buffer.cache_clear()
    try:
        assert doctor("--only", "redis")[0] == 1
    finally:
        lane_buffer.cache_clear()


@pytest.mark.django_db
def test_colours_are_for_terminals_only(buffer: LaneBuffer) -> None:
    assert "\x1b[" not in doctor("--only", "redis")[1]
    assert "\x1b[" in doctor("--only", "redis", out=Terminal())[1]


@pytest.mark.parametrize("words", [("--only", "weather"), ("--accept-unknown", "redis.weather")])
def test_an_unknown_word_is_refused_with_the_known_ones(words: tuple[str, str]) -> None:
    with pytest.raises(CommandError, match="redis"):
        call_command("doctor", *words)


def redis_contents(buffer: LaneBuffer) -> dict[Any, Any]:
    return {key: buffer.client.dump(key) for key in buffer.client.keys("*")}


@pytest.mark.django_db(transaction=True)
def test_it_changes_nothing_in_redis_not_even_names_of_the_dead(
    buffer: LaneBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered: Any = drain_worker(queue=keys.DRAIN_QUEUE, name="dead")
    registered.register_birth()
    buffer.client.delete(registered.key)  # RQ's own reader would strike its name off the list
    cron: Any = CronScheduler(connection=buffer.client)
    cron.register_birth()
    buffer.client.zadd("{autocom}:rq:cron_schedulers", {cron.name: 1})  # and prune this one
    buffer.client.xadd(keys.stream(1), {"k": "E", "t": 1, "m": "{}", "h": "h"}, id="1-0")
    before = redis_contents(buffer)
    assert doctor()[0] == 1
    assert redis_contents(buffer) == before


@pytest.mark.django_db(transaction=True)
def test_it_writes_nothing_to_postgresql(buffer: LaneBuffer) -> None:
    def written() -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_force_next_flush()")
            cursor.execute("SELECT relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables ORDER BY relname")
            return list(cursor.fetchall())

    before = written()
    doctor("--before-start")
    assert written() == before


def test_the_manual_lists_exactly_the_checks() -> None:
    manual = (DOCS / "operate.md").read_text().partition("## Is it fit for production?")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `([a-z]+\.[a-z_]+)` \| \S", manual, re.MULTILINE)
    assert listed == check_ids()


def test_each_check_has_an_id_of_its_group_a_reason_and_a_remedy() -> None:
    for group, parts in parts_by_group(ingress_url="").items():
        for check in (check for part in parts for check in part.checks):
            assert check.group == group
            assert check.why.endswith(".")
            assert check.mend
    assert set(parts_by_group(ingress_url="")) == set(GROUPS)
    assert len(set(check_ids())) == len(check_ids())


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    with new_up() as up:
        up.start()
        wait_for(up.is_ready, what=lambda: f"readiness\n{up.text()}")
        yield up


def told(up: Up, *words: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Exit code and findings by check."""
    done = up.manage("doctor", "--json", *words)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, {found["check"]: found for found in json.loads(done.stdout)["findings"]}


def levels(found: dict[str, dict[str, str]], level: str) -> set[str]:
    return {check for check, each in found.items() if each["level"] == level}


def test_what_manage_py_up_starts_passes_every_check(up: Up) -> None:
    code, found = told(up)
    assert (code, levels(found, "fail"), levels(found, "unknown")) == (0, set(), set())
    assert levels(found, "warning") <= {"redis.maxmemory", "postgres.timeouts", "disk.descriptors", "disk.data_dir"}
    assert found["postgres.durability"]["found"] == "fsync on, full_page_writes on, synchronous_commit on"


def test_before_a_start_on_a_new_machine_it_says_what_is_not_there() -> None:
    with new_up() as unborn:
        unborn.data_dir.mkdir(parents=True)
        (unborn.data_dir / "secrets").mkdir()
        for name in ("SECRET_KEY", "WEBHOOK_BEARER_KEY", "WEBHOOK_HMAC_SECRET"):
            (unborn.data_dir / "secrets" / name).write_text(f"0123456789abcdef-{name.lower()}")
        code, found = told(unborn, "--before-start")
    assert code == 1
    assert levels(found, "unknown") >= {"redis.appendfsync", "postgres.identity", "secrets.stored_keys", "clocks.redis"}
    assert levels(found, "fail") == set()
