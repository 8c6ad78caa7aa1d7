"""Rows for console tests, made as the drain would make them: ids from the kernel, a batch for every event."""

import csv
import io
import json
import tarfile
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction

from autocom.build import build
from autocom.kernel.clock import us_of
from autocom.kernel.digest import sha256
from autocom.kernel.ids import new_request_id
from autocom.kernel.merkle import leaf_hash
from autocom.kernel.signed_note import Checkpoint
from console.actions import service_tokens
from console.models import RbacRun
from console.service_tokens.scopes import Scope
from evidence.audit import Act, Actor, record
from evidence.models import (
    Artifact,
    AuditEntry,
    Bundle,
    BundleOrder,
    LogIncarnation,
    PromiseIncident,
    Publication,
    Seal,
)
from evidence.runs.folders import ACKS, RECEIVER, SAMPLES, SUMMARY, runs_root
from evidence.store import put, register
from ingestion.latency import LatencyRecorder, Stage
from ingestion.latency_store import store
from ingestion.models import (
    Batch,
    DeadLetter,
    Delivery,
    Event,
    Provider,
    QuarantinedEvent,
    RefusalCount,
    RefusalSample,
    SuppressedDuplicate,
)
from ingestion.replay.files import SAMPLE_COLUMNS
from ingestion.replay.histogram_log import histogram_of, write_log

_numbers = count(1)


def ago(**length: float) -> datetime:
    return datetime.now(UTC) - timedelta(**length)


def provider_row(name: str = "default", **fields: Any) -> Provider:
    return Provider.objects.get_or_create(name=name, defaults={"scheme": "generic", **fields})[0]


def batch_row(**fields: Any) -> Batch:
    number = next(_numbers)
    at = fields.pop("at", None) or ago(seconds=1)
    given = {
        "lane": number % 4,
        "epoch": 1,
        "first_sequence": number,
        "last_sequence": number,
        "event_count": 1,
        "merkle_root": sha256(b"root"),
        "worker": "worker-1",
        "fence": number,
        "claimed_at": at - timedelta(milliseconds=8),
        "committed_at": at,
    }
    return Batch.objects.create(**{**given, **fields})


def audit_row() -> AuditEntry:
    with transaction.atomic():
        return record(
            Act.PROVIDER_ADDED,
            actor=Actor.process("rows"),
            subject=f"provider {'long-name-' * 20}",
            reason="somebody gave a reason that goes on for a while",
            facts={"scheme": "generic", "options": []},
        )


def promise_row(event: Event) -> PromiseIncident:
    """A receipt for the event, whose promise was broken."""
    return PromiseIncident.objects.create(
        event_id=event.pk,
        lane=1,
        epoch=1,
        sequence=1,
        body_sha256=b"",
        accepted_at=event.accepted_at,
        found_at=event.accepted_at,
    )


def publication_row(state: str = "published", **fields: Any) -> Publication:
    sha256 = uuid4().hex * 2
    artifact = Artifact.objects.create(
        sha256=sha256, size_bytes=4_096, media_type="application/zip", stored_at=ago(hours=2)
    )
    row = {
        "endpoint": "https://evidence.example.com/evidence",
        "state": state,
        "asked_by": "dri",
        "asked_at": ago(hours=1),
        "attempt_count": 1,
    }
    return Publication.objects.create(artifact=artifact, **(row | fields))


def bundle_row(*, run_id: str = "r20260102T030405-0a0b0c") -> Bundle:
    """Of a run whose folder is there too. Its archive holds two files, and no proof of anything."""
    folder = runs_root() / run_id
    folder.mkdir(parents=True, exist_ok=True)
    summary = {"run_id": run_id, "provider": "default", "verdict": "PASS"}
    (folder / "summary.json").write_text(json.dumps(summary))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name in ("SHA256SUMS", "data/gate/verdict.json"):
            member = tarfile.TarInfo(f"autocom-a-{run_id}/{name}")
            member.size = 3
            tar.addfile(member, io.BytesIO(b"{}\n"))
    artifact = put(iter([packed.getvalue()]), limit_bytes=10_000)
    with transaction.atomic():
        register(artifact, name=f"autocom-a-{run_id}.tar.gz", actor=Actor.process("rows"))
    BundleOrder.objects.create(run_id=run_id, gate="a", actor="rows", asked_at=ago(minutes=1), state="failed", why="no")
    return Bundle.objects.create(
        artifact=artifact,
        run_id=run_id,
        gate="a",
        gate_version=1,
        verdict="INCONCLUSIVE",
        sums_sha256="ab" * 32,
        missing=["data/budget/ledger.csv"],
        made_at=ago(minutes=0),
        actor="rows",
    )


