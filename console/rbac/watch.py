"""What the guards decide, seen from inside. While it watches, a call that was let in goes no further.

The guards themselves know nothing of it: the functions that answer them are wrapped, in this process, for this while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.contrib.admin import ModelAdmin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from rest_framework import exceptions
from rest_framework.views import APIView

from console import denied
from console.admin import accounts
from console.rbac.rules import Kind, Rule
from console.service_tokens.check import ServiceAccount
from console.site import ConsoleSite
from ingestion import receive
from ingestion.problems import Problem

REFUSALS = (exceptions.NotAuthenticated, exceptions.AuthenticationFailed, exceptions.PermissionDenied, PermissionDenied)


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
        site = {"staff"} if rule.kind is Kind.PAGE else {"account"}
        superuser = {"superuser"} if rule.for_superusers else set()
        needed = site | superuser | {permission.value for permission in rule.permissions}
        return needed <= self.granted

    def __str__(self) -> str:
        return f"refused: {self.refused}" if self.refused else f"granted: {' '.join(sorted(self.granted)) or 'nothing'}"


@dataclass(slots=True)
class Watch:
    now: Decisions = field(default_factory=lambda: Decisions(None))

    @contextmanager
    def on(self) -> Iterator[None]:
        with ExitStack() as stack:
            for owner, name, wrapped in self._wrappers():
                stack.enter_context(_replaced(owner, name, wrapped))
            yield

    def _wrappers(self) -> Iterator[tuple[Any, str, Callable[[Callable[..., Any]], Callable[..., Any]]]]:
        yield ConsoleSite, "has_permission", self._answers(lambda *_: "staff", refuses=True)
        yield User, "has_perm", self._answers(lambda _, permission, *__: str(permission))
        yield ServiceAccount, "has_perm", self._answers(lambda _, permission: str(permission))
        yield accounts, "_is_superuser", self._answers(lambda *_: "superuser")
        yield receive, "verify", self._passes("provider")
        yield APIView, "check_permissions", self._passes("account")
        yield denied, "missing_permission", self._denies
        yield APIView, "handle_exception", self._answers_error
        yield ModelAdmin, "get_object", _finds

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

    def _answers_error(self, asked: Callable[..., Any]) -> Callable[..., Any]:
        def answer(view: APIView, error: Exception) -> Any:
            if isinstance(error, REFUSALS) or getattr(error, "problem", None) is Problem.UNAUTHORIZED:
                self.now.refuse(str(error) or type(error).__name__)
            return asked(view, error)

        return answer


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
