"""docs/add-a-page.md, done as it says: its module makes a page that opens for those who may and for nobody else."""

from __future__ import annotations

import re
import types
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.test import RequestFactory
from django.urls import URLPattern, path

from console.access import Permission
from console.navigation import Item
from console.rbac.rules import Row, page

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "add-a-page.md").read_text()
(MODULE,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
LINES = dict(re.findall(r"^\| `(console/[\w/]+\.py)` \| `(.*)` \|$", DOCUMENT, re.MULTILINE))


@pytest.fixture
def page_class() -> Any:
    module = types.ModuleType("console.pages.providers_today")
    exec(compile(MODULE, "docs/add-a-page.md", "exec"), module.__dict__)  # noqa: S102  (our own document)
    return module.__dict__["ProvidersTodayPage"]


@pytest.mark.django_db
def test_the_page_opens_for_those_who_hold_its_permission_and_for_nobody_else(
    page_class: Any, django_user_model: Any
) -> None:
    page_class.template_name = "admin/base_site.html"
    view = page_class.as_view(site=site)
    request = RequestFactory().get("/admin/providers-today/")
    request.user = AnonymousUser()
    with pytest.raises(PermissionDenied, match=Permission.EVENT_READ.value):
        view(request)
    request.user = django_user_model.objects.create_superuser("root")
    answer = view(request).render()
    assert answer.status_code == 200
    assert "Providers today" in answer.content.decode()


def test_its_lines_for_route_sidebar_and_policy_are_ones_that_those_files_take(page_class: Any) -> None:
    assert set(LINES) == {"console/site.py", "console/navigation.py", "console/rbac/policy.py"}
    names: dict[str, Any] = {"path": path, "ProvidersTodayPage": page_class, "self": site, "Item": Item}
    names |= {"Permission": Permission, "P": Permission, "page": page}
    route = eval(LINES["console/site.py"], names)  # noqa: S307  (our own document)
    item = eval(LINES["console/navigation.py"], names)  # noqa: S307
    row = eval(f"{{{LINES['console/rbac/policy.py']}}}", names)  # noqa: S307
    assert isinstance(route, URLPattern)
    assert (route.name, item.url_name) == ("providers_today", "admin:providers_today")
    assert item.permission is page_class.permission
    assert isinstance(row["admin/providers-today/"], Row)
