"""A person's own second factors: enrol, make recovery codes anew, remove. Each asks for the password again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, override
from urllib.parse import quote, urlencode

import qrcode
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import authenticate
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse

from autocom.kernel.clock import SYSTEM_CLOCK
from autocom.kernel.errors import AutocomError
from console.actions import sign_in
from console.guards import StaffPage
from console.shown import moment
from console.sign_in import challenges, factor, passkeys
from console.sign_in.challenges import LIFETIME, Purpose, ask
from console.sign_in.factor import EnrolmentRefused, Policy
from console.sign_in.locks import was_refused
from console.sign_in.openid import proof
from console.sign_in.openid.proof_box import in_place_of_password
from ingestion.secret_box import seal, unseal

SECRET = "console.second_factor.secret"  # noqa: S105  (its place in the session, sealed, until a code proves that it was scanned)
SECRET_LIMIT_US = 900_000_000


class NotProven(AutocomError):
    """The password, the code or the passkey, with which a change of the factor is asked for."""

    code = "not_proven"


class ChoiceMissing(AutocomError):
    """Of several factors one is to be removed, and it is not told which."""

    code = "choice_missing"


def second_factor(user: Any) -> dict[str, bool]:
    """For the forms of decisions: what they ask for, and whether they would be refused for want of a factor."""
    has = factor.kinds(user)
    return {
        "needs_code": bool(has),
        "has_app": factor.APP in has,
        "has_passkey": factor.PASSKEY in has,
        "factor_missing": settings.SECOND_FACTOR == Policy.DECIDERS and not has,
    }


def question(request: HttpRequest, user: Any) -> JsonResponse:
    """What the browser asks a passkey of this person, for the next form of this session."""
    rows = factor.passkey_rows(user)
    if not rows:
        return JsonResponse({"error": "There is no passkey to ask."}, status=409)
    asked = ask(request, Purpose.PROVE, user=user)
    told = {"origin": asked.place.origin, **passkeys.request_options(rows, asked)}
    return JsonResponse(told, headers={"Cache-Control": "no-store"})


class PasskeyQuestion(StaffPage):
    """For whoever is signed in: see `question`."""

    http_method_names = ["options", "post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        return question(request, request.user)


class SecondFactorPage(StaffPage):
    template_name = "console/second_factor.html"
    http_method_names = ["get", "head", "options", "post"]

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user = self.request.user
        found = factor.standing(user)
        secret = "" if found.has_app else _scanned(self.request)
        return {
            **super().get_context_data(**kwargs),
            "title": "Second factor",
            "found": found,
            "since": moment(found.since),
            "last_used": moment(found.last_used_at),
            "passkeys": [(each, moment(each.since), moment(each.last_used_at)) for each in found.passkeys],
            "factor_count": len(found.passkeys) + found.has_app,
            "is_off": settings.SECOND_FACTOR == Policy.OFF,
            "is_wanted": settings.SECOND_FACTOR == Policy.DECIDERS,
            "secret": _in_fours(secret),
            "qr": _qr(_address(user, secret)) if secret else None,
            "to_make": _to_make(self.request),
            "origin": challenges.place_of(self.request).origin,
            "name_limit": passkeys.NAME_LIMIT_CHARS,
            "minutes": int(LIFETIME.total_seconds()) // 60,
            **in_place_of_password(self.request),
        }

    def post(self, request: HttpRequest) -> HttpResponse:
        act = ACTS.get(request.POST.get("act", ""))
        try:
            if act is None:
                raise NotProven(f"this page knows {', '.join(ACTS)}")
            codes = act(request)
        except AutocomError as error:
            messages.error(request, str(error))
        else:
            if codes:
                return self._told_once(request, codes)
        return HttpResponseRedirect(reverse("admin:second_factor"))

    def _told_once(self, request: HttpRequest, codes: Sequence[str]) -> HttpResponse:
        """The only page that ever shows them: not after a redirect, which would have to keep them somewhere."""
        context = {**super().get_context_data(), "title": "Recovery codes", "codes": codes}
        response = render(request, "console/recovery_codes.html", context)
        response["Cache-Control"] = "no-store"
        response["Referrer-Policy"] = "no-referrer"
        return response


def _begin(request: HttpRequest) -> Sequence[str]:
    factor.refuse_where_off()
    _prove(request)
    request.session[SECRET] = {"sealed": seal(factor.new_secret()).decode(), "at_us": SYSTEM_CLOCK.now_us()}
    return ()


def _enrol(request: HttpRequest) -> Sequence[str]:
    secret = _scanned(request)
    if not secret:
        raise EnrolmentRefused("begin again: the secret was shown too long ago")
    codes = sign_in.enrol(request.user, secret=secret, code=request.POST.get("code", ""))
    del request.session[SECRET]
    return codes


def _begin_passkey(request: HttpRequest) -> Sequence[str]:
    factor.refuse_where_off()
    name = request.POST.get("name", "").strip()
    factor.refuse_name(request.user, name)
    _prove(request)
    ask(request, Purpose.ENROL, user=request.user, note=name)
    return ()


def _add_passkey(request: HttpRequest) -> Sequence[str]:
    codes = sign_in.add_passkey(request.user, request.POST.get("passkey", ""), request=request)
    messages.success(request, "The passkey is enrolled.")
    return codes


def _codes(request: HttpRequest) -> Sequence[str]:
    _prove(request)
    return sign_in.make_codes(request.user)


def _remove(request: HttpRequest) -> Sequence[str]:
    """The one that is named; where there is only one, that."""
    chosen = _chosen(request)
    _prove(request)
    name = sign_in.remove_one_factor(request.user, passkey=chosen)
    if not name:
        raise ChoiceMissing("it is removed already")
    is_last = not factor.is_on(request.user)
    messages.success(
        request, "The second factor and its recovery codes are removed." if is_last else f"Removed: {name}."
    )
    return ()


def _chosen(request: HttpRequest) -> int | None:
    """A passkey's number; None is the app. Raises ChoiceMissing."""
    found, what = factor.standing(request.user), request.POST.get("what", "")
    offered: dict[str, int | None] = {"app": None} if found.has_app else {}
    offered |= {str(each.pk): each.pk for each in found.passkeys}
    if not what and len(offered) == 1:
        return next(iter(offered.values()))
    if what not in offered:
        raise ChoiceMissing("choose what to remove")
    return offered[what]


