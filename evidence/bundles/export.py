"""A bundle into the evidence store: made, kept under its digest, registered, on record."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from django.conf import settings
from django.db import transaction

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.audit import Act, Actor, record
from evidence.bundles.make import MadeBundle, make
from evidence.models import Artifact, Bundle
from evidence.orders.steps import no_step
from evidence.runs.folders import RunFolder
from evidence.store import put, register
from evidence.store.digests import CHUNK_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedBundle:
    """`is_new`: no bundle of these bytes was there."""

    bundle: Bundle
    made: MadeBundle
    is_new: bool


def export(
    folder: RunFolder,
    *,
    actor: Actor,
    gate_name: str = "a",
    faults: Path | None = None,
    into: Path | None = None,
    on_step: Callable[[str], None] = no_step,
) -> ExportedBundle:
    """In the store, and a copy in `into` where one is wanted. The same run again gives the same artifact.

    Raises what `on_step` raises, BundleRefused, GateUnknown, StoreError, AuditLogBusy, OSError, django.db.Error.
    """
    root: Path = settings.AUTOCOM.evidence_root
    root.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=root, prefix="export-") as scratch:
        made = make(folder, gate_name=gate_name, faults=faults, into=Path(scratch), on_step=on_step)
        on_step("storing the archive")
        artifact = _stored(made)
        if into is not None:
            into.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(made.archive, into / made.archive.name)
    with transaction.atomic():
        register(artifact, name=made.archive.name, actor=actor)
        bundle, is_new = _row(artifact, made, actor=actor)
        record(Act.BUNDLE_EXPORTED, actor=actor, subject=f"run {made.run_id}", facts=_facts(made))
    return ExportedBundle(bundle=bundle, made=made, is_new=is_new)


def _stored(made: MadeBundle) -> Artifact:
    with made.archive.open("rb") as file:
        chunks = iter(lambda: file.read(CHUNK_BYTES), b"")
        return put(chunks, declared_sha256=made.sha256, limit_bytes=settings.AUTOCOM.evidence_limit_bytes)


def _row(artifact: Artifact, made: MadeBundle, *, actor: Actor) -> tuple[Bundle, bool]:
    return Bundle.objects.get_or_create(
        artifact=artifact,
        defaults={
            "run_id": made.run_id,
            "gate": made.verdict.gate,
            "gate_version": made.verdict.version,
            "verdict": made.verdict.outcome.value,
            "sums_sha256": made.sums_sha256,
            "missing": list(made.verdict.missing),
            "made_at": datetime_of(us=SYSTEM_CLOCK.now_us()),
            "actor": actor.name,
        },
    )


def _facts(made: MadeBundle) -> dict[str, object]:
    return {
        "artifact": made.sha256,
        "gate": made.verdict.gate,
        "gate_version": made.verdict.version,
        "missing": list(made.verdict.missing),
        "sums_sha256": made.sums_sha256,
        "verdict": made.verdict.outcome.value,
    }
