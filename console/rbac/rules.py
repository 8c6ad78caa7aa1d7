"""The kinds of access that a route can have, and what each means for a persona."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from enum import StrEnum

from console.access import Permission
from console.rbac.personas import Persona

ON_ROW, ON_ANY_ROW = "on the row", "on any row"


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
    """All of `permissions` are needed. A page without any is for every signed-in staff user.

    `on_row`: for a permission of these another that opens the page as well, where it is held on the row that the page
    is about; `on_any_row`: held on any row. `of_row`: held on that row and nothing else will do, roles included.
    """

    kind: Kind
    permissions: frozenset[Permission] = frozenset()
    on_row: frozenset[tuple[Permission, Permission]] = frozenset()
    on_any_row: frozenset[tuple[Permission, Permission]] = frozenset()
    of_row: frozenset[Permission] = frozenset()
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
        needed = " and ".join(
            [*sorted(map(self._told, self.permissions)), *(f"{each} {ON_ROW}" for each in self.of_row)]
        )
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
        if self.for_superusers:
            return persona.is_superuser
        return all(self._has(persona, needed) for needed in self.permissions) and self.of_row <= persona.here

    def _has(self, persona: Persona, needed: Permission) -> bool:
        here = any(right in persona.here for one, right in self.on_row if one == needed)
        anywhere = any(right in persona.here | persona.elsewhere for one, right in self.on_any_row if one == needed)
        return needed in persona.held or here or anywhere

    def is_met_by(self, granted: Set[str]) -> bool:
        """Whether what the guards said yes to is all that the rule asks for."""
        of_row = {f"{right} {ON_ROW}" for right in self.of_row}
        return of_row <= granted and all(self.ways(needed) & granted for needed in self.permissions)

    def ways(self, needed: Permission) -> set[str]:
        """What a guard may say yes to where this permission is asked for."""
        here = {f"{right} {ON_ROW}" for one, right in self.on_row if one == needed}
        return {needed.value} | here | {f"{right} {ON_ANY_ROW}" for one, right in self.on_any_row if one == needed}

    def _told(self, needed: Permission) -> str:
        others = sorted(self.ways(needed) - {needed.value})
        return f"{needed} (or {' or '.join(others)})" if others else needed.value


@dataclass(frozen=True, slots=True)
class Row:
    """The rule of each method; a method without one is not served."""

    every: Rule | None = None
    by_method: Mapping[str, Rule] = field(default_factory=dict)

    def rule(self, method: str) -> Rule | None:
        return self.by_method.get(method, self.every)


type Rights = Mapping[Permission, Permission]  # what a right on a row stands for: the permission, the right
NONE: Rights = {}


def paged(*permissions: Permission, on_row: Rights = NONE, on_any_row: Rights = NONE) -> Rule:
    return Rule(
        kind=Kind.PAGE,
        permissions=frozenset(permissions),
        on_row=frozenset(on_row.items()),
        on_any_row=frozenset(on_any_row.items()),
    )


def page(
    *permissions: Permission,
    post: tuple[Permission, ...] | None = None,
    on_row: Rights = NONE,
    on_any_row: Rights = NONE,
) -> Row:
    """A GuardedPage: GET, HEAD, OPTIONS. `post`: what a POST takes on top."""
    seen = paged(*permissions, on_row=on_row, on_any_row=on_any_row)
    acts = {} if post is None else {"POST": paged(*permissions, *post, on_row=on_row, on_any_row=on_any_row)}
    return Row(by_method={"GET": seen, "HEAD": seen, "OPTIONS": seen, **acts})


def post_page(*permissions: Permission, on_row: Rights = NONE) -> Row:
    """A GuardedPage that is only posted to."""
    rule = paged(*permissions, on_row=on_row)
    return Row(by_method={"POST": rule, "OPTIONS": rule})


def act(*permissions: Permission, on_row: Rights = NONE, on_any_row: Rights = NONE) -> Row:
    """One of several acts that a page takes by a POST: see console/rbac/acts.py."""
    return Row(by_method={"POST": paged(*permissions, on_row=on_row, on_any_row=on_any_row)})


def only(*methods: str, of: tuple[Permission, ...], on_row: Rights = NONE) -> Row:
    """A function behind require_GET or require_POST."""
    return Row(by_method=dict.fromkeys(methods, paged(*of, on_row=on_row)))


def any_method(*permissions: Permission, on_row: Rights = NONE, on_any_row: Rights = NONE) -> Row:
    """A function that takes every method as a GET, as Django's own admin pages do. Without permissions: any staff."""
    return Row(paged(*permissions, on_row=on_row, on_any_row=on_any_row))


ANY_STAFF = any_method()
SUPERUSERS = Row(Rule(kind=Kind.PAGE, for_superusers=True))
NOBODY = Row(Rule(kind=Kind.PAGE, for_nobody=True))
WEBHOOK = Row(by_method={"POST": Rule(kind=Kind.WEBHOOK)})


def public(reason: str) -> Row:
    return Row(Rule(kind=Kind.PUBLIC, reason=reason))


def api(*, on_row: Rights = NONE, on_any_row: Rights = NONE, **permission_by_method: Permission) -> Row:
    """Tokens and staff sessions. OPTIONS is answered to every account."""
    rules = {
        name: replace(paged(given, on_row=on_row, on_any_row=on_any_row), kind=Kind.API)
        for name, given in permission_by_method.items()
    }
    return Row(by_method={"OPTIONS": Rule(kind=Kind.API), **rules})


def reads(permission: Permission, *, on_row: Rights = NONE, on_any_row: Rights = NONE) -> Row:
    """An address of the API that only reads."""
    return api(GET=permission, HEAD=permission, on_row=on_row, on_any_row=on_any_row)


def model_pages(
    prefix: str,
    read: Permission,
    *,
    add: Row = NOBODY,
    change: Rule | None = None,
    delete: Row = NOBODY,
    actions: Mapping[str, Rule] | None = None,
    right: Permission | None = None,
) -> dict[str, Row]:
    """The pages that Django's admin makes for a model. `change`: the rule of a POST to a row's page. `actions`: of its
    list, by name. `right`: held on a row it stands for `read` there, and opens the list.
    """
    rights = {} if right is None else {read: right}
    seen = any_method(read, on_row=rights)
    posted = change or Rule(kind=Kind.PAGE, for_nobody=True)
    return {
        f"{prefix}": any_method(read, on_any_row=rights),
        **{f"{prefix} action={name}": Row(by_method={"POST": rule}) for name, rule in (actions or {}).items()},
        f"{prefix}add/": add,
        f"{prefix}<path:object_id>/history/": seen,
        f"{prefix}<path:object_id>/delete/": delete,
        f"{prefix}<path:object_id>/change/": Row(seen.every, {"POST": posted}),
        f"{prefix}<path:object_id>/": ANY_STAFF,  # leads to the page above, which asks
    }
