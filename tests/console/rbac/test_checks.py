"""`manage.py check` stops a route that nobody declared, a row without a route, and a page without a guard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import clear_url_caches, path

from autocom import urls
from console.rbac.checks import faults
from console.rbac.policy import POLICY
from console.rbac.routes import routes
from console.rbac.rules import ANY_STAFF


def open_door(_: HttpRequest) -> HttpResponse:
    return HttpResponse("anybody")


urlpatterns = [*urls.urlpatterns, path("door/<str:unheard_of>/", open_door)]


@pytest.fixture
def with_a_door() -> Iterator[None]:
    with override_settings(ROOT_URLCONF=__name__):
        clear_url_caches()
        yield
    clear_url_caches()


def test_every_route_of_this_code_has_a_row_and_a_guard() -> None:
    call_command("check", tags=["rbac"])


@pytest.mark.usefixtures("with_a_door")
def test_an_undeclared_route_fails_the_check_which_says_what_line_to_add_where() -> None:
    with pytest.raises(SystemCheckError) as stopped:
        call_command("check", tags=["rbac"])
    told = str(stopped.value)
    assert "door/<str:unheard_of>/: nobody declared who may use it (open_door)" in told
    assert 'add to PAGES in console/rbac/policy.py: "door/<str:unheard_of>/": page(P.…),' in told
    assert 'add to SAMPLES in console/rbac/routes.py: "unheard_of": "a value that fits",' in told


@pytest.mark.usefixtures("with_a_door")
def test_a_declared_page_that_is_not_on_the_site_fails_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(POLICY, "door/<str:unheard_of>/", ANY_STAFF)
    assert [fault.id for fault in faults(routes())] == ["rbac.E003", "rbac.E004"]


def test_a_row_without_a_route_fails_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(POLICY, "admin/gone/", ANY_STAFF)
    (fault,) = faults(routes())
    assert (fault.id, fault.msg, fault.hint) == (
        "rbac.E002",
        "admin/gone/: no such route",
        "remove its row from console/rbac/policy.py",
    )
