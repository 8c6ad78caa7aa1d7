"""Every guard of the console, found in its code and not in a list: each can be made to let everybody in.

A guard is a call of one of the functions that ask about a permission, a page's own `has_permission`, one of the four
questions of each ModelAdmin, the site's sign-in, an API view's permission classes, and what knows tokens and providers.
"""

from __future__ import annotations

import ast
import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial, wraps
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from rest_framework.authentication import SessionAuthentication
from rest_framework.views import APIView

from console.access import Permission
from console.actions import operator
from console.admin import accounts
from console.api import authentication
from console.guards import GuardedPage, refuse_without
from console.rbac import watch
from console.rbac.routes import Route
from console.row_rights import holds_somewhere, may, visible
from console.service_tokens.check import ServiceAccount
from console.service_tokens.scopes import Scope
from console.site import ConsoleSite
from ingestion import receive

ROOT = Path(settings.BASE_DIR) / "console"
# Not the probe itself, and not the shell: whoever runs a command there may do everything (decision 0019).
LEFT_OUT = ("rbac", "management", "migrations")
NAMES = {
    "check": "console.actions.operator",
    "refuse_without": "console.guards",
    "_is_superuser": "console.admin.accounts",
}
NAMES |= dict.fromkeys(("may", "visible", "holds_somewhere"), "console.row_rights")
METHODS = ("has_perm", "has")
QUESTIONS = ("has_view_permission", "has_add_permission", "has_change_permission", "has_delete_permission")
PASSED_OVER = {watch.__file__, __file__}


def _is_no(said: object, name: str, args: tuple[Any, ...]) -> bool:
    if name == "authenticate":  # whoever is not known is nobody
        return said is None
    return said is False or (isinstance(said, list) and len(said) < len(args[-1]))  # not all of the actions


@dataclass(frozen=True, slots=True)
class Site:
    """A call in the code: where it stands, and how it is told of in the table."""

    file: str
    first_line: int
    last_line: int
    name: str


