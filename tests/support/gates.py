"""People, and bundles that a decision can be about: small archives with the three files that decisions read."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import override_settings

from autocom.build import build
from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from console.roles import Role, sync_roles
from evidence.audit import Actor
from evidence.configuration import configuration
from evidence.decisions import decide, dri
from evidence.decisions.approve import approve
from evidence.decisions.decide import RollbackPlan
from evidence.decisions.running import running
from evidence.gates.freeze import freeze
from evidence.gates.spec import gate as spec_of
from evidence.models import Bundle, Decision, FrozenSpec, Gate
from evidence.store import put

PASSWORD = "correct horse battery staple"
PLAN = RollbackPlan(trigger="any guardrail", steps="manage.py mode set OBSERVER", owner="ann", limit_seconds=60)
TEST = Actor.process("gates-kit")


@contextmanager
def own_store(folder: Path) -> Iterator[None]:
    """EVIDENCE_ROOT is the folder, and what runs is what these settings say."""
    with override_settings(AUTOCOM=replace(settings.AUTOCOM, evidence_root=folder)):
        running.cache_clear()
        yield
    running.cache_clear()


def person(username: str, *roles: Role) -> Any:
    if not Group.objects.filter(name=Role.DRI.value).exists():
        sync_roles()
    user = get_user_model().objects.create_user(username, password=PASSWORD, is_staff=True)
    user.groups.set(Group.objects.filter(name__in=[role.value for role in roles]))
    return user


def frozen_gate(name: str = "a") -> Gate:
    found = FrozenSpec.objects.filter(gate__name=name, version=spec_of(name).version).first()
    return (found or freeze(name, actor=TEST, reason="to be judged by")).gate


def bundle(
    verdict: str = "PASS",
    *,
    gate: str = "a",
    ended: timedelta = timedelta(),
    spec: bytes | None = None,
    failing: str = "ack P95",
    criteria: Sequence[Mapping[str, Any]] = (),
    **environment: Any,
) -> Bundle:
    """Of a run that began `ended` ago, on what runs here; `environment`: what was otherwise then. Its verdict tells of
    the one criterion that is failing or of these.
    """
    now = datetime.now(UTC) - ended
    run_id = f"r{now:%Y%m%dT%H%M%S}-{abs(hash((verdict, gate, now))) % 0xFFFFFF:06x}"
    told = list(criteria) or [{"name": failing, "metric": "ack_ms.p95", "outcome": verdict}]
    files = {
        "data/gate/spec.json": spec if spec is not None else spec_of(gate).text,
        "data/gate/verdict.json": json.dumps(
            {"verdict": verdict, "criteria": told, "missing": [], "doubts": [], "run_id": run_id}
        ).encode(),
        "data/environment/environment.json": json.dumps(running_environment() | environment).encode(),
    }
    archive = packed(files)
    artifact = put([archive], limit_bytes=settings.AUTOCOM.evidence_limit_bytes)
    return Bundle.objects.create(
        artifact=artifact,
        run_id=run_id,
        gate=gate,
        gate_version=spec_of(gate).version,
        verdict=verdict,
        sums_sha256="0" * 64,
        missing=[],
        made_at=datetime_of(us=SYSTEM_CLOCK.now_us()),
        actor="test",
    )


def running_environment() -> dict[str, Any]:
    told = configuration()
    autocom = {"commit": "a" * 40, "is_changed": False, "build": build()}
    return {"autocom": autocom, "lock_file_sha256": told["lock_file_sha256"], "settings": told["settings"]}


def packed(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"bundle/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def approved_go(*, ended: timedelta = timedelta(), gate: str = "a", suffix: str = "") -> Decision:
    """By ann, who is the DRI, and bob of Leadership."""
    ann, bob = person(f"ann{suffix}", Role.DRI), person(f"bob{suffix}", Role.LEADERSHIP)
    row = frozen_gate(gate)
    dri.assign(row, username=ann.username, actor=Actor.person(bob), reason="owns the launch")
    decision = decide.decide_go(row, bundle(gate=gate, ended=ended), user=ann, reason="all met", plan=PLAN)
    approve(decision, user=bob, reason="looked at it")
    return decision
