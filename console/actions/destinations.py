"""Changes of destinations, each with its audit entry, which names the secret by its fingerprint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.core.validators import validate_slug
from django.db import transaction

from console.access import Permission
from console.actions.operator import Operator, check
from evidence.audit import Act, record
from evidence.models import Destination, Outgoing
from evidence.outgoing.claims import now
from evidence.outgoing.errors import DestinationExists, DestinationInUse, DestinationNotFound
from evidence.outgoing.forwards import start_forwarding
from evidence.outgoing.mail import check_mail_destination, is_mail
from evidence.outgoing.signature import new_secret
from evidence.sends import DestinationInvalid, check_address
from ingestion.secret_box import fingerprint_of, seal

NAME_LIMIT_CHARS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """Which accepted events are forwarded; an empty list: all."""

    providers: Sequence[str] = ()
    event_types: Sequence[str] = ()


def add(
    operator: Operator, *, name: str, address: str, alert_kinds: Sequence[str], forward: Forward | None = None
) -> str:
    """The new signing secret, which nothing shows again; of mail, which is not signed, an empty text.

    Raises RefusalRecorded, DestinationInvalid and DestinationExists.
    """
    check(operator, Permission.DESTINATION_MANAGE, subject=f"destination {name[:NAME_LIMIT_CHARS]}")
    _refuse_no_name(name)
    if is_mail(address):
        check_mail_destination(address, forwards=forward is not None)
    else:
        check_address(address)
    secret = "" if is_mail(address) else new_secret()
    fingerprint = fingerprint_of(secret) if secret else ""
    with transaction.atomic():
        row, is_new = Destination.objects.get_or_create(
            name=name,
            defaults={
                "address": address,
                "secret_ciphertext": seal(secret),
                "secret_fingerprint": fingerprint,
                "alert_kinds": sorted(set(alert_kinds)),
                "tells_alerts": forward is None or bool(alert_kinds),
                "forwards": forward is not None,
                "providers": sorted(forward.providers) if forward else [],
                "event_types": sorted(forward.event_types) if forward else [],
                "created_at": now(),
            },
        )
        if not is_new:
            raise DestinationExists(f"there is a destination {name} already: give another name")
        if forward is not None:
            start_forwarding(row)
        facts: dict[str, object] = {
            "address": address,
            "alert_kinds": sorted(set(alert_kinds)),
            "secret": fingerprint,
        }
        if forward is not None:
            facts["forward"] = {"providers": sorted(forward.providers), "event_types": sorted(forward.event_types)}
        record(Act.DESTINATION_ADDED, actor=operator.actor, subject=f"destination {name}", facts=facts)
    return secret


def switch(operator: Operator, name: str, *, enabled: bool) -> bool:
    """False where it was so already. Raises RefusalRecorded and DestinationNotFound."""
    check(operator, Permission.DESTINATION_MANAGE, subject=f"destination {name}")
    with transaction.atomic():
        row = _locked(name)
        if row.enabled == enabled:
            return False
        row.enabled = enabled
        row.save(update_fields=["enabled"])
        record(Act.DESTINATION_CHANGED, actor=operator.actor, subject=f"destination {name}", facts={"enabled": enabled})
    return True


def remove(operator: Operator, name: str, *, reason: str) -> None:
    """It and its settled messages are gone. Raises RefusalRecorded, DestinationNotFound and DestinationInUse."""
    check(operator, Permission.DESTINATION_MANAGE, subject=f"destination {name}")
    with transaction.atomic():
        row = _locked(name)
        open_count = row.outgoing.exclude(state__in=[Outgoing.State.SENT, Outgoing.State.DISCARDED]).count()
        if open_count:
            raise DestinationInUse(f"{open_count} messages to {name} are not settled: disable it, and discard them")
        facts = {"messages": row.outgoing.count(), "secret": row.secret_fingerprint}
        row.outgoing.all().delete()
        row.withheld.all().delete()
        row.delete()
        record(Act.DESTINATION_REMOVED, actor=operator.actor, subject=f"destination {name}", reason=reason, facts=facts)


def _refuse_no_name(name: str) -> None:
    try:
        validate_slug(name)
    except ValidationError:
        raise DestinationInvalid("the name takes letters, digits, - and _ alone: such as on-call") from None
    if len(name) > NAME_LIMIT_CHARS:
        raise DestinationInvalid(f"the name has {len(name)} characters: {NAME_LIMIT_CHARS} are enough")


def _locked(name: str) -> Destination:
    row = Destination.objects.select_for_update().filter(name=name).first()
    if row is None:
        raise DestinationNotFound(f"there is no destination {name}: `destination list` names them")
    return row
