"""Who is signed in: a person's own sessions, and for operators everybody's with the locks that hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, override
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.auth import get_user_model, logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString

from autocom.kernel.errors import AutocomError
from console.access import Permission
from console.actions import sign_in
from console.actions.operator import Operator
from console.guards import GuardedPage, StaffPage
from console.models import ConsoleSession
from console.shown import moment
from console.sign_in import sessions
from console.sign_in.factor import Policy
from console.sign_in.locks import Lock, locks
from console.sign_in.store import ABOUT

POLICY_TOLD: Mapping[Policy, str] = {
    Policy.OFF: "Nobody can enrol a second factor: SECOND_FACTOR is off.",
    Policy.OPTIONAL: "Everybody can enrol a second factor, nobody has to.",
    Policy.DECIDERS: "Whoever decides needs a second factor.",
}


class NoSuchSession(AutocomError):
    """It ended before, or the page was not this one."""

    code = "no_such_session"


@dataclass(frozen=True, slots=True)
class SessionShown:
    """`is_this`: the one that asks."""

    row: ConsoleSession
    since: SafeString | str
    seen: SafeString | str
    is_this: bool


@dataclass(frozen=True, slots=True)
class LockShown:
    lock: Lock
    until: SafeString | str


class MySessionsPage(StaffPage):
    """A POST ends sessions: `act` one, with its `id`, or others."""

    template_name = "console/my_sessions.html"
    http_method_names = ["get", "head", "options", "post"]

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        mine = sessions.sessions(now=datetime.now(UTC), user=self.request.user)
        return {
            **super().get_context_data(**kwargs),
            "title": "My sessions",
            "sessions": _shown(self.request, mine),
            "hours": settings.AUTOCOM.session_hours,
            "idle_minutes": settings.AUTOCOM.session_idle_minutes,
            "others_count": len([row for row in mine if row.public_id != _own_id(self.request)]),
        }

    def post(self, request: HttpRequest) -> HttpResponse:
        now, own = datetime.now(UTC), _own_id(request)
        if request.POST.get("act") == "others":
            ended = sign_in.end_own_sessions(request.user, now=now, but=own)
        elif (wanted := _uuid(request.POST.get("id", ""))) is None:
            ended = ()
        else:
            ended = sign_in.end_own_sessions(request.user, now=now, public_id=wanted)
            if ended and wanted == own:
                logout(request)
                return HttpResponseRedirect(reverse("admin:login"))
        _tell(request, ended)
        return HttpResponseRedirect(reverse("admin:my_sessions"))


class SignInsPage(GuardedPage):
    """Everybody's sessions, and who is locked out. A POST acts: `act` says how."""

    permission = Permission.SIGN_IN_MANAGE
    template_name = "console/sign_ins.html"
    http_method_names = ["get", "head", "options", "post"]
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        assert self.site is not None  # noqa: S101  (set by the site that routes here)
        self.request.current_app = self.site.name
        now = datetime.now(UTC)
        return {
            **self.site.each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": "Sign-ins",
            "sessions": (found := _shown(self.request, sessions.sessions(now=now))),
            "more": sessions.SHOWN_COUNT if len(found) == sessions.SHOWN_COUNT else 0,
            "locks": [LockShown(each, moment(each.until)) for each in locks(now=now)],
            "limit_count": settings.AXES_FAILURE_LIMIT,
            "sees_proxies_only": settings.BEHIND_TLS and not settings.CONSOLE_PROXIES,
            "policy": POLICY_TOLD[Policy(settings.SECOND_FACTOR)],
        }

    def post(self, request: HttpRequest) -> HttpResponse:
        act = ACTS.get(request.POST.get("act", ""))
        try:
            if act is None:
                raise NoSuchSession(f"this page knows {', '.join(ACTS)}")
            act(request)
        except AutocomError as error:
            messages.error(request, str(error))
        return HttpResponseRedirect(reverse("admin:sign_ins"))


def _shown(request: HttpRequest, rows: Sequence[ConsoleSession]) -> list[SessionShown]:
    own = _own_id(request)
    return [SessionShown(row, moment(row.since), moment(row.last_seen_at), row.public_id == own) for row in rows]


def _own_id(request: HttpRequest) -> UUID | None:
    return _uuid(request.session.get(ABOUT, {}).get("id", ""))


def _end_one(request: HttpRequest) -> None:
    wanted = _uuid(request.POST.get("id", ""))
    if wanted is None:
        raise NoSuchSession("choose a session")
    ended = sign_in.end_sessions(Operator.signed_in(request.user), now=datetime.now(UTC), public_id=wanted)
    _tell(request, ended)


def _end_all(request: HttpRequest) -> None:
    user = get_user_model().objects.filter(username=request.POST.get("username", "")).first()
    if user is None:
        raise NoSuchSession("choose a person")
    _tell(request, sign_in.end_sessions(Operator.signed_in(request.user), now=datetime.now(UTC), user=user))


def _lift(request: HttpRequest) -> None:
    wanted = (request.POST.get("digest", ""), request.POST.get("address", ""))
    found = next((each for each in locks(now=datetime.now(UTC)) if (each.digest, each.address) == wanted), None)
    if found is None:
        raise NoSuchSession("this lock is over already")
    operator = Operator.signed_in(request.user)
    sign_in.lift_lock(operator, digest=found.digest, username=found.username, address=found.address)
    messages.success(request, f"{found.username or 'The name'} can sign in from {found.address} again.")


def _tell(request: HttpRequest, ended: Sequence[ConsoleSession]) -> None:
    if ended:
        messages.success(
            request, f"{len(ended)} session{'' if len(ended) == 1 else 's'} ended: the next request is refused."
        )
    else:
        messages.warning(request, "There was no such session any more.")


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


ACTS: Mapping[str, Callable[[HttpRequest], None]] = {"end": _end_one, "end-all": _end_all, "lift": _lift}
