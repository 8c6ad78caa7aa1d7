"""Real requests of every persona to every route, each in a transaction that is rolled back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from http.cookies import SimpleCookie

from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from console.rbac.personas import PERSONAS, Persona
from console.rbac.policy import POLICY
from console.rbac.routes import Route
from console.rbac.rows import EVENT, FORM, Callers, callers, delivery
from console.rbac.rules import Kind, Outcome, Rule
from console.rbac.watch import ACCOUNT, ACTION, Decisions, LetIn, Watch
from ingestion.refusals.record import REFUSALS

HOST = {"SERVER_NAME": "localhost", "HTTP_X_FORWARDED_PROTO": "https", "secure": True}
CLIENT = Client()  # one: each loads the middleware, which lists every static file
REFUSED = frozenset({Outcome.LOGIN, Outcome.UNAUTHENTICATED, Outcome.DENY, Outcome.NOT_SERVED})


class Verdict(StrEnum):
    MATCH = "match"
    MISMATCH = "MISMATCH"
    UNTESTED = "UNTESTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """`status` None: the call was let in and stopped there, or it ended in an error, which `decision` tells."""

    route: str
    method: str
    persona: str
    view: str
    rule: str
    expected: Outcome
    status: int | None
    observed: Outcome | None
    decision: str
    verdict: Verdict


def probe(routes: Sequence[Route], *, personas: Sequence[Persona] = PERSONAS) -> Iterator[Cell]:
    """Nothing of it is left: no row, no entry in the audit log, no sample of a refusal.

    Raises ConfigurationError where a role is not in the database.
    """
    with asking() as ask:
        for route in routes:
            for method in route.methods:
                for persona in personas:
                    yield ask(route, method, persona)


@contextmanager
def asking() -> Iterator[Callable[[Route, str, Persona], Cell]]:
    """What sends one request and tells its cell, while the personas are there."""
    watch, now = Watch(), datetime.now(UTC)
    with rolled_back():
        found = callers(now=now)
        with watch.on():
            yield lambda route, method, persona: _cell(route, method, persona, found, watch)
        REFUSALS.take()


@contextmanager
def rolled_back() -> Iterator[None]:
    """As a test's transaction: what asks for a durable one inside gets a savepoint, and nothing is kept."""
    block = transaction.atomic()
    block._from_testcase = True  # type: ignore[attr-defined]  # Django's own mark for exactly this
    with block:
        try:
            yield
        finally:
            transaction.set_rollback(True)


def _cell(route: Route, method: str, persona: Persona, found: Callers, watch: Watch) -> Cell:
    row = POLICY.get(route.name)
    rule = row.rule(method) if row else None
    expected = Outcome.NOT_SERVED if rule is None else rule.expected(persona)
    watch.now = Decisions(rule)
    shown = delivery() if persona.is_provider else found.headers[persona.name]
    prepare = getattr(found, route.prepare) if route.prepare else None
    status, observed, error = _asked(route, method, shown, watch.now, prepare)
    verdict = Verdict.UNTESTED if row is None or error else _verdict(rule, expected, observed)
    if rule is not None and rule.kind is Kind.API and _lets_anybody_in(expected, watch.now):
        verdict = Verdict.MISMATCH
    return Cell(
        route=route.name,
        method=method,
        persona=persona.name,
        view=route.view_name,
        rule="not declared" if row is None else ("not served" if rule is None else str(rule)),
        expected=expected,
        status=status,
        observed=observed,
        decision=error or str(watch.now),
        verdict=verdict,
    )


def _asked(
    route: Route,
    method: str,
    shown: Mapping[str, str],
    decisions: Decisions,
    prepare: Callable[[], None] | None,
) -> tuple[int | None, Outcome | None, str]:
    """Status, what it amounts to (None: it went through, with nobody asked), and the error that ended it."""
    try:
        with rolled_back():
            if prepare is not None:
                prepare()
            response = _answer(route, method, shown)
    except LetIn:
        return None, Outcome.ALLOW, ""
    except Exception as error:  # noqa: BLE001  (a route that fails is a cell that was not tested, with the reason)
        return None, None, f"{type(error).__name__}: {error}"[:300]
    return response.status_code, _outcome(response, decisions), ""


def _answer(route: Route, method: str, shown: Mapping[str, str]) -> HttpResponse:
    CLIENT.cookies = SimpleCookie()
    if method == "POST" and "HTTP_X_WEBHOOK_SIGNATURE" not in shown:
        return CLIENT.post(route.address, {**FORM, **dict(route.form)}, **HOST, **shown)  # type: ignore[arg-type,return-value]
    body = EVENT if method in ("POST", "PUT", "PATCH") else b""
    return CLIENT.generic(method, route.address, body, "application/json", **HOST, **shown)  # type: ignore[arg-type,return-value]


def _outcome(response: HttpResponse, decisions: Decisions) -> Outcome | None:
    """A refusal counts only with the guard's own word for it: a page may answer 403 for another reason."""
    status = response.status_code
    if status == 405:
        return Outcome.NOT_SERVED
    if status == 401 and decisions.refused:
        return Outcome.UNAUTHENTICATED
    if status == 403 and decisions.refused:
        return Outcome.DENY
    if status == 302 and decisions.refused == "staff" and _leads_out(response):
        return Outcome.LOGIN
    if status == 302 and decisions.refused not in ("", "staff"):  # a page that says so above itself
        return Outcome.DENY
    if status == 200 and decisions.refused.startswith(ACTION):  # a list that has no action for them is shown again
        return Outcome.DENY
    return None


def _lets_anybody_in(expected: Outcome, decisions: Decisions) -> bool:
    """The API's door said yes to who has no account. What stopped them behind it is an error: nobody cannot act."""
    return expected is Outcome.UNAUTHENTICATED and ACCOUNT in decisions.granted


def _leads_out(response: HttpResponse) -> bool:
    place = response["Location"]
    return place.startswith(reverse("admin:login")) or place == reverse("admin:index")


def _verdict(rule: Rule | None, expected: Outcome, observed: Outcome | None) -> Verdict:
    if rule is None:
        return Verdict.MATCH if observed in REFUSED else Verdict.MISMATCH
    if rule.kind is Kind.PUBLIC:
        return Verdict.MATCH if observed in (None, Outcome.NOT_SERVED) else Verdict.MISMATCH
    if observed is None:  # it went through: an open door where one was declared shut, else a door nobody saw
        return Verdict.UNTESTED if expected is Outcome.ALLOW else Verdict.MISMATCH
    return Verdict.MATCH if observed is expected else Verdict.MISMATCH
