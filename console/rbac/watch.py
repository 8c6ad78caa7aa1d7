"""What the guards decide, seen from inside. While it watches, a call that was let in goes no further.

The guards themselves know nothing of it: the functions that answer them are wrapped, in this process, for this while.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.contrib.admin import ModelAdmin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpResponseForbidden
from rest_framework import exceptions
from rest_framework.views import APIView

from console import denied
from console.access import Permission
from console.actions import operator
from console.actions.gates import reauthenticated
from console.admin import accounts
from console.rbac.rules import ON_ANY_ROW, ON_ROW, Kind, Rule
from console.row_rights import holds_somewhere
from console.service_tokens.check import ServiceAccount
from console.site import ConsoleSite
from evidence.decisions import decide
from evidence.decisions.errors import DecisionRefused
from ingestion import receive
from ingestion.problems import Problem

REFUSALS = (exceptions.NotAuthenticated, exceptions.AuthenticationFailed, exceptions.PermissionDenied, PermissionDenied)

ACTION = "action"
ACCOUNT = "account"


class LetIn(BaseException):
    """Every guard of the rule said yes. No Exception, so that nothing on the way answers it."""


@dataclass(slots=True)
class Decisions:
    """Of one call. `rule` None: the method is not served, so nothing stops the call."""

    rule: Rule | None
    granted: set[str] = field(default_factory=set)
    refused: str = ""

    def grant(self, what: str) -> None:
        if not self.refused:
            self.granted.add(what)
            if self.rule is not None and self._is_enough(self.rule):
                raise LetIn

    def refuse(self, what: str) -> None:
        self.refused = self.refused or what

    def _is_enough(self, rule: Rule) -> bool:
        if rule.kind is Kind.PUBLIC or rule.for_nobody:
            return False
        if rule.kind is Kind.WEBHOOK:
            return "provider" in self.granted
        site = {"staff"} if rule.kind is Kind.PAGE else {ACCOUNT}
        superuser = {"superuser"} if rule.for_superusers else set()
        return site | superuser <= self.granted and rule.is_met_by(self.granted)

    def __str__(self) -> str:
        return f"refused: {self.refused}" if self.refused else f"granted: {' '.join(sorted(self.granted)) or 'nothing'}"


@dataclass(slots=True)
class Watch:
    now: Decisions = field(default_factory=lambda: Decisions(None))

    @contextmanager
    def on(self) -> Iterator[None]:
        with ExitStack() as stack:
            for owner, name, wrapped in list(self._wrappers()):  # all found before the first is replaced
                stack.enter_context(_replaced(owner, name, wrapped))
            yield

    def _wrappers(self) -> Iterator[tuple[Any, str, Callable[[Callable[..., Any]], Callable[..., Any]]]]:
        yield ConsoleSite, "has_permission", self._answers(lambda *_: "staff", refuses=True)
        yield User, "has_perm", self._answers(_held)
        yield ServiceAccount, "has_perm", self._answers(_held)
        for module in everywhere(holds_somewhere):
            yield module, holds_somewhere.__name__, self._answers(lambda _, right, __: f"{right} {ON_ANY_ROW}")
        yield accounts, "_is_superuser", self._answers(lambda *_: "superuser")
        yield receive, "verify", self._passes("provider")
        yield APIView, "check_permissions", self._passes(ACCOUNT)
        yield denied, "missing_permission", self._denies
        # What follows on a decision is no part of it: drawing the page of a refusal took half of the probe's time, and
        # an entry in the audit log, rolled back or not, makes every other writer wait.
        yield denied, "_page", lambda _: lambda *_: HttpResponseForbidden()
        yield denied, "_record", _says_nothing
        yield operator, "record", _says_nothing
        yield APIView, "handle_exception", self._answers_error
        yield ModelAdmin, "get_object", _finds
        yield ModelAdmin, "get_actions", self._offers
        yield decide, "_refuse_others", self._refuses_others
        for module in everywhere(reauthenticated):
            yield module, reauthenticated.__name__, _knows

    def _answers(self, name_of: Callable[..., str], *, refuses: bool = False) -> Callable[..., Callable[..., Any]]:
        """Of a question with yes or no. A no is final where nothing else is asked after it."""

        def wrap(asked: Callable[..., Any]) -> Callable[..., Any]:
            def answer(*args: Any, **kwargs: Any) -> Any:
                said = asked(*args, **kwargs)
                if said:
                    self.now.grant(name_of(*args))
                elif refuses:
                    self.now.refuse(name_of(*args))
                return said

            return answer

        return wrap

    def _passes(self, name: str) -> Callable[..., Callable[..., Any]]:
        """Of what raises where it refuses."""

        def wrap(asked: Callable[..., Any]) -> Callable[..., Any]:
            def answer(*args: Any, **kwargs: Any) -> Any:
                said = asked(*args, **kwargs)
                self.now.grant(name)
                return said

            return answer

        return wrap

    def _denies(self, asked: Callable[..., Any]) -> Callable[..., Any]:
        """The page that answers 403 asks which permission was missing."""

        def missing(*args: Any, **kwargs: Any) -> Any:
            said = asked(*args, **kwargs)
            self.now.refuse(said or "no permission opens it")
            return said

        return missing

    def _offers(self, asked: Callable[..., Any]) -> Callable[..., Any]:
        """A list that does not know the action of a POST leads back to itself, without a word to anybody."""

        def get_actions(admin: Any, request: Any) -> Any:
            offered = asked(admin, request)
            if (wanted := request.POST.get("action")) and wanted not in offered:
                self.now.refuse(f"{ACTION} {wanted}")
            return offered

        return get_actions

    def _refuses_others(self, asked: Callable[..., Any]) -> Callable[..., Any]:
        def refuse_others(*args: Any) -> None:
            try:
                asked(*args)
            except DecisionRefused:
                self.now.refuse(Permission.GATE_DECIDE.value)
                raise

        return refuse_others

    def _answers_error(self, asked: Callable[..., Any]) -> Callable[..., Any]:
        def answer(view: APIView, error: Exception) -> Any:
            if isinstance(error, REFUSALS) or getattr(error, "problem", None) is Problem.UNAUTHORIZED:
                self.now.refuse(str(error) or type(error).__name__)
            return asked(view, error)

        return answer


def everywhere(function: Callable[..., Any]) -> list[Any]:
    """The modules that hold it: a name imported is a name of its own."""
    known = [module for name, module in sys.modules.items() if name.startswith("console.")]
    return [module for module in known if vars(module).get(function.__name__) is function]


def _says_nothing(_: Callable[..., Any]) -> Callable[..., None]:
    return lambda *_, **__: None


def _held(_: Any, permission: object, row: object = None) -> str:
    return str(permission) if row is None else f"{permission} {ON_ROW}"


def _knows(_: Callable[..., Any]) -> Callable[..., Any]:
    """The personas have no password, and whether one is asked for is another matter than who may decide."""

    def reauthenticated(username: str, *_: Any, **__: Any) -> User:
        return User.objects.get(username=username)

    return reauthenticated


def _finds(asked: Callable[..., Any]) -> Callable[..., Any]:
    """A history page looks for its row before it asks who may see it: an empty one does."""

    def get_object(admin: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        found = asked(admin, request, *args, **kwargs)
        is_history = request.path.endswith("/history/")
        return admin.model() if found is None and is_history else found

    return get_object


@contextmanager
def _replaced(owner: Any, name: str, wrapped: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    is_own, before = name in vars(owner), getattr(owner, name)
    setattr(owner, name, wrapped(before))
    try:
        yield
    finally:
        setattr(owner, name, before) if is_own else delattr(owner, name)
