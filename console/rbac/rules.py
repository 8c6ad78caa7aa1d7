"""The kinds of access that a route can have, and what each means for a persona."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from console.access import Permission
from console.rbac.personas import Persona

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


class Outcome(StrEnum):
    ALLOW = "allow"
    LOGIN = "login"  # 302 to the login form, 401 for a poll
    UNAUTHENTICATED = "unauthenticated"  # 401
    DENY = "deny"  # 403
    NOT_SERVED = "not served"  # 405; those who may not see the page may be refused before


class Kind(StrEnum):
    PUBLIC = "public"
    PAGE = "page"
    API = "api"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """All of `permissions` are needed. A page without any is for every signed-in staff user."""

    kind: Kind
    permissions: frozenset[Permission] = frozenset()
    for_superusers: bool = False
    for_nobody: bool = False
    reason: str = ""

    def __str__(self) -> str:
        if self.kind in (Kind.PUBLIC, Kind.WEBHOOK):
            return self.kind.value + (f": {self.reason}" if self.reason else "")
        if self.for_nobody:
            return f"{self.kind}: nobody"
        if self.for_superusers:
            return f"{self.kind}: superusers"
        needed = " and ".join(sorted(permission.value for permission in self.permissions))
        return f"{self.kind}: {needed or ('any staff' if self.kind is Kind.PAGE else 'any account')}"

    def expected(self, persona: Persona) -> Outcome:
        if self.kind is Kind.PUBLIC or (self.kind is Kind.WEBHOOK and persona.is_provider):
            return Outcome.ALLOW
        if self.kind is Kind.PAGE and not persona.opens_console:
            return Outcome.LOGIN
        if self.kind is Kind.WEBHOOK or (self.kind is Kind.API and not persona.opens_api):
            return Outcome.UNAUTHENTICATED
        return Outcome.ALLOW if self._is_met_by(persona) else Outcome.DENY

    def _is_met_by(self, persona: Persona) -> bool:
        if self.for_nobody:
            return False
        return persona.is_superuser if self.for_superusers else self.permissions <= persona.held


@dataclass(frozen=True, slots=True)
class Row:
    """The rule of each method; a method without one is not served."""

    every: Rule | None = None
    by_method: Mapping[str, Rule] = field(default_factory=dict)

    def rule(self, method: str) -> Rule | None:
        return self.by_method.get(method, self.every)


def page(*permissions: Permission, post: tuple[Permission, ...] | None = None) -> Row:
    """A GuardedPage: GET, HEAD, OPTIONS. `post`: what a POST takes on top."""
    seen = Rule(kind=Kind.PAGE, permissions=frozenset(permissions))
    acts = {} if post is None else {"POST": Rule(kind=Kind.PAGE, permissions=frozenset((*permissions, *post)))}
    return Row(by_method={"GET": seen, "HEAD": seen, "OPTIONS": seen, **acts})


def post_page(*permissions: Permission) -> Row:
    """A GuardedPage that is only posted to."""
    rule = Rule(kind=Kind.PAGE, permissions=frozenset(permissions))
    return Row(by_method={"POST": rule, "OPTIONS": rule})


def only(*methods: str, of: tuple[Permission, ...]) -> Row:
    """A function behind require_GET or require_POST."""
    return Row(by_method=dict.fromkeys(methods, Rule(kind=Kind.PAGE, permissions=frozenset(of))))


def any_method(*permissions: Permission) -> Row:
    """A function that takes every method as a GET, as Django's own admin pages do. Without permissions: any staff."""
    return Row(Rule(kind=Kind.PAGE, permissions=frozenset(permissions)))


ANY_STAFF = any_method()
SUPERUSERS = Row(Rule(kind=Kind.PAGE, for_superusers=True))
NOBODY = Row(Rule(kind=Kind.PAGE, for_nobody=True))
WEBHOOK = Row(by_method={"POST": Rule(kind=Kind.WEBHOOK)})


def public(reason: str) -> Row:
    return Row(Rule(kind=Kind.PUBLIC, reason=reason))


def api(**permission_by_method: Permission) -> Row:
    """Tokens and staff sessions. OPTIONS is answered to every account."""
    rules = {name: Rule(kind=Kind.API, permissions=frozenset({given})) for name, given in permission_by_method.items()}
    return Row(by_method={"OPTIONS": Rule(kind=Kind.API), **rules})


def reads(permission: Permission) -> Row:
    """An address of the API that only reads."""
    return api(GET=permission, HEAD=permission)


def model_pages(
    prefix: str, read: Permission, *, add: Row = NOBODY, change: Rule | None = None, delete: Row = NOBODY
) -> dict[str, Row]:
    """The pages that Django's admin makes for a model. `change`: the rule of a POST to a row's page."""
    seen = any_method(read)
    posted = change or Rule(kind=Kind.PAGE, for_nobody=True)
    return {
        f"{prefix}": seen,
        f"{prefix}add/": add,
        f"{prefix}<path:object_id>/history/": seen,
        f"{prefix}<path:object_id>/delete/": delete,
        f"{prefix}<path:object_id>/change/": Row(seen.every, {"POST": posted}),
        f"{prefix}<path:object_id>/": ANY_STAFF,  # leads to the page above, which asks
    }
