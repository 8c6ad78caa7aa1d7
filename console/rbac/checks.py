"""`manage.py check`: a route without a rule, a rule without a route, a page without a guard. Each is an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib.admin import site
from django.core.checks import CheckMessage, Error, register
from django.urls import Resolver404, resolve
from rest_framework.permissions import AllowAny
from rest_framework.views import APIView

from console.api.authentication import ServiceTokenAuthentication, StaffSession
from console.guards import GuardedPage
from console.rbac.policy import POLICY
from console.rbac.routes import Route, bulk_actions, routes
from console.rbac.rules import Kind, Row

WHERE = "console/rbac/policy.py"
INGRESS = "autocom.ingress_urls"
KNOWN_BY = (ServiceTokenAuthentication, StaffSession)


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
        yield from _address_faults(route)
    yield from _twice(found)
    yield from _action_faults(found)
    for path in sorted(POLICY.keys() - known):
        yield Error(f"{path}: no such route", hint=f"remove its row from {WHERE}", id="rbac.E002")


def _row_faults(route: Route) -> Iterator[CheckMessage]:
    line = f'"{route.path}": page(P.…),'
    hint = (
        f"add to PAGES in {WHERE}: {line} for a GuardedPage (post=(P.…,) for what a POST takes), any_method(P.…) for a"
        ' function, ANY_STAFF for every staff user, public("why") for everybody, api(GET=P.…) for the API'
    )
    if route.act:
        hint = f'add to {WHERE}: actions={{…}} of its model_pages, or "{route.name}": act(P.…)'
    elif getattr(route.view, "model_admin", None) is not None:
        prefix = "/".join(route.path.split("/")[:3]) + "/"
        hint = f'add to MODELS in {WHERE}: **model_pages("{prefix}", P.…), with the permission to read its rows'
    yield Error(f"{route.name}: nobody declared who may use it ({route.view_name})", hint=hint, id="rbac.E001")


def _guard_faults(route: Route, row: Row) -> Iterator[CheckMessage]:
    kinds = {rule.kind for rule in (row.every, *row.by_method.values()) if rule is not None}
    if kinds == {Kind.PUBLIC}:
        return
    if Kind.PAGE in kinds and not _is_on_site(route):
        hint = "route it through the site: path(…, self.admin_view(…)) in console/site.py"
        yield Error(f"{route.path}: a page without a guard", hint=hint, id="rbac.E003")
    if Kind.PAGE in kinds:
        yield from _page_faults(route, row)
    if Kind.PAGE not in kinds and (why := _why_open(route, kinds)):
        hint = "give its view authentication_classes and permission_classes, as console/api/evidence.py has them"
        yield Error(f"{route.path}: an API without authentication: {why}", hint=hint, id="rbac.E003")


def _page_faults(route: Route, row: Row) -> Iterator[CheckMessage]:
    """A class of ours asks by itself for what its row says: the row is what people review."""
    view, rule = getattr(route.view, "view_class", None), row.rule("GET") or row.rule("POST")
    if view is None or rule is None or not rule.permissions:
        return
    if not issubclass(view, GuardedPage):
        hint = "let its class be a GuardedPage with the permission (console/guards.py)"
        yield Error(f"{route.path}: {view.__name__} asks for no permission", hint=hint, id="rbac.E003")
    elif getattr(view, "permission", None) not in rule.permissions:
        hint = f"its class has {getattr(view, 'permission', 'none')}, its row in {WHERE} another one"
        yield Error(f"{route.path}: {view.__name__} asks for another permission", hint=hint, id="rbac.E003")


def _address_faults(route: Route) -> Iterator[CheckMessage]:
    """The probe asks the address: what an earlier route answers would be tested in this one's place."""
    if route.unknown_arguments or route.act:
        return
    try:
        found = resolve(route.address, urlconf=settings.ROOT_URLCONF).func
    except Resolver404:
        found = None
    if found is not route.view:
        hint = "an earlier route takes it, or its sample in SAMPLES of console/rbac/routes.py does not fit"
        yield Error(f"{route.path}: {route.address} leads to another view", hint=hint, id="rbac.E005")


def _twice(found: list[Route]) -> Iterator[CheckMessage]:
    """One row would speak for both."""
    for name, count in sorted(Counter(route.name for route in found).items()):
        if count > 1:
            yield Error(f"{name}: {count} routes are spelt so", hint="give each its own path", id="rbac.E006")


def _action_faults(found: list[Route]) -> Iterator[CheckMessage]:
    """Django offers an action that names no permission to everybody who may see the list."""
    admins = {id(admin): admin for route in found if (admin := getattr(route.view, "model_admin", None)) is not None}
    for admin in admins.values():
        for action, name, _ in bulk_actions(admin):
            if not getattr(action, "allowed_permissions", ()):
                hint = "write @action(permissions=[…]) above it"
                yield Error(f"{type(admin).__name__}: the action {name} names no permission", hint=hint, id="rbac.E007")


def _is_on_site(route: Route) -> bool:
    """Our pages carry the site's mark; Django and its admin mark what they wrap at the call."""
    marks = [getattr(route.view, name, None) for name in ("guarded_by", "admin_site")]
    marks.append(getattr(getattr(route.view, "model_admin", None), "admin_site", None))
    return any(mark is not None and mark == site for mark in marks)


def _why_open(route: Route, kinds: set[Kind]) -> str:
    """Why anybody may come in; empty where not. What `as_view` was given, as a router gives it, counts first."""
    view = getattr(route.view, "cls", None)
    if not (isinstance(view, type) and issubclass(view, APIView)):
        return "it is no APIView"
    given = getattr(route.view, "initkwargs", {})
    classes = {name: given.get(name, getattr(view, name)) for name in ("authentication_classes", "permission_classes")}
    if not classes["authentication_classes"]:
        return "no authentication_classes"
    if Kind.API not in kinds:  # a delivery: its signature says who sent it
        return ""
    if not classes["permission_classes"] or AllowAny in classes["permission_classes"]:
        return "its permission_classes let everybody in"
    strange = [one.__name__ for one in classes["authentication_classes"] if one not in KNOWN_BY]
    return f"{', '.join(strange)} is none of the ways in that the probe knows" if strange else ""
