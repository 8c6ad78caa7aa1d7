from __future__ import annotations

import json
import sys
from typing import Any, override

from django.conf import settings
from django.core.management.base import CommandParser

from autocom.doctor.examine import examined
from autocom.doctor.groups import GROUPS, WHILE_RUNNING, check_ids, parts_by_group
from autocom.doctor.report import as_json, lines, verdict
from ingestion.management.with_examples import WithExamples


class Command(WithExamples):
    help = (
        "Would this installation keep its promise? Asks Redis, PostgreSQL, this machine and the processes; changes "
        "nothing. Exit 0: yes, warnings allowed. 1: something would break it, or could not be asked. 2: wrong usage."
    )
    examples = ("doctor", "doctor --before-start --json", "doctor --only redis --accept-unknown redis.disk")
    requires_system_checks = ()

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
        parser.add_argument(
            "--only", action="append", choices=GROUPS, metavar="GROUP", help=f"one of {', '.join(GROUPS)}; repeatable"
        )
        parser.add_argument(
            "--before-start", action="store_true", help="leave out what only a running service can answer"
        )
        parser.add_argument(
            "--accept-unknown",
            action="append",
            default=[],
            choices=check_ids(),
            metavar="CHECK",
            help="an UNKNOWN of this check (redis.disk of a managed Redis) is answered for elsewhere; repeatable",
        )
        parser.add_argument(
            "--ingress-url", default="", help="where the ingress answers, if not on this machine's port"
        )

    @override
    def handle(
        self,
        *,
        json: bool,
        only: list[str] | None,
        before_start: bool,
        accept_unknown: list[str],
        ingress_url: str,
        **_: Any,
    ) -> None:
        left_out = [group for group in WHILE_RUNNING if before_start]
        asked = [group for group in only or GROUPS if group not in left_out]
        parts = parts_by_group(ingress_url=(ingress_url or _own_ingress()).rstrip("/"))
        findings = examined(
            [part for group in GROUPS if group in asked for part in parts[group]], accepted_unknown=accept_unknown
        )
        if json:
            self.stdout.write(_json_text(as_json(findings, not_asked=left_out)))
        else:
            in_colour = self.stdout.isatty()
            self.stdout.write("\n".join(lines(findings, not_asked=left_out, in_colour=in_colour)))
        sys.exit(0 if verdict(findings) == "PASS" else 1)


def _own_ingress() -> str:
    host = settings.AUTOCOM.ingress_host
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  (listens everywhere: asked here)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.AUTOCOM.ingress_port}"


def _json_text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