def run_files(run_id: str, latencies_us: list[int], *, receiver_us: list[int] | None = None) -> None:
    """The folder of a run whose every send was acknowledged at once, as a replay leaves it."""
    folder = runs_root() / run_id
    folder.mkdir(parents=True)
    count = len(latencies_us)
    told = {"run_id": run_id, "provider": "default", "verdict": "PASS", "planned": count, "accepted": count}
    (folder / SUMMARY).write_text(json.dumps({**told, "rate_achieved": 999.6}))
    with (folder / SAMPLES).open("w", newline="") as file:
        writer = csv.DictWriter(file, SAMPLE_COLUMNS)
        writer.writeheader()
        writer.writerows({"n": n, "latency_us": each, "first_status": 202} for n, each in enumerate(latencies_us))
    for name, values_us in ((ACKS, latencies_us), (RECEIVER, receiver_us)):
        if values_us is not None:
            write_log(folder / name, histogram_of(values_us), what="test", start_seconds=0, end_seconds=1)


def artifact_row() -> Artifact:
    """In the store of all tests, registered twice."""
    artifact = put(iter([b'{"events": 30000}']), limit_bytes=1_000)
    with transaction.atomic():
        register(artifact, name="summary.json", actor=Actor.process("rows"))
        register(
            artifact, name=f"{'long-name-' * 20}.json", actor=Actor.command_line("rows"), note="kept for gate A\nagain"
        )
    return artifact


def seal_row(log: str = "audit") -> Seal:
    """Of a log with one leaf, signed by nobody."""
    token = f"{next(_numbers):08x}"
    origin = f"localhost/autocom/{log}/{token}"
    start = f"acs1\t{origin}\t-\t0\t-\t1"
    root = leaf_hash(start.encode())
    incarnation = LogIncarnation.objects.create(
        log=log, token=token, origin=origin, start_line=start, first_number=1, started_at=ago(minutes=1)
    )
    return Seal.objects.create(
        incarnation=incarnation,
        number=1,
        first_index=0,
        tree_size=1,
        root=root,
        frontier=root,
        segment_sha256=sha256(start.encode() + b"\n"),
        segment_bytes=len(start) + 1,
        previous_sha256=bytes(32),
        text="autocom-seal/1\n\n" + Checkpoint(origin, 1, root).text + "\n",
        sealed_at=ago(minutes=1),
    )


def _common(received_at: datetime, fields: dict[str, Any]) -> dict[str, Any]:
    number = next(_numbers)
    given = {
        "provider": "default",
        "message_id": f"msg-{number}",
        "event_type": "email.delivered",
        "ordering_key": f"customer-{number % 7}",
        "identity": sha256(f"identity {number}".encode()),
        "recipe": "generic/1",
        "lane": number % 4,
        "epoch": 1,
        "sequence": number,
        "body_sha256": sha256(b"body"),
        "content_sha256": sha256(b"content"),
        "received_at": received_at,
        "accepted_at": received_at + timedelta(milliseconds=3),
    }
    return {**given, **fields}


def event_row(*, received_at: datetime | None = None, **fields: Any) -> Event:
    at = received_at or datetime.now(UTC)
    payload = fields.pop("payload", {"type": "email.delivered", "to": "someone@example.com"})
    identifier: UUID = fields.pop("id", None) or new_request_id(now_us=us_of(at))
    batch = fields.pop("batch", None) or batch_row(at=at + timedelta(milliseconds=20))
    return Event.objects.create(id=identifier, payload=json.dumps(payload), batch=batch, **_common(at, fields))


def delivery_row(event: Event, **headers: str) -> Delivery:
    return Delivery.objects.create(
        request_id=event.pk,
        provider=event.provider,
        received_at=event.received_at,
        headers=json.dumps(headers),
        body=b"{}",
        body_sha256=sha256(b"{}"),
        event_count=1,
    )