@dataclass(slots=True)
class Guards:
    """While they are installed: who said no is noted, and those of `open_ones` say yes to everybody."""

    sites: list[Site]
    open_ones: set[str] = field(default_factory=set)
    said_no: set[str] = field(default_factory=set)
    names: list[str] = field(default_factory=list)
    made: dict[Callable[..., Any], Callable[..., Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names += [site.name for site in self.sites]

    @contextmanager
    def installed(self, routes: list[Route]) -> Iterator[None]:
        with ExitStack() as stack:
            for owner, name, key, allow in list(_places(routes)):
                stack.enter_context(watch._replaced(owner, name, partial(self._once, key=key, allow=allow)))
                if key is not None:
                    self.names.append(key)
            yield

    def _once(self, asked: Callable[..., Any], *, key: str | None, allow: Callable[..., Any]) -> Callable[..., Any]:
        """One for a function that many modules hold: the watch finds them by what they hold."""
        if key is not None:
            return self._asked(asked, key, allow)
        return self.made.setdefault(asked, self._asked(asked, None, allow))

    def _asked(self, asked: Callable[..., Any], key: str | None, allow: Callable[..., Any]) -> Callable[..., Any]:
        """`key` None: whose guard it is follows from the line that calls."""

        @wraps(asked)
        def answer(*args: Any, **kwargs: Any) -> Any:
            name = key or self._called_at(inspect.currentframe())
            if name in self.open_ones:
                return allow(*args, **kwargs)
            try:
                said = asked(*args, **kwargs)
            except Exception:
                self._note(name)
                raise
            if _is_no(said, asked.__name__, args):
                self._note(name)
            return said

        return answer

    def _note(self, name: str | None) -> None:
        if name is not None:
            self.said_no.add(name)

    def _called_at(self, frame: FrameType | None) -> str | None:
        frame = frame.f_back if frame else None
        while frame is not None and frame.f_code.co_filename in PASSED_OVER:
            frame = frame.f_back
        if frame is None:
            return None
        file, line = frame.f_code.co_filename, frame.f_lineno
        return next((s.name for s in self.sites if s.file == file and s.first_line <= line <= s.last_line), None)


def sites() -> list[Site]:
    """Of every call that asks, in the order of files and lines. Two of one function that ask the same are numbered."""
    seen: Counter[str] = Counter()
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        if path.relative_to(ROOT).parts[0] in LEFT_OUT:
            continue
        for name, call in _calls(path):
            seen[name] += 1
            told = name if seen[name] == 1 else f"{name} ({seen[name]})"
            found.append(Site(str(path), call.lineno, call.end_lineno or call.lineno, told))
    return found


def _calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    module = ".".join(("console", *path.relative_to(ROOT).with_suffix("").parts))
    known = {name for name, home in NAMES.items() if home == module}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            known |= {each.name for each in node.names if NAMES.get(each.name) == node.module}
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and (callee := _callee(call, known)):
                    where = f"{path.relative_to(ROOT)} {function.name}"
                    yield f"{where}: {callee} {_asked_for(call)}".strip(), call


def _callee(call: ast.Call, known: set[str]) -> str:
    if isinstance(call.func, ast.Name) and call.func.id in known:
        return call.func.id
    return call.func.attr if isinstance(call.func, ast.Attribute) and call.func.attr in METHODS else ""


def _asked_for(call: ast.Call) -> str:
    names = [
        node.attr for node in ast.walk(call) if isinstance(node, ast.Attribute) and node.attr in Permission.__members__
    ]
    return " or ".join(dict.fromkeys(names))


type Place = tuple[Any, str, str | None, Callable[..., Any]]


def _places(routes: list[Route]) -> Iterator[Place]:
    functions: tuple[tuple[Callable[..., Any], Callable[..., Any]], ...] = (
        (operator.check, _passes),
        (refuse_without, _passes),
        (may, _yes),
        (holds_somewhere, _yes),
        (visible, lambda user, permission, rows, **_: rows),
    )
    for function, allow in functions:
        yield from ((module, function.__name__, None, allow) for module in watch.everywhere(function))
    yield accounts, "_is_superuser", None, _yes
    yield User, "has_perm", None, _yes
    yield ServiceAccount, "has_perm", None, _yes
    for page in _pages(routes):
        yield page, "has_permission", f"{_module(page)} {page.__name__}: its permission", _yes
    for model_admin in admin.site._registry.values():
        kind = type(model_admin)
        for question in QUESTIONS:
            yield kind, question, f"{_module(kind)} {kind.__name__}: {question}", _yes
        if model_admin.actions is not None:
            key = f"{_module(kind)} {kind.__name__}: permissions of its actions"
            yield kind, "_filter_actions_by_permissions", key, lambda _, __, actions: actions
    yield ConsoleSite, "has_permission", "site.py ConsoleSite: sign-in of staff", _yes
    for view in _classes(routes, "cls"):
        if view.__module__.startswith("console.") and view.permission_classes:
            yield view, "check_permissions", f"{_module(view)} {view.__name__}: its permission classes", _asks_nobody
    yield authentication, "account_of", "api/authentication.py: the token", _any_token
    yield (
        authentication.StaffSession,
        "authenticate",
        "api/authentication.py: staff alone",
        SessionAuthentication.authenticate,
    )
    yield receive, "verify", "receive: the provider's signature", _passes


def _pages(routes: list[Route]) -> list[type[GuardedPage]]:
    return [page for page in [*_classes(routes, "view_class"), _index_page()] if issubclass(page, GuardedPage)]


def _classes(routes: list[Route], mark: str) -> list[Any]:
    """Of the views that carry this mark, each once and always in the same order."""
    found = {getattr(route.view, mark) for route in routes if hasattr(route.view, mark)}
    return sorted(found, key=lambda each: (each.__module__, each.__name__))


def _index_page() -> type[GuardedPage]:
    """The site's index is a method, which calls its page."""
    from console.pages.overview import OverviewPage

    return OverviewPage


def _module(kind: type) -> str:
    return f"{kind.__module__.removeprefix('console.').replace('.', '/')}.py"


def _passes(*_: Any, **__: Any) -> None:
    return None


def _asks_nobody(view: APIView, request: Any) -> None:
    """As a view without permission classes answers, and as the watch sees it."""
    view.permission_classes = ()
    APIView.check_permissions(view, request)


def _yes(*_: Any, **__: Any) -> bool:
    return True


def _any_token(*_: Any, **__: Any) -> ServiceAccount:
    return ServiceAccount("anybody", frozenset(Scope))
