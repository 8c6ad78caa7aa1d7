"""`manage.py check`: a route without a rule, a rule without a route, a page without a guard. Each is an error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from rest_framework.views import APIView

from console.rbac.policy import POLICY
from console.rbac.routes import Route, routes
from console.rbac.rules import Kind, Row

WHERE = "console/rbac/policy.py"
INGRESS = "autocom.ingress_urls"


@register("rbac")
def rbac_policy(**_: Any) -> list[CheckMessage]:
    """Not in the ingress, which does not load the console."""
    return [] if settings.ROOT_URLCONF == INGRESS else list(faults(routes()))


def faults(found: list[Route]) -> Iterator[CheckMessage]:
    known = {route.name for route in found}
    for route in found:
        row = POLICY.get(route.name)
        yield from _row_faults(route) if row is None else _guard_faults(route, row)
        for name in route.unknown_arguments:
            line = f'"{name}": "a value that fits",'
            yield Error(
                f"{route.path}: no sample of <{name}>",
                hint=f"add to SAMPLES in console/rbac/routes.py: {line}",
                id="rbac.E004",
            )
    for path in sorted(POLICY.keys() - known):
        yield Error(f"{path}: no such route", hint=f"remove its row from {WHERE}", id="rbac.E002")


def _row_faults(route: Route) -> Iterator[CheckMessage]:
    line = f'"{route.path}": page(P.…),'
    hint = (
        f"add to PAGES in {WHERE}: {line} for a GuardedPage (post=(P.…,) for what a POST takes), any_method(P.…) for a"
        ' function, ANY_STAFF for every staff user, public("why") for everybody, api(GET=P.…) for the API'
    )
    if getattr(route.view, "model_admin", None) is not None:
        prefix = "/".join(route.path.split("/")[:3]) + "/"
        hint = f'add to MODELS in {WHERE}: **model_pages("{prefix}", P.…), with the permission to read its rows'
    yield Error(f"{route.path}: nobody declared who may use it ({route.view_name})", hint=hint, id="rbac.E001")


def _guard_faults(route: Route, row: Row) -> Iterator[CheckMessage]:
    kinds = {rule.kind for rule in (row.every, *row.by_method.values()) if rule is not None}
    if kinds == {Kind.PUBLIC}:
        return
    if Kind.PAGE in kinds and not _is_on_site(route):
        hint = "route it through the site: path(…, self.admin_view(…)) in console/site.py"
        yield Error(f"{route.path}: a page without a guard", hint=hint, id="rbac.E003")
    if Kind.PAGE not in kinds and not _has_authentication(route):
        hint = "give its view authentication_classes and permission_classes, as console/api/evidence.py has them"
        yield Error(f"{route.path}: an API without authentication", hint=hint, id="rbac.E003")


def _is_on_site(route: Route) -> bool:
    """Our pages carry the site's mark; Django and its admin mark what they wrap at the call."""
    return any(hasattr(route.view, name) for name in ("guarded_by", "model_admin", "admin_site"))


def _has_authentication(route: Route) -> bool:
    view = getattr(route.view, "cls", None)
    return isinstance(view, type) and issubclass(view, APIView) and bool(view.authentication_classes)