def dead_letter_row(*, received_at: datetime | None = None, **fields: Any) -> DeadLetter:
    at = received_at or datetime.now(UTC)
    given = {
        "event_id": new_request_id(now_us=us_of(at)),
        "payload_bytes": b'{"amount": NaN}',
        "error_class": "PayloadUnstorable",
        "error": "NaN is no JSON number",
        "fingerprint": "ab12cd34ef56ab12",
        "is_whole": True,
        "batch": fields.pop("batch", None) or batch_row(dead_count=1, event_count=0),
    }
    return DeadLetter.objects.create(**{**_common(at, fields), **given, **fields})


def duplicate_row(original: Event, *, received_at: datetime | None = None, **fields: Any) -> SuppressedDuplicate:
    at = received_at or datetime.now(UTC)
    given = {
        "event_id": new_request_id(now_us=us_of(at)),
        "original_event_id": original.pk,
        "provider": original.provider,
        "message_id": original.message_id,
        "event_type": original.event_type,
        "received_at": at,
    }
    return SuppressedDuplicate.objects.create(**{**given, **fields})


def quarantined_row(original: Event, *, received_at: datetime | None = None, **fields: Any) -> QuarantinedEvent:
    """The identity of the original with another content."""
    at = received_at or datetime.now(UTC)
    given = {
        "event_id": new_request_id(now_us=us_of(at)),
        "original_event_id": original.pk,
        "original_content_sha256": bytes(original.content_sha256),
        "payload_bytes": b'{"type": "email.delivered", "to": "someone-else@example.com"}',
        "content_sha256": sha256(b"another content"),
        "is_whole": True,
        "batch": fields.pop("batch", None) or batch_row(quarantined_count=1, event_count=0),
        "identity": bytes(original.identity),
        "message_id": original.message_id,
        "event_type": original.event_type,
        "provider": original.provider,
    }
    return QuarantinedEvent.objects.create(**{**_common(at, {}), **given, **fields})


def refusal_rows(provider: str, *, reason: str = "wrong_signature", count: int = 7, **fields: Any) -> RefusalSample:
    """A count of the last second, and a sample."""
    number = next(_numbers)
    now = datetime.now(UTC)
    RefusalCount.objects.create(
        minute=now, provider=provider, reason=reason, process="test", flush_number=number, count=count
    )
    given = {
        "cause": "json_rewritten",
        "request_id": new_request_id(now_us=us_of(now)),
        "received_at": now,
        "header_names": ["content-length", "content-type", "host", "x-webhook-signature", "x-webhook-timestamp"],
        "signature_starts": {"x-webhook-signature": "sha256… 71 characters"},
        "content_type": "application/json",
        "body_bytes": 312,
        "body_start": '{"aa": "aaa_000", "aaaa"',
    }
    return RefusalSample.objects.create(provider=provider, reason=reason, **{**given, **fields})


def latencies(stage: Stage, durations_ms: list[float], *, provider: str = "default") -> None:
    """As a process that measured these durations just now would have stored them."""
    recorder = LatencyRecorder(process=f"test-{next(_numbers)}")
    for duration_ms in durations_ms:
        recorder.record(stage, provider, round(duration_ms * 1_000))
    store(recorder.take(), process=recorder.process)


def rbac_run_row() -> RbacRun:
    """Of this code, with a cell that does not match."""
    cells = [["allow", "match"], ["allow", "MISMATCH"]]
    line = {"route": "admin/log/", "rule": "page: evidence.view_seal", "methods": ["GET", "HEAD"], "cells": cells}
    return RbacRun.objects.create(
        at=datetime.now(UTC),
        commit="0" * 40,
        build=build(),
        outcome="FAIL",
        cell_count=4,
        match_count=2,
        mismatch_count=2,
        untested_count=0,
        seconds=1.5,
        asked_by="os:somebody",
        matrix_sha256="5" * 64,
        personas=["Auditor", "no role"],
        lines=[line],
    )


def token_rows() -> None:
    """One that was rotated, one that was revoked, one with a long name and every scope."""
    who, now = Actor.command_line("rows"), datetime.now(UTC)
    for name, scopes in (("ci", [Scope.EVIDENCE_WRITE]), ("old", [Scope.AUDIT_READ]), ("reader." + "x" * 57, [*Scope])):
        service_tokens.create(actor=who, name=name, scopes=scopes, life=timedelta(days=30), now=now)
    service_tokens.rotate(
        actor=who, name="ci", overlap=timedelta(hours=24), life=timedelta(days=30), now=now + timedelta(seconds=1)
    )
    service_tokens.revoke(actor=who, name="old", now=now)
