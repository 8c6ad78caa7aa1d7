"""Every group of checks, in the order in which a person mends them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autocom.doctor.examine import Part
from autocom.doctor.judgements import (
    backlog,
    clocks,
    disk,
    log,
    postgres_schema,
    postgres_server,
    processes,
    redis_server,
    secret_settings,
)
from autocom.doctor.readers import backlog as backlog_reader
from autocom.doctor.readers import clocks as clock_reader
from autocom.doctor.readers import log as log_reader
from autocom.doctor.readers import machine as machine_reader
from autocom.doctor.readers import postgres_schema as schema_reader
from autocom.doctor.readers import postgres_server as postgres_reader
from autocom.doctor.readers import redis_server as redis_reader
from autocom.doctor.readers import secret_settings as secret_reader
from autocom.doctor.readers.processes import ProcessReader

ASK_REDIS = "check REDIS_URL and whether Redis runs: redis-cli PING; a local one starts with manage.py up"
ASK_POSTGRES = "check DB_URL and whether PostgreSQL runs: pg_isready; a local one starts with manage.py up"
GROUPS = ("redis", "postgres", "clocks", "secrets", "processes", "disk", "log", "backlog")
WHILE_RUNNING = ("processes",)  # before the start there are none to find


def parts_by_group(*, ingress_url: str) -> Mapping[str, Sequence[Part[Any]]]:
    return {
        "redis": [
            Part(checks=redis_server.CHECKS, read=redis_reader.read, judge=redis_server.judge, unreachable=ASK_REDIS)
        ],
        "postgres": [
            Part(
                checks=postgres_server.CHECKS,
                read=postgres_reader.read,
                judge=postgres_server.judge,
                unreachable=ASK_POSTGRES,
            ),
            Part(
                checks=postgres_schema.CHECKS,
                read=schema_reader.read,
                judge=postgres_schema.judge,
                unreachable=ASK_POSTGRES,
            ),
        ],
        "clocks": [
            Part(checks=clocks.CHECKS, read=clock_reader.read, judge=clocks.judge, unreachable="see redis and postgres")
        ],
        "secrets": [
            Part(
                checks=secret_settings.SETTING_CHECKS,
                read=secret_reader.read,
                judge=secret_settings.judge,
                unreachable="run it as the user who may read AUTOCOM_DATA_DIR",
            ),
            Part(
                checks=secret_settings.STORED_CHECKS,
                read=secret_reader.read_stored,
                judge=secret_settings.judge_stored,
                unreachable=ASK_POSTGRES,
            ),
        ],
        "processes": [
            Part(
                checks=processes.CHECKS,
                read=ProcessReader(ingress_url),
                judge=processes.judge,
                unreachable=ASK_REDIS,
            )
        ],
        "disk": [
            Part(
                checks=disk.CHECKS,
                read=machine_reader.read,
                judge=disk.judge,
                unreachable="run it as the services' user, on their machine",
            )
        ],
        "log": [Part(checks=log.CHECKS, read=log_reader.read, judge=log.judge, unreachable=ASK_POSTGRES)],
        "backlog": [
            Part(
                checks=backlog.LANE_CHECKS,
                read=backlog_reader.read_lanes,
                judge=backlog.judge_lanes,
                unreachable=ASK_REDIS,
            ),
            Part(
                checks=backlog.PERSON_CHECKS,
                read=backlog_reader.read_persons,
                judge=backlog.judge_persons,
                unreachable=ASK_POSTGRES,
            ),
        ],
    }


def check_ids() -> list[str]:
    return [check.id for parts in parts_by_group(ingress_url="").values() for part in parts for check in part.checks]
