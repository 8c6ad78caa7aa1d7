"""Each kind of guard is replaced by one that lets everybody in: the matrix has to see every one of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin import ModelAdmin
from rest_framework.views import APIView

from console.actions import operator
from console.admin.providers import ProviderAdmin
from console.admin.publications import PublicationAdmin
from console.admin.read_only import ReadOnlyAdmin
from console.api import authentication
from console.guards import GuardedPage, refuse_without
from console.rbac.matrix import matrix
from console.rbac.probe import Verdict
from console.roles import sync_roles
from console.service_tokens.check import ServiceAccount
from console.service_tokens.scopes import Scope
from console.site import ConsoleSite
from tests.console.rbac.test_matrix import named


def everywhere(guard: Callable[..., Any]) -> list[tuple[Any, str]]:
    """Where its callers hold it: a name imported is a name of its own."""
    modules = [module for name, module in sys.modules.items() if name.startswith("console.")]
    return [(module, guard.__name__) for module in modules if vars(module).get(guard.__name__) is guard]


def passes(*_: Any, **__: Any) -> None:
    return None


def yes(*_: Any, **__: Any) -> bool:
    return True


def any_token(*_: Any, **__: Any) -> ServiceAccount:
    return ServiceAccount("anybody", frozenset(Scope))


MUTATIONS: dict[str, tuple[Callable[[], list[tuple[Any, str]]], Callable[..., Any], str]] = {
    "sign-in to the site": (lambda: [(ConsoleSite, "has_permission")], yes, "admin/jsi18n/"),
    "a page's permission": (lambda: [(GuardedPage, "has_permission")], yes, "admin/log/"),
    "refuse_without": (lambda: everywhere(refuse_without), passes, "admin/ingestion/deadletter/groups/"),
    "check, behind a page": (lambda: everywhere(operator.check), passes, "admin/bundles/"),
    "check, behind the API": (lambda: everywhere(operator.check), passes, "evidence/<str:sha256>"),
    "check, behind an operation of the API": (lambda: everywhere(operator.check), passes, "api/v1/events/"),
    "check, behind an act of the API": (lambda: everywhere(operator.check), passes, "api/v1/dead-letters/retry"),
    "check, behind the page of tokens": (lambda: everywhere(operator.check), passes, "admin/tokens/"),
    "check, behind the upload": (lambda: everywhere(operator.check), passes, "admin/evidence/artifact/upload/"),
    "check, behind an act on letters": (
        lambda: everywhere(operator.check),
        passes,
        "admin/ingestion/deadletter/discard/",
    ),
    "check, behind a publication": (lambda: everywhere(operator.check), passes, "admin/evidence/publication/ask/"),
    "a model's view permission": (lambda: [(ModelAdmin, "has_view_permission")], yes, "admin/ingestion/event/"),
    "an own view permission": (
        lambda: [(PublicationAdmin, "has_view_permission")],
        yes,
        "admin/evidence/publication/",
    ),
    "nobody adds": (lambda: [(ReadOnlyAdmin, "has_add_permission")], yes, "admin/evidence/publication/add/"),
    "nobody changes": (
        lambda: [(ReadOnlyAdmin, "has_change_permission")],
        yes,
        "admin/ingestion/lane/<path:object_id>/change/",
    ),
    "nobody deletes": (
        lambda: [(ReadOnlyAdmin, "has_delete_permission")],
        yes,
        "admin/ingestion/lane/<path:object_id>/delete/",
    ),
    "only superusers": (
        lambda: [(sys.modules["console.admin.accounts"], "_is_superuser")],
        yes,
        "admin/auth/user/add/",
    ),
    "rotation": (lambda: [(ProviderAdmin, "has_change_permission")], yes, "admin/ingestion/provider/<int:pk>/rotate/"),
    "the API's permission classes": (lambda: [(APIView, "check_permissions")], passes, "evidence/"),
    "tokens": (lambda: [(authentication, "account_of")], any_token, "evidence/"),
    "a delivery's signature": (lambda: [(sys.modules["ingestion.receive"], "verify")], passes, "webhooks"),
}


@pytest.mark.django_db
@pytest.mark.parametrize("guard", MUTATIONS)
def test_a_guard_that_lets_everybody_in_is_seen(guard: str, monkeypatch: pytest.MonkeyPatch) -> None:
    places_of, allows, path = MUTATIONS[guard]
    sync_roles()
    assert matrix(named(path)).faults == []
    places = places_of()
    assert places
    for owner, name in places:
        monkeypatch.setattr(owner, name, allows)
    seen = matrix(named(path))
    assert seen.count(Verdict.MISMATCH) > 0, seen.sentence
    assert seen.outcome == "FAIL"
