"""A specification is frozen: from then on runs may be judged by it, and its text stays as it is."""

from __future__ import annotations

import hashlib

from django.db import transaction

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from autocom.kernel.errors import AutocomError
from evidence.audit import Act, Actor, record
from evidence.gates.spec import GateSpec, gate
from evidence.models import FrozenSpec, Gate


class AlreadyFrozen(AutocomError):
    """This version of the gate was frozen before: what it says cannot be changed, only a new version can."""

    code = "gate_already_frozen"


class ReasonMissing(AutocomError):
    """An act that asks for a reason was given none."""

    code = "reason_missing"


def freeze(name: str, *, actor: Actor, reason: str) -> FrozenSpec:
    """The shipped specification, entered in the audit log. Raises GateUnknown, AlreadyFrozen, ReasonMissing."""
    if not reason.strip():
        raise ReasonMissing("say why the specification is frozen: the reason goes into the audit log")
    spec = gate(name)
    with transaction.atomic(durable=True):
        row, _ = Gate.objects.get_or_create(name=spec.name)
        Gate.objects.select_for_update().get(pk=row.pk)
        _refuse_known(row, spec)
        facts = {"gate": spec.name, "version": spec.version, "sha256": sha256_of(spec)}
        entry = record(Act.GATE_SPEC_FROZEN, actor=actor, subject=f"gate {spec.name}", reason=reason, facts=facts)
        return FrozenSpec.objects.create(
            gate=row,
            version=spec.version,
            sha256=sha256_of(spec),
            text=spec.text.decode(),
            frozen_at=datetime_of(us=SYSTEM_CLOCK.now_us()),
            actor_kind=actor.kind.value,
            actor=actor.name,
            reason=reason,
            audit_number=entry.number,
        )


def frozen(name: str) -> FrozenSpec | None:
    """The one that was frozen last."""
    return FrozenSpec.objects.filter(gate__name=name).select_related("gate").order_by("-audit_number").first()


def sha256_of(spec: GateSpec) -> str:
    """Of the specification's text, in hexadecimal."""
    return hashlib.sha256(spec.text).hexdigest()


def _refuse_known(row: Gate, spec: GateSpec) -> None:
    known = FrozenSpec.objects.filter(gate=row, version=spec.version).first()
    if known is None:
        return
    if known.sha256 == sha256_of(spec):
        raise AlreadyFrozen(
            f"gate {spec.name} version {spec.version} was frozen at {known.frozen_at:%Y-%m-%d %H:%M} UTC"
        )
    raise AlreadyFrozen(
        f"gate {spec.name} version {spec.version} was frozen with another text: give the changed one a new version"
    )
