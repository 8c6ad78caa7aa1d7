"""Ways to route a view past its guard: each is stopped by `manage.py check`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import pytest
from django.contrib import admin
from django.core.checks import CheckMessage
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import URLPattern, URLResolver, clear_url_caches, include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import TemplateView
from django.views.static import serve
from rest_framework.decorators import action as viewset_action
from rest_framework.decorators import api_view
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.routers import SimpleRouter
from rest_framework.viewsets import ViewSet

from autocom import urls
from console.access import Permission
from console.api.evidence import ArtifactList
from console.api.view import AccountView
from console.guards import GuardedPage
from console.rbac import checks
from console.rbac.policy import POLICY
from console.rbac.routes import routes
from console.rbac.rules import ANY_STAFF, Row, any_method, api, page

Patterns = list[URLPattern | URLResolver]
urlpatterns: Patterns = list(urls.urlpatterns)
READ = page(Permission.EVENT_READ)
READ_API = api(GET=Permission.EVIDENCE_READ)


def view(_: HttpRequest, **__: str) -> HttpResponse:
    return HttpResponse("anybody")


def answer(_: Request, /, **__: str) -> HttpResponse:
    return HttpResponse("anybody")


class Open(TemplateView):
    template_name = "403.html"


class Read(GuardedPage):
    permission: ClassVar[Permission] = Permission.EVENT_READ
    template_name = "403.html"


class Other(Read):
    permission = Permission.LANE_READ


class Things(AccountView, ViewSet):
    def list(self, _: HttpRequest) -> HttpResponse:
        return HttpResponse("anybody")

    @viewset_action(detail=False, permission_classes=[AllowAny])
    def open(self, _: HttpRequest) -> HttpResponse:
        return HttpResponse("anybody")

    @viewset_action(detail=False, authentication_classes=[])
    def unknown(self, _: HttpRequest) -> HttpResponse:
        return HttpResponse("anybody")


def router_urls() -> Patterns:
    router = SimpleRouter()
    router.register("things", Things, basename="things")
    return list(router.urls)


def wrapped(inner: Callable[..., Any]) -> Callable[..., Any]:
    def outer(request: HttpRequest) -> Any:
        return inner(request)

    return outer


def shadowing() -> list[URLPattern]:
    return [path("admin/log/", view)]


def found(
    *more: URLPattern | URLResolver, first: Sequence[URLPattern] = (), rows: Mapping[str, Row] | None = None
) -> list[tuple[str, str]]:
    """Id and route of each fault of the console's routes with these, and these rows of the policy."""
    patterns = [*first, *urls.urlpatterns, *more]
    with pytest.MonkeyPatch.context() as patch, override_settings(ROOT_URLCONF=__name__):
        patch.setattr(f"{__name__}.urlpatterns", patterns)
        for name, row in (rows or {}).items():
            patch.setitem(POLICY, name, row)
        clear_url_caches()
        told: list[CheckMessage] = list(checks.faults(routes()))
    clear_url_caches()
    return [(str(fault.id), fault.msg.partition(": ")[0]) for fault in told]


site = admin.site.admin_view
UNDECLARED: dict[str, tuple[Patterns, str]] = {
    "a function": ([path("x/", view)], "x/"),
    "a function with arguments": ([path("x/<str:sha256>/", view)], "x/<str:sha256>/"),
    "a class": ([path("x/", Open.as_view())], "x/"),
    "a page of ours outside the site": ([path("x/", Read.as_view())], "x/"),
    "a page of ours on the site": ([path("x/", site(Read.as_view()))], "x/"),
    "a partial": ([path("x/", partial(view))], "x/"),
    "deep in include()": ([path("x/", include([path("y/", include([path("z/", view)]))]))], "x/y/z/"),
    "in a namespace": ([path("x/", include(([path("y/", view)], "app"), namespace="other"))], "x/y/"),
    "a regular expression": ([re_path(r"^x/(?P<sha256>[0-9a-f]+)/$", view)], "^x/<sha256>/$"),
    "a regular expression without a name": ([re_path(r"^x/(.*)$", view)], "^x/(.*)$"),
    "spelt as a route that there is": ([re_path(r"^admin/log/$", view)], "^admin/log/$"),
    "a catch-all for files": (
        [re_path(r"^static/(?P<address>.*)$", serve, {"document_root": "/"})],
        "^static/<address>$",
    ),
    "a catch-all of everything": ([re_path(r"", view)], "<anything>"),
    "an API of a function": ([path("x/", api_view(["GET"])(answer))], "x/"),
    "a router": (router_urls()[:1], "^things/$"),
    "django-rq's own pages": ([path("django-rq/", include("django_rq.urls"))], "django-rq/"),
    "the admin a second time": ([path("back/", include([path("log/", site(Read.as_view()))]))], "back/log/"),
}