def _prove(request: HttpRequest) -> None:
    """That it is the person, not whoever sits at their screen. Raises NotProven, CodeRefused."""
    user, given = request.user, request.POST.get("password", "")
    is_vouched_for = not given and proof.take(request)
    if not is_vouched_for and authenticate(request, username=user.get_username(), password=given) != user:
        locked = "; too many failures: try again in an hour" if was_refused(request) else ""
        raise NotProven(f"the password is wrong{locked}")
    if factor.is_on(user):
        form = request.POST
        sign_in.prove(user, form.get("code", ""), passkey=form.get("passkey", ""), request=request)


def _scanned(request: HttpRequest) -> str:
    """The secret that is being enrolled; empty where none is."""
    told = request.session.get(SECRET)
    if told is None or SYSTEM_CLOCK.now_us() - told["at_us"] > SECRET_LIMIT_US:
        return ""
    return unseal(told["sealed"].encode())


def _to_make(request: HttpRequest) -> dict[str, str] | None:
    """The passkey that is being enrolled: its name, and what its browser has to know. None where none is."""
    asked = challenges.waiting(request, Purpose.ENROL, user=request.user)
    if asked is None:
        return None
    options = passkeys.creation_options(request.user, factor.passkey_rows(request.user), asked)
    return {"name": asked.note, "options": json.dumps({"origin": asked.place.origin, **options})}


def _address(user: Any, secret: str) -> str:
    label = quote(f"{settings.MFA_TOTP_ISSUER}:{user.get_username()}")
    return f"otpauth://totp/{label}?{urlencode({'secret': secret, 'issuer': settings.MFA_TOTP_ISSUER})}"


def _in_fours(secret: str) -> str:
    return " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))


def _qr(text: str) -> dict[str, object]:
    """Of modules one unit wide, with the quiet zone that scanners need."""
    code = qrcode.QRCode(border=4)
    code.add_data(text)
    rows = code.get_matrix()
    dark = (f"M{x} {y}h1v1h-1z" for y, row in enumerate(rows) for x, is_dark in enumerate(row) if is_dark)
    return {"size": len(rows), "path": "".join(dark)}


ACTS: Mapping[str, Callable[[HttpRequest], Sequence[str]]] = {
    "begin": _begin,
    "enrol": _enrol,
    "codes": _codes,
    "remove": _remove,
    "begin-passkey": _begin_passkey,
    "add-passkey": _add_passkey,
}
