"""Orders over letters and verifications, as their processes leave them."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from autocom.kernel.ids import new_request_id
from console.set_aside.orders import digest_of, packed
from evidence.models import Bundle, SetAsideOrder, VerificationOrder
from ingestion.redrive.place import SetAside
from tests.console.rows import ago

ASKED = {"actor_kind": "person", "actor": "dri"}


def letter_order_row(*, count: int = 1_200, **fields: Any) -> SetAsideOrder:
    ids = [new_request_id(now_us=n) for n in range(1, count + 1)]
    given = {
        "place": "dead_letter",
        "verb": "retry",
        "reason": "the check is mended",
        "chosen": "state=open&provider=default",
        "event_ids": packed(ids),
        "ids_sha256": digest_of(ids),
        "count": count,
        "asked_at": ago(minutes=2),
        "started_at": ago(seconds=5),
    }
    return SetAsideOrder.objects.create(**{**ASKED, **given, **fields})


def verification_row(bundle: Bundle | None = None, **fields: Any) -> VerificationOrder:
    given = {"total_count": 180_000, "asked_at": ago(minutes=2), "started_at": ago(seconds=5), "bundle": bundle}
    return VerificationOrder.objects.create(**{**ASKED, **given, **fields})


def order_pages(bundle: Bundle) -> dict[str, str]:
    """Of each kind: under way, died or failed, and done."""
    so_far: dict[str, Any] = {
        "position": 500,
        "done_count": 480,
        "refused_count": 20,
        "stored_count": 311,
        "reopened_count": 2,
    }
    waiting = "waiting until 167 of the last 480 letters are committed"
    whole: dict[str, Any] = {
        "position": 1_200,
        "done_count": 1_180,
        "refused_count": 20,
        "stored_count": 1_170,
        "reopened_count": 10,
    }
    findings = [f"entry {n} was changed: its content has the digest {'ab' * 32}" for n in (7, 8_000)]
    settled: dict[str, Any] = {"settled_at": ago(seconds=1)}
    letters = {
        "letter_order_running": letter_order_row(state="running", step=waiting, **so_far),
        "letter_order_waiting": letter_order_row(verb="discard", started_at=None, reason="long-reason-" * 20),
        "letter_order_died": letter_order_row(state="died", **so_far, **settled),
        "letter_order_done": letter_order_row(state="done", **whole, **settled),
    }
    quarantined = letter_order_row(place=SetAside.QUARANTINE.value, state="done", **whole, **settled)
    log = {
        "verification_running": verification_row(state="running", step="reading the entries", checked_count=66_000),
        "verification_died": verification_row(state="died", checked_count=66_000, **settled),
        "verification_fail": verification_row(
            state="done",
            outcome="FAIL",
            finding_count=2,
            findings=findings,
            told={"head": f"180000:{'ab' * 32}"},
            checked_count=180_000,
            **settled,
        ),
    }
    ours = verification_row(
        bundle,
        state="done",
        outcome="PASS",
        finding_count=0,
        told={"unknown": [], "warnings": ["compare the key with one that came another way"]},
        total_count=90_000_000,
        checked_count=90_000_000,
        **settled,
    )
    return {
        **{name: reverse("admin:ingestion_deadletter_order", args=[row.pk]) for name, row in letters.items()},
        "letter_order_quarantine": reverse("admin:ingestion_quarantinedevent_order", args=[quarantined.pk]),
        **{name: reverse("admin:log_verification", args=[row.pk]) for name, row in log.items()},
        "verification_bundle": reverse("admin:bundle_verification", args=[bundle.artifact_id, ours.pk]),
    }