@pytest.mark.parametrize("name", UNDECLARED)
def test_what_nobody_declared_is_stopped_however_it_is_routed(name: str) -> None:
    patterns, route = UNDECLARED[name]
    assert ("rbac.E001", route) in found(*patterns)


DECLARED: dict[str, tuple[Patterns, str, Row]] = {
    "a function": ([path("x/", view)], "x/", READ),
    "a function for any staff": ([path("x/", view)], "x/", ANY_STAFF),
    "a function in a decorator": ([path("x/", csrf_exempt(view))], "x/", READ),
    "a page of ours outside the site": ([path("x/", Read.as_view())], "x/", READ),
    "a page in include() outside the site": ([path("x/", include([path("y/", Read.as_view())]))], "x/y/", READ),
    "a view of a ModelAdmin that is not wrapped": (
        [path("x/", next(iter(admin.site._registry.values())).changelist_view)],
        "x/",
        any_method(Permission.EVENT_READ),
    ),
    "a page on another site": ([path("x/", admin.AdminSite("other").admin_view(view))], "x/", READ),
    "a class without a permission on the site": ([path("x/", site(Open.as_view()))], "x/", READ),
    "a page with another permission than its row": ([path("x/", site(Other.as_view()))], "x/", READ),
    "a function as an API": ([path("x/", view)], "x/", READ_API),
    "an API of a function": ([path("x/", api_view(["GET"])(answer))], "x/", READ_API),
    "an API in a decorator that hides it": ([path("x/", wrapped(ArtifactList.as_view()))], "x/", READ_API),
    "an API without authentication": ([path("x/", ArtifactList.as_view(authentication_classes=()))], "x/", READ_API),
    "an API for everybody": ([path("x/", ArtifactList.as_view(permission_classes=(AllowAny,)))], "x/", READ_API),
    "an API that asks nothing": ([path("x/", ArtifactList.as_view(permission_classes=()))], "x/", READ_API),
    "one action of a router for everybody": (router_urls(), "^things/open/$", READ_API),
    "one action of a router without authentication": (router_urls(), "^things/unknown/$", READ_API),
}


@pytest.mark.parametrize("name", DECLARED)
def test_a_row_alone_is_no_guard(name: str) -> None:
    patterns, route, row = DECLARED[name]
    assert ("rbac.E003", route) in found(*patterns, rows={route: row})


def test_what_is_guarded_and_declared_passes() -> None:
    assert found(path("x/", site(Read.as_view())), rows={"x/": READ}) == []
    assert found(path("x/", csrf_exempt(ArtifactList.as_view())), rows={"x/": READ_API}) == []
    row = {"^things/$": READ_API, "^things/open/$": READ_API, "^things/unknown/$": READ_API}
    assert ("rbac.E003", "^things/$") not in found(*router_urls(), rows=row)


def test_a_route_that_answers_another_ones_address_is_stopped() -> None:
    faults = found(first=[path("<path:address>", view)], rows={"<path:address>": ANY_STAFF})
    assert ("rbac.E005", "admin/log/") in faults
    assert ("rbac.E005", "evidence/") in faults


def test_two_routes_of_one_spelling_are_stopped() -> None:
    assert ("rbac.E006", "admin/log/") in found(first=shadowing())


def test_a_bulk_action_that_names_no_permission_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    from console.admin.providers import ProviderAdmin

    def wipe(_: Any, __: HttpRequest, ___: Any) -> None: ...

    monkeypatch.setattr(ProviderAdmin, "wipe", wipe, raising=False)
    monkeypatch.setattr(ProviderAdmin, "actions", ("enable", "disable", "wipe"))
    assert set(found()) == {("rbac.E001", "admin/ingestion/provider/ action=wipe"), ("rbac.E007", "ProviderAdmin")}


def test_an_action_of_the_theme_with_an_address_of_its_own_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its route comes from the class's attribute alone, and into being when the addresses are first asked for."""
    from unfold.decorators import action

    from console.admin.providers import ProviderAdmin

    @action(description="Wipe", url_path="wipe")  # type: ignore[untyped-decorator]
    def wipe(_: Any, __: HttpRequest) -> HttpResponse:
        return HttpResponse("anybody")

    monkeypatch.setattr(ProviderAdmin, "wipe", wipe, raising=False)
    monkeypatch.setattr(ProviderAdmin, "actions_list", ["wipe"])
    told = found(path("back/", include((admin.site.get_urls(), "again"))))
    assert any(id_ == "rbac.E001" and "wipe" in route for id_, route in told)


def test_every_route_of_the_ingress_is_one_that_the_console_knows() -> None:
    from autocom import ingress_urls

    known = {route.path for route in routes()}
    assert {str(pattern.pattern) for pattern in ingress_urls.urlpatterns} <= known
