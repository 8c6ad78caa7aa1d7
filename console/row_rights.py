"""Rights on single rows: on a gate for its DRI, on a provider or a bundle for somebody who may see no other.

A right on a row is an addition to the roles, never a part of one, and nothing follows from it for other rows: whoever
holds one on a provider does not see its events, and whoever holds one on a bundle sees no other artifact.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Model, QuerySet

from console.access import Permission
from console.models import BundleGrant, ProviderGrant
from evidence.models import Bundle
from ingestion.models import Provider

GRANTS: dict[type[Model], Any] = {Provider: ProviderGrant, Bundle: BundleGrant}
KNOWN = "_rights_on_rows"  # on the user, who is read anew for each request


def may(user: Any, permission: Permission, row: Model | None, *, on_row: Permission | None = None) -> bool:
    """By a role, or by a right on this row, which another permission may stand for."""
    if user.has_perm(permission):
        return True
    return _is_kept(row) and bool(user.has_perm(on_row or permission, row))


def _is_kept(row: Model | None) -> bool:
    return row is not None and row.pk is not None  # nobody holds a right on a row that is not there yet


def _holds_none(user: Any) -> bool:
    """Nobody, a program, and who was locked out."""
    return not getattr(user, "is_active", False)


def holds_somewhere(user: Any, on_row: Permission, model: type[Model]) -> bool:
    """A right on any row, which opens the list of those rows."""
    return on_row.value in _held(user, model)


def _held(user: Any, model: type[Model]) -> frozenset[str]:
    """On any row. Read once for a request, as Django reads a user's permissions: the sidebar and each check ask it."""
    if _holds_none(user):
        return frozenset()
    known: dict[type[Model], frozenset[str]] | None = getattr(user, KNOWN, None)
    if known is None:
        known = {}
        setattr(user, KNOWN, known)
    if model not in known:
        held = GRANTS[model].objects.filter(user=user).order_by()
        names = held.values_list("permission__content_type__app_label", "permission__codename").distinct()
        known[model] = frozenset(f"{app_label}.{codename}" for app_label, codename in names)
    return known[model]


def visible[M: Model](
    user: Any, permission: Permission, rows: QuerySet[M], *, on_row: Permission | None = None
) -> QuerySet[M]:
    """All of them by a role, else those with a right on the row."""
    if user.has_perm(permission):
        return rows
    return rows.filter(pk__in=_grants(user, on_row or permission, rows.model).values("content_object_id"))


def _grants(user: Any, on_row: Permission, model: type[Model]) -> QuerySet[Any]:
    grants = GRANTS[model].objects
    if _holds_none(user):
        empty: QuerySet[Any] = grants.none()
        return empty
    app_label, codename = on_row.split(".")
    found: QuerySet[Any] = grants.filter(
        user=user, permission__codename=codename, permission__content_type__app_label=app_label
    )
    return found
